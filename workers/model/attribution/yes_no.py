"""Yes-or-no questions, as rows of ids that follow an image that has been read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from workers.model.errors import GenerationError
from workers.model.prompts import IMAGE_SENTINEL, Task, Turn


class ChatModel(Protocol):
    """The part of a model that lays out a question: its chat layout and its tokenizer."""

    def chat(self, task: Task, question: str = "") -> tuple[Turn, ...]:
        """Return the turns of a chat that asks `question`."""

    def prompt_ids(self, turns: Sequence[Turn], beginning: str = "") -> list[int]:
        """Return the ids of `turns` and of the beginning of the answer."""


YES_OR_NO: Final = (" Yes", " No")  # with the space between prompt and answer


@dataclass(frozen=True, slots=True)
class Row:
    """A question and one answer to it.

    Attributes:
        ids: The ids after the image; the last is only predicted, never read.
        asked: How many of them belong to the question.
    """

    ids: list[int]
    asked: int


def rows(model: ChatModel, read: Sequence[int], question: str) -> tuple[Row, ...]:
    """Return the rows of a question, one for each of YES_OR_NO.

    Args:
        model: The model whose layout and tokenizer are used.
        read: The ids that were read: at least the image's sentinel and all before it.
        question: The yes-or-no question.

    Raises:
        GenerationError: The model's prompt layout does not allow several questions on one image.
    """
    lead = read.index(IMAGE_SENTINEL) + 1
    turns = model.chat(Task.QUESTION, question)
    prompt = model.prompt_ids(turns)
    found = []
    for word in YES_OR_NO:
        ids = model.prompt_ids(turns, word)
        if ids[:lead] != list(read[:lead]) or ids[: len(prompt)] != prompt:
            raise GenerationError("the prompt layout does not allow several questions on one image")
        found.append(Row(ids[lead:], len(prompt) - lead))
    return tuple(found)


def answer_log_probabilities(logits: Sequence[Tensor], asked: Sequence[Row]) -> Tensor:
    """Return the log-probability of each answer, [questions, 2].

    Args:
        logits: For each row, the logits [T, V] after each of its ids but the last: T = len(ids) - 1.
        asked: The rows of the questions, one question after the other.
    """
    each = [_log_probability(*one) for one in zip(logits, asked, strict=True)]
    return torch.stack(each).view(-1, len(YES_OR_NO))


def advantage(logits: Sequence[Tensor], asked: Sequence[Row]) -> Tensor:
    """Return log p(Yes) - log p(No) of each question, [questions].

    See `answer_log_probabilities` for the arguments.
    """
    yes, no = answer_log_probabilities(logits, asked).unbind(-1)
    return yes - no


def _log_probability(logits: Tensor, row: Row) -> Tensor:
    """Return the log-probability of a row's answer from `logits` [T, V], T = len(row.ids) - 1."""
    answer = torch.tensor(row.ids[row.asked :], device=logits.device)
    return logits[row.asked - 1 :].log_softmax(-1).gather(1, answer[:, None]).sum()
