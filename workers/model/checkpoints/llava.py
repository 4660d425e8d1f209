"""The common part of the models: images and a chat go in, the next turn comes out, greedy or sampled.

A model's own module adds its files, its preprocessing and the layout of its chat.
"""

import dataclasses
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from workers.model import preprocess, prompts
from workers.model.attribution import attention_attribution, yes_no
from workers.model.attribution.integrated_gradients import details
from workers.model.errors import GenerationError, PromptTooLong
from workers.model.networks import generate
from workers.model.networks.generate import Writing
from workers.model.networks.language import KVCache
from workers.model.networks.multimodal import Multimodal, Passage
from workers.model.prompts import IMAGE_SENTINEL, Task, Turn
from workers.model.tokenizer import Tokenizer
from workers.model.vlm import Answer, Checkpoint, Decoding, Heat, HeatMap, never

_EVEN: Final = 0.5  # probability from which the answer is yes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits on the length of a chat.

    Attributes:
        token_budget: Most ids of prompt and answer together, an image counting as one.
        positions: Positions of the rotary range, an image counting as all of its tokens.
        new_tokens: The checkpoint's own limit on an answer, or None.
    """

    token_budget: int
    positions: int
    new_tokens: int | None


class Llava(ABC):
    """A loaded model; answers one caller at a time.

    Attributes:
        located: Questions of which a yes gets a heat map, for `Answer.heat`.
    """

    def __init__(
        self, network: Multimodal, tokenizer: Tokenizer, limits: Limits, checkpoint: Checkpoint
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.limits = limits
        self.checkpoint = checkpoint
        self.located: frozenset[str] = frozenset()

    @abstractmethod
    def pixel_values(self, image: Image.Image) -> NDArray[np.float32]:
        """Return float32 [1, channels, S, S], the image as the tower was trained on it."""

    @abstractmethod
    def chat(self, task: Task, question: str = "", indication: str = "") -> tuple[Turn, ...]:
        """Return the turns that ask `task` about one image."""

    @abstractmethod
    def render(self, turns: Sequence[Turn]) -> str:
        """Return a chat in the layout that the model was trained on."""

    def ends(self, ids: list[int]) -> bool:
        """Return whether an answer is over."""
        return generate.ends(ids, self.tokenizer)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.network.lm_head.weight.device

    def answer(
        self,
        frame: NDArray[np.float32],
        task: Task,
        *,
        question: str = "",
        indication: str = "",
        questions: Sequence[str] = (),
        decoding: Decoding = Decoding(),  # noqa: B008 - frozen
        canceled: Callable[[], bool] = never,
    ) -> Answer:
        """Return the model's answer about one image; see `vlm.VisionLanguageModel.answer`."""
        start = time.perf_counter()
        pixels = self.pixel_values(preprocess.gray_image(frame))
        spent = (time.perf_counter() - start) * 1000
        turns = self.chat(task, question, indication)
        answer = self.converse(pixels, turns, decoding, canceled, questions)
        return dataclasses.replace(answer, timings_ms={"preprocess": spent, **answer.timings_ms})

    @torch.inference_mode()
    def chances(self, frame: NDArray[np.float32], questions: Sequence[str]) -> tuple[float, ...]:
        """Return the probability of "Yes" against "No" for each question about one image."""
        pixels = self.pixel_values(preprocess.gray_image(frame))
        images = self.network.image_tokens(torch.from_numpy(pixels).to(self.device))
        ids = self.prompt_ids(self.chat(Task.REPORT))
        lead = self.network.splice(ids[: ids.index(IMAGE_SENTINEL) + 1], images)
        passage = Passage(self.network, slots=len(lead))
        passage.read(lead)
        return self.chances_behind(passage.branch, ids, questions)

    @torch.inference_mode()
    def image_vector(self, frame: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the vector of one image, as `Answer.image_vector`; no text is written.

        Raises:
            GenerationError: The image cannot be used.
        """
        pixels = torch.from_numpy(self.pixel_values(preprocess.gray_image(frame)))
        return usable_vector(self.network.read_images(pixels.to(self.device)).vectors[0])

    @torch.inference_mode()
    def converse(
        self,
        pixels: NDArray[np.float32],
        turns: Sequence[Turn],
        decoding: Decoding,
        canceled: Callable[[], bool] = never,
        questions: Sequence[str] = (),
    ) -> Answer:
        """Return the assistant's next turn of a chat about one or more images.

        Args:
            pixels: float32 [B, channels, S, S] normalized, one for each `<image>` in the chat.
            turns: The chat so far.
            decoding: How tokens are chosen.
            canceled: Called before every token; True ends the answer.
            questions: Yes-or-no questions about the only image.

        Raises:
            GenerationError: The chat does not fit the images or the decoder's length, or the logits
                are not finite.
            Canceled: `canceled` returned True.
        """
        marks = [time.perf_counter()]
        ids = self.prompt_ids(turns)
        features = self.network.read_images(torch.from_numpy(pixels).to(self.device))
        images = features.tokens
        marks.append(time.perf_counter())
        embeds = self.network.splice(ids, images)
        writing = Writing(self.bounded(decoding, ids, len(embeds)), self.ends)
        passage = Passage(self.network, slots=len(embeds) + writing.decoding.max_new_tokens)
        first = passage.read(embeds)[-1]
        marks.append(time.perf_counter())
        chances = self.chances_behind(passage.branch, ids, questions)
        heat = self.looked(pixels, passage.cache, ids, questions, chances)
        marks.append(time.perf_counter())
        generate.generate(first, passage.step, writing, canceled)
        marks.append(time.perf_counter())
        spent = [(after - before) * 1000 for before, after in itertools.pairwise(marks)]
        return dataclasses.replace(
            self.finished(writing, turns, images, features.vectors[0]),
            chances=chances,
            heat=heat,
            timings_ms=dict(zip(("vision", "prefill", "questions", "decode"), spent, strict=True)),
        )

    def finished(
        self, writing: Writing, turns: Sequence[Turn], images: Tensor, vector: Tensor
    ) -> Answer:
        """Return the written ids as an answer, without timings.

        Args:
            writing: The ids.
            turns: The chat.
            images: Image tokens [B, P, C].
            vector: The vector [D] of the first image.
        """
        return Answer(
            text=self.tokenizer.decode(writing.ids),
            token_ids=tuple(writing.ids),
            token_scores=tuple(writing.scores),
            prompt=self.render(turns),
            ended=self.ends(writing.ids),
            image_tokens=images.flatten(0, 1).float().cpu().numpy(),
            image_vector=usable_vector(vector),
        )

    def prompt_ids(self, turns: Sequence[Turn], beginning: str = "") -> list[int]:
        """Return the ids of a chat and of the beginning of its answer, a sentinel for each image."""
        return prompts.prompt_ids(self.tokenizer, self.render(turns) + beginning)

    def bounded(self, decoding: Decoding, ids: Sequence[int], length: int) -> Decoding:
        """Return `decoding` with no more new tokens than there is room for.

        Args:
            decoding: The requested settings.
            ids: Ids of the prompt.
            length: Length of the spliced prompt, in tokens.

        Raises:
            PromptTooLong: There is room for no new token.
        """
        # The published budget counts an image as one token; the rotary range counts all its tokens.
        room = min(
            decoding.max_new_tokens,
            self.limits.token_budget - len(ids) - 1,
            self.limits.positions - length,
            self.limits.new_tokens or decoding.max_new_tokens,
        )
        if room < 1:
            raise PromptTooLong(f"the prompt of {length} tokens leaves no room for an answer")
        return dataclasses.replace(decoding, max_new_tokens=room)

    def chances_behind(
        self,
        branch: Callable[[int, Sequence[Sequence[int]]], list[Tensor]],
        read: Sequence[int],
        questions: Sequence[str],
    ) -> tuple[float, ...]:
        """Return the probabilities of yes for questions about an image that has been read.

        Args:
            branch: `Passage.branch` of a sequence that begins with the ids `read`.
            read: At least the image's sentinel and all ids before it.
            questions: Yes-or-no questions.

        Raises:
            GenerationError: The prompt layout allows one question only, or logits are not finite.
        """
        if not questions:
            return ()
        rows = [row for question in questions for row in yes_no.rows(self, read, question)]
        length = read.index(IMAGE_SENTINEL) + self.network.tokens_per_image
        logits = branch(length, [row.ids[:-1] for row in rows])
        answers = yes_no.answer_log_probabilities(logits, rows)
        if not torch.isfinite(answers).all():
            raise GenerationError("the model computed logits that are not finite")
        return tuple(answers.softmax(-1)[:, 0].tolist())

    def looked(
        self,
        pixels: NDArray[np.float32],
        cache: KVCache,
        read: Sequence[int],
        questions: Sequence[str],
        chances: Sequence[float],
    ) -> Heat:
        """Return a heat map for each question of `located` that is answered with yes.

        Args:
            pixels: float32 [1, channels, S, S] normalized: the image that was read.
            cache: Row 0 is a sequence that begins with the ids `read`.
            read: At least the image's sentinel and all ids before it.
            questions: The questions that were asked.
            chances: The probability of yes for each.
        """
        asked = zip(questions, chances, strict=True)
        located = [one for one, chance in asked if one in self.located and chance >= _EVEN]
        rows = [yes_no.rows(self, read, question) for question in located]
        lead = read.index(IMAGE_SENTINEL)
        cells = attention_attribution.heat_maps(self.network, cache, lead, rows)
        finer = details(self.network, pixels, read[: lead + 1], rows)
        maps = [
            None if one is None else HeatMap(one, detail)
            for one, detail in zip(cells, finer, strict=True)
        ]
        return dict(zip(located, maps, strict=True))


def usable_vector(vector: Tensor) -> NDArray[np.float32] | None:
    """Return a vector [D] as an array; None if it is zero or not finite."""
    found: NDArray[np.float32] = vector.float().cpu().numpy()
    return found if np.isfinite(found).all() and found.any() else None
