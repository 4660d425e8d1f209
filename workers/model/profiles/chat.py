"""Fills a profile's templates: a task and its texts become the turns of a chat."""

import re
from collections.abc import Sequence
from typing import Final

from workers.model.errors import GenerationError
from workers.model.profiles.profile import INDICATION, QUESTION, TASK_KEYS, TEXT, Profile
from workers.model.prompts import IMAGE, Role, Task, Turn

# Control words of chat layouts: a text from outside must not act as a turn, nor as an image.
_CONTROL = re.compile(r"<[^<>\s]{1,40}>|\[/?INST\]|<</?SYS>>|<\|")
_MARKS: Final = re.compile("|".join(map(re.escape, (INDICATION, QUESTION))))


def turns(
    profile: Profile, task: Task, *, question: str = "", indication: str = ""
) -> tuple[Turn, ...]:
    """Return the turns that ask `task` about one image; `<image>` stands once in the user's turn.

    Args:
        profile: The model's profile.
        task: The kind of prompt.
        question: The question, for `Task.QUESTION`.
        indication: Why the image was ordered, or ""; used if the template has a place for it.

    Raises:
        GenerationError: The profile has no prompt for the task, or a text is empty or contains a control
            word of a chat layout.
    """
    template = getattr(profile.prompts, TASK_KEYS[task])
    if template is None:
        key = TASK_KEYS[task]
        raise GenerationError(f"{profile.name} cannot do this: its profile has no prompts.{key}")
    if task is Task.QUESTION and not question.strip():
        raise GenerationError("the question is empty")
    for text in (question, indication):
        if _CONTROL.search(text):
            raise GenerationError("a text for the prompt contains a control word of a chat layout")
    filled = {
        INDICATION: _fragment(profile.prompts.indication, indication)
        or profile.prompts.no_indication,
        QUESTION: question.strip(),
    }
    # All at once: a placeholder inside a text is not replaced.
    content = _MARKS.sub(lambda found: filled[found[0]], template)
    user = Turn(Role.USER, content)
    return (Turn(Role.SYSTEM, profile.prompts.system), user) if profile.prompts.system else (user,)


def parts(turn: Turn) -> Sequence[str]:
    """Return a turn's texts around its image: one text if it has no image, else before and after."""
    return turn.content.split(IMAGE)


def shown(chat: Sequence[Turn]) -> str:
    """Return a chat as text for a person, `<image>` in place of the image."""
    return "\n".join(f"{turn.role.value}: {turn.content}" for turn in chat)


def _fragment(fragment: str | None, text: str) -> str:
    return fragment.replace(TEXT, text.strip()) if fragment is not None and text.strip() else ""
