"""The interface of all models: an image and a task go in; text, ids and timings come out.

`llava.Llava` implements it for one caller at a time, `engine.Engine` for many.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.model.prompts import Task


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Where in the image a model located what it answers yes to. Both arrays cover the same square.

    Attributes:
        cells: float32 [G, G], 0 or more: the share of each image token in the yes.
        detail: float32 [S, S] over the model's input pixels: how much the contrast of each pixel with
            its surroundings favored the yes; negative if it opposed it. None if the cells are fine
            enough or memory was short.
    """

    cells: NDArray[np.float32]
    detail: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How tokens are chosen.

    Attributes:
        temperature: Up to 0.001: greedy, repeatable to the token. Otherwise sampling.
        top_p: Sampling keeps the likeliest tokens that together have this probability.
        top_k: Sampling keeps this many tokens at most; 50 applied implicitly in the published code.
        seed: Seed of the sampling.
        max_new_tokens: Most tokens of an answer; the checkpoint may limit it further.
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


class VectorMethod(StrEnum):
    """How a model makes one vector of an image; a part of the name of the vector space.

    BIOMEDCLIP: LLaVA-Rad's image tower to its end, class token, head. CXR_CLIP: CXR-LLaVA's class token,
    projected. MEAN_TOKEN: the mean of the tokens that the language model receives.
    """

    BIOMEDCLIP = "biomedclip"
    CXR_CLIP = "cxr-clip"
    MEAN_TOKEN = "mean-token"  # noqa: S105 - no password


# Question -> heat map; None if memory was short or the image tokens form no grid.
Heat = Mapping[str, HeatMap | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model's answer.

    Attributes:
        text: As decoded, special tokens left out, not stripped.
        token_ids: The new ids; the last is `</s>` if the model ended the answer.
        token_scores: The log-probability that the model gave each of them.
        prompt: The rendered prompt, with `<image>` in place of the image.
        ended: Whether the model ended the answer; otherwise the limit on new tokens cut it.
        chances: For each of the `questions`, the probability in 0..1 that the model gives to "Yes"
            against "No".
        heat: Heat map of each question that is answered with yes and configured to be located.
        image_tokens: float32 [P, C], the image tokens that the decoder received.
        timings_ms: Milliseconds of "preprocess", "vision", "prefill", "questions", "decode"; of the
            engine also "wait".
        samples: The texts of those requested samples (further answers to the prompt) that succeeded.
        image_vector: float32 [D] of length 1, the image for a search by similarity; None if the model
            gives none.
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
    image_vector: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)


SERVED: Final = "served"  # in place of a number format: a server computes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The weights that a model runs, their device and number format, and properties of the model.

    Attributes:
        name: Name of the model, for people.
        revision: The snapshot's commit if its folder is named by it, otherwise the digest's start.
        weights_sha256: Digest over the weight files (see `weights.WeightFiles.sha256`).
        caveat: A sentence that must accompany every answer, or "".
        synthetic_caveat: The caveat for images that are marked as synthetic, or "" if it is the same.
        mark: The caveat in a few words, for the series description of other images, or "".
        device: "cpu", "cuda:0"; of a model behind a server its host.
        dtype: "float32", "bfloat16", "float16"; with the decoder's format if its weights are
            quantized: "bfloat16 (decoder int8)"; SERVED of a model behind a server.
        libraries: The versions of the libraries that compute.
        max_new_tokens: The checkpoint's own limit on an answer, or None.
        scores_measured: Whether the quality of its yes-or-no probabilities has been measured.
        places_measured: Whether the accuracy of its heat maps has been measured.
        meaningless: Whether its text has no meaning for the image: none of it may be coded.
        takes_indication: Whether it was trained with the indication in the prompt.
        licence: The licence of the weights, or "".
        intended_use: What its authors allow or intend, or "".
        profile_sha256: Digest of its profile's content, or "" if it is built in.
        cannot: What it cannot do, in words: the values of `profiles.profile.Ability`.
        vector_space: Name of the space of its image vectors, by method and weights; "": it gives none.
        remote_host: Host of a server that may be outside the site and gets the images; "" for none.
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
    licence: str = ""
    intended_use: str = ""
    profile_sha256: str = ""
    cannot: tuple[str, ...] = ()
    vector_space: str = ""
    remote_host: str = ""

    @property
    def synthetic_only(self) -> bool:
        """Whether its text has no meaning for a patient: random weights, or trained on phantoms only."""
        return self.meaningless or bool(self.synthetic_caveat)


def never() -> bool:
    """Return False: the request is never withdrawn."""
    return False


class VisionLanguageModel(Protocol):
    """A model that reads images."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The loaded weights."""
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
        canceled: Callable[[], bool] = never,
    ) -> Answer:
        """Return the model's answer about one image.

        Args:
            frame: float32 [H, W] in 0..1, 0 black.
            task: The kind of prompt.
            question: The text, for `Task.QUESTION`.
            indication: Why the image was ordered; for models that were trained with it.
            questions: Yes-or-no questions, for `Answer.chances`.
            decoding: How tokens are chosen.
            canceled: Called before every token; True ends the answer.

        Raises:
            GenerationError: The image or question cannot be used, or the logits are not finite.
            Canceled: `canceled` returned True.
        """
        ...

    def chances(self, frame: NDArray[np.float32], questions: Sequence[str]) -> tuple[float, ...]:
        """Return, for each question, the probability in 0..1 of "Yes" against "No"; no text is written.

        Raises:
            GenerationError: The image or a question cannot be used, or the logits are not finite.
        """
        ...
