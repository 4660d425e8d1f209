"""Questions that are answered by yes or no, as rows of ids behind a film that has been read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from workers.model.errors import GenerationError
from workers.model.prompts import IMAGE_SENTINEL, Task, Turn


class ChatModel(Protocol):
    """What is needed of a model to lay out a question: its chat layout and its tokenizer."""

    def chat(self, task: Task, question: str = "") -> tuple[Turn, ...]:
        """Return the turns of a chat that asks `question`."""

    def prompt_ids(self, turns: Sequence[Turn], beginning: str = "") -> list[int]:
        """Return the ids of `turns` and of how the answer begins."""


YES_OR_NO: Final = (" Yes", " No")  # as an answer begins behind a prompt


@dataclass(frozen=True, slots=True)
class Row:
    """A question and one answer to it.

    Attributes:
        ids: What stands behind the film; the last is only predicted, never read.
        asked: How many of them ask.
    """

    ids: list[int]
    asked: int


def rows(model: ChatModel, read: Sequence[int], question: str) -> tuple[Row, ...]:
    """Return the rows of a question, one for each of YES_OR_NO.

    Args:
        model: Whose layout and tokenizer.
        read: The ids that were read: the film's sentinel and all before it, at least.
        question: To be answered by yes or no.

    Raises:
        GenerationError: The question cannot be used.
    """
    lead = read.index(IMAGE_SENTINEL) + 1
    turns = model.chat(Task.QUESTION, question)
    prompt = model.prompt_ids(turns)
    found = []
    for word in YES_OR_NO:
        ids = model.prompt_ids(turns, word)
        if ids[:lead] != list(read[:lead]) or ids[: len(prompt)] != prompt:
            raise GenerationError("the layout does not let questions share a film")
        found.append(Row(ids[lead:], len(prompt) - lead))
    return tuple(found)


def weights(behind: Sequence[Tensor], asked: Sequence[Row]) -> Tensor:
    """Return the log-probability of each answer, [questions, 2].

    Args:
        behind: Logits [T, V] behind each id of each row that was read.
        asked: The rows of the questions, one behind the other.
    """
    each = [_log_chance(*one) for one in zip(behind, asked, strict=True)]
    return torch.stack(each).view(-1, len(YES_OR_NO))


def advantage(behind: Sequence[Tensor], asked: Sequence[Row]) -> Tensor:
    """Return by how much "Yes" is likelier than "No", in logarithms, [questions]; see `weights`."""
    yes, no = weights(behind, asked).unbind(-1)
    return yes - no


def _log_chance(logits: Tensor, row: Row) -> Tensor:
    """Return the log-probability of a row's answer; `logits` [T, V] stand behind each of its ids."""
    said = torch.tensor(row.ids[row.asked :], device=logits.device)
    return logits[row.asked - 1 :].log_softmax(-1).gather(1, said[:, None]).sum()
