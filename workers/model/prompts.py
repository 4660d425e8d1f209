"""The prompts of CXR-LLaVA v2, in the LLaMA-2 chat layout with which the authors ran it.

The layout is written out here: the checkpoint stores none, and the library that used to supply it by
default no longer does. A wrong layout gives plausible but wrong reports.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from workers.model.errors import GenerationError
from workers.model.tokenizer import BOS, Tokenizer

IMAGE: Final = "<image>"
IMAGE_SENTINEL: Final = -200  # stands among ids in place of the image's tokens

SYSTEM: Final = (
    "You are a helpful radiologist. Try to interpret chest x ray image and answer to the question "
    "that user provides."
)
REPORT: Final = (
    "Write a radiologic report on the given chest radiograph, including information about "
    "atelectasis, cardiomegaly, consolidation, pulmonary edema, pleural effusion, and pneumothorax."
)
# Ours, not the authors': their prompt with three more words. Its accuracy is not known.
PAEDIATRIC_REPORT: Final = REPORT.replace("chest radiograph", "chest radiograph of a child")
DIFFERENTIAL: Final = "What are the possible differential diagnoses for this patient?"
# Yes-or-no questions, one for each of the six findings, for the probability of "Yes" against "No".
IS_THERE: Final = {
    "atelectasis": "Is there atelectasis?",
    "cardiomegaly": "Is there cardiomegaly?",
    "consolidation": "Is there consolidation?",
    "edema": "Is there pulmonary edema?",
    "pleural effusion": "Is there a pleural effusion?",
    "pneumothorax": "Is there a pneumothorax?",
}
IS_NORMAL: Final = "Is this chest radiograph normal?"


class Task(StrEnum):
    """The kind of prompt."""

    REPORT = "report"
    PAEDIATRIC_REPORT = "paediatric report"
    DIFFERENTIAL = "differential diagnosis"
    QUESTION = "question"


class Role(StrEnum):
    """The speaker of a turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class EarlierAnswer:
    """What was asked before in the same chat about the same image, and the model's answer.

    Attributes:
        task: The kind of prompt.
        question: The text, for `Task.QUESTION`; otherwise "".
        text: The answer.
    """

    task: Task
    question: str
    text: str


_WORDS: Final = {
    Task.REPORT: REPORT,
    Task.PAEDIATRIC_REPORT: PAEDIATRIC_REPORT,
    Task.DIFFERENTIAL: DIFFERENTIAL,
}


def chat(task: Task, question: str = "") -> tuple[Turn, ...]:
    """Return the system turn and the user turn, with one image, that ask `task`.

    Args:
        task: The kind of prompt.
        question: For `Task.QUESTION`: the text, without control words of the layout.

    Raises:
        GenerationError: The question is empty, or contains a control word of the layout.
    """
    text = _WORDS.get(task, question)
    if not text.strip() or any(mark in text for mark in (IMAGE, "<s>", "</s>", "<unk>", "INST]")):
        raise GenerationError("a question must have text, without control words of the chat layout")
    return Turn(Role.SYSTEM, SYSTEM), Turn(Role.USER, f"{IMAGE}\n{text}")


def conversation(
    chat_of: Callable[[Task, str], Sequence[Turn]],
    earlier: Sequence[EarlierAnswer],
    task: Task,
    question: str,
) -> tuple[Turn, ...]:
    """Return the chat that asks `task` after earlier answers; the image stands in its first user turn.

    Args:
        chat_of: Returns the turns that ask a task and a question about one image.
        earlier: What was asked before, in order.
        task: The kind of prompt.
        question: For `Task.QUESTION`.

    Raises:
        GenerationError: One of the questions is empty, or contains a control word of the layout.
    """
    turns: list[Turn] = []
    for each in (*earlier, EarlierAnswer(task, question, "")):
        asked = chat_of(each.task, each.question)
        turns += [_without_image(asked[-1])] if turns else asked
        turns.append(Turn(Role.ASSISTANT, each.text))
    return tuple(turns[:-1])


def _without_image(turn: Turn) -> Turn:
    return Turn(turn.role, turn.content.replace(IMAGE, "").strip())


def render(turns: Iterable[Turn]) -> str:
    r"""Return a chat in the LLaMA-2 layout, `<s>[INST] <<SYS>>\n...\n<</SYS>>\n\n... [/INST]`.

    Raises:
        GenerationError: After an optional system turn, users and assistants do not alternate.
    """
    turns = list(turns)
    preface = ""
    if turns and turns[0].role is Role.SYSTEM:
        preface = f"<<SYS>>\n{turns.pop(0).content}\n<</SYS>>\n\n"
    text = ""
    for number, turn in enumerate(turns):
        if turn.role is not (Role.ASSISTANT if number % 2 else Role.USER):
            raise GenerationError("users and assistants must alternate in a chat, a user first")
        if turn.role is Role.USER:
            content = (preface + turn.content if number == 0 else turn.content).strip()
            text += f"<s>[INST] {content} [/INST]"
        else:
            text += f" {turn.content.strip()} </s>"
    return text


def prompt_ids(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Return the ids of a rendered chat, with IMAGE_SENTINEL in place of each image.

    Each piece around `<image>` is tokenized by itself with a BOS, which is kept on the first piece
    only. The layout begins with `<s>` too, so the ids begin with two BOS, as in the authors' runs.
    """
    pieces = [tokenizer.encode(piece) for piece in prompt.split(IMAGE)]
    bos = 1 if pieces[0][:1] == [BOS] and tokenizer.add_bos else 0
    ids = pieces[0][:bos]
    for number, piece in enumerate(pieces):
        ids += [IMAGE_SENTINEL] if number else []
        ids += piece[bos:]
    return ids
