"""The one interface of all models: a film and a task go in; text, ids and timings come out.

`llava.Llava` has it for one caller at a time, `engine.Engine` for many.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.model.heat import HeatMap
from workers.model.prompts import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How tokens are chosen.

    Attributes:
        temperature: Up to 0.001: greedy, repeatable to the token. Otherwise sampling.
        top_p: Sampling keeps the likeliest tokens that together have this probability.
        top_k: Sampling keeps this many tokens at most; 50 was silently active in the published code.
        seed: Of the sampling.
        max_new_tokens: Longest answer; the checkpoint may bound it further.
    """

    temperature: float = 0.0
    top_p: float = 0.8
    top_k: int = 50
    seed: int = 0
    max_new_tokens: int = 512

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature <= 0.001

    def describe(self) -> str:
        """Return the settings in words, for the draft."""
        if self.greedy:
            return f"greedy, {self.max_new_tokens} new tokens"
        return (
            f"temperature {self.temperature:g}, top_p {self.top_p:g}, top_k {self.top_k}, "
            f"seed {self.seed}, {self.max_new_tokens} new tokens"
        )


# For a question; None where memory was short or the film's tokens have no places.
Heat = Mapping[str, HeatMap | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model said.

    Attributes:
        text: As decoded, special tokens left out, not stripped.
        token_ids: The new ids; the last is `</s>` where the model ended by itself.
        token_scores: The log-probability that the model gave each of them.
        prompt: The rendered prompt, `<image>` standing for the film.
        ended: Whether the model ended by itself; otherwise the bound on new tokens cut it.
        chances: For each of the `questions`, the probability in 0..1 that the model gives to "Yes"
            against "No".
        heat: For each question that it says yes to and is set to locate, where it looked.
        image_tokens: float32 [P, C], what the decoder was shown of the film.
        timings_ms: Milliseconds of "preprocess", "vision", "prefill", "questions", "decode".
        samples: The texts of further answers to the same prompt that were asked for and could be
            written.
    """

    text: str
    token_ids: tuple[int, ...]
    token_scores: tuple[float, ...]
    prompt: str
    ended: bool
    image_tokens: NDArray[np.float32] = field(repr=False, compare=False)
    chances: tuple[float, ...] = ()
    heat: Heat = field(default_factory=dict, repr=False, compare=False)
    timings_ms: dict[str, float] = field(default_factory=dict)
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Which weights a model runs, where and as what; a model's file says the rest of itself.

    Attributes:
        name: Of the model, for people.
        revision: The snapshot's commit where its folder is named by it, otherwise the digest's start.
        weights_sha256: Over the weight files (see `weights.WeightFiles.sha256`).
        caveat: A sentence that must accompany every answer, or "".
        synthetic_caveat: The sentence for films that are marked as synthetic, where it is another.
        mark: The caveat in a few words, for the series description of other films, or "".
        device: "cpu", "cuda:0".
        dtype: "float32", "bfloat16", "float16", and how the decoder's weights are kept where that
            is shorter: "bfloat16 (decoder int8)".
        libraries: The versions of those that compute.
        max_new_tokens: The checkpoint's own bound on an answer, or None.
        scores_measured: Whether somebody has measured what its yes-or-no probabilities are worth.
        places_measured: Whether somebody has measured whether it looks where its findings are.
        meaningless: Whether its text says nothing about the film: nothing of it may be coded.
        takes_indication: Whether it was trained to be told why a film was ordered.
    """

    name: str
    revision: str = ""
    weights_sha256: str = ""
    caveat: str = ""
    device: str = ""
    dtype: str = ""
    libraries: str = ""
    max_new_tokens: int | None = None
    synthetic_caveat: str = ""
    mark: str = ""
    scores_measured: bool = False
    places_measured: bool = False
    meaningless: bool = False
    takes_indication: bool = False

    @property
    def synthetic_only(self) -> bool:
        """Whether its text says nothing about a patient: random weights, or trained on phantoms only."""
        return self.meaningless or bool(self.synthetic_caveat)


def never() -> bool:
    """Return False: nobody withdraws the question."""
    return False


class VisionLanguageModel(Protocol):
    """A model that reads films."""

    @property
    def checkpoint(self) -> Checkpoint:
        """What is running."""
        ...

    def answer(
        self,
        frame: NDArray[np.float32],
        task: Task,
        *,
        question: str = "",
        indication: str = "",
        questions: Sequence[str] = (),
        decoding: Decoding = ...,
        cancelled: Callable[[], bool] = never,
    ) -> Answer:
        """Return what the model says of one film.

        Args:
            frame: float32 [H, W] in 0..1, 0 black.
            task: What is asked.
            question: The words, for `Task.QUESTION`.
            indication: Why the film was ordered; for models that were trained to be told.
            questions: To be answered by yes or no, for `Answer.chances`.
            decoding: How tokens are chosen.
            cancelled: Asked before every token.

        Raises:
            GenerationError: The film or question cannot be used, or the logits are not finite.
            Cancelled: `cancelled` returned True.
        """
        ...

    def chances(self, frame: NDArray[np.float32], questions: Sequence[str]) -> tuple[float, ...]:
        """Return, for each question, the probability in 0..1 of "Yes" against "No"; no text is written.

        Raises:
            GenerationError: The film or a question cannot be used, or the logits are not finite.
        """
        ...
