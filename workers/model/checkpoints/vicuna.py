"""The prompts of LLaVA-Rad, in the Vicuna v1 layout with which it was trained."""

import re
from collections.abc import Sequence
from typing import Final

from workers.model.errors import GenerationError
from workers.model.prompts import DIFFERENTIAL, IMAGE, Role, Task, Turn

SYSTEM: Final = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
REPORT: Final = "Provide a description of the findings in the radiology image"
# Ours, not the authors': their prompt with three more words. Its accuracy is not known.
PAEDIATRIC_REPORT: Final = f"{REPORT} of a child"
_INDICATED: Final = " given the following indication: "
_CONTROL = re.compile(r"<image>|</?s>|<unk>|\b(?:USER|ASSISTANT):")


def chat(task: Task, question: str = "", indication: str = "") -> tuple[Turn, ...]:
    """Return the user turn, with one image, that asks `task`.

    Args:
        task: The kind of prompt.
        question: For `Task.QUESTION`: the text, without control words of the layout.
        indication: For reports: why the image was ordered, or "". Line breaks and control words become
            spaces; nothing else is changed, as in the authors' evaluation.

    Raises:
        GenerationError: The question is empty, or contains a control word of the layout.
    """
    if task in {Task.REPORT, Task.PAEDIATRIC_REPORT}:
        text = REPORT if task is Task.REPORT else PAEDIATRIC_REPORT
        reason = _CONTROL.sub(" ", indication.replace("\n", " ")).strip()
        text += _INDICATED + reason if reason else "."
    else:
        text = DIFFERENTIAL if task is Task.DIFFERENTIAL else question
        if not text.strip() or _CONTROL.search(text):
            raise GenerationError(
                "a question must have text, without control words of the chat layout"
            )
    return (Turn(Role.USER, f"{IMAGE}\n{text.strip()}"),)


def render(turns: Sequence[Turn]) -> str:
    """Return a chat in the layout `... USER: ... ASSISTANT: ...</s>USER: ... ASSISTANT:`.

    Raises:
        GenerationError: Users and assistants do not alternate, or the last turn is not a user's.
    """
    text = f"{SYSTEM} "
    for number, turn in enumerate(turns):
        if turn.role is not (Role.ASSISTANT if number % 2 else Role.USER):
            raise GenerationError("users and assistants must alternate in a chat, a user first")
        if turn.role is Role.USER:
            text += f"USER: {turn.content} ASSISTANT:"
        else:
            text += f" {turn.content}</s>"
    if len(turns) % 2 == 0:
        raise GenerationError("the last turn of a chat must be the user's")
    return text
