"""Asks the loaded model about one image and turns its answer into the content of a draft."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicom.phantom import is_phantom
from service.records.search import ImageVector
from service.settings.config import Settings
from workers.labeller.report_language import check_language
from workers.model.profiles.profile import Ability
from workers.model.profiles.reading_model import ReadingModel
from workers.model.profiles.report_text import report_text
from workers.model.prompts import Task
from workers.model.vlm import Answer
from workers.reading.abilities import lacks
from workers.reading.content.agreement import sampled_beside
from workers.reading.content.draft_content import Content, content, shown_prompt
from workers.reading.content.scores import QUESTIONS
from workers.reading.image_selection import SelectedImage
from workers.reading.image_vector import image_vector
from workers.reading.indication import indication
from workers.reading.language_remedy import language_remedy
from workers.reading.model_loading import decoding, sampling


class Stopwatch:
    """Measures milliseconds between marks."""

    def __init__(self) -> None:
        self.spent_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, name: str, *, waited_ms: float | None = None) -> None:
        """Record the time since the last mark under `name`, but `waited_ms` of it under "wait"."""
        now = time.perf_counter()
        if waited_ms is not None:
            self.spent_ms["wait"] = round(waited_ms, 1)
        self.spent_ms[name] = round((now - self._last) * 1000 - (waited_ms or 0.0), 1)
        self._last = now


@dataclass(frozen=True, slots=True)
class AnswerContent:
    """An answer's content, the prompt as shown, and in `sampled` the samples' decoding, or ""."""

    content: Content
    prompt: str
    sampled: str
    tokens: int
    ended: bool
    vector: ImageVector | None = None


class ModelAnswers:
    """Asks one model with the decoding, the questions and the samples that the site has set.

    Attributes:
        decoding: How the tokens of a draft are chosen.
    """

    def __init__(self, model: ReadingModel, settings: Settings) -> None:
        """Derive the options of each request from the settings and the abilities of the model."""
        self._model = model
        self.decoding = decoding(settings, model.checkpoint.max_new_tokens, model.profile)
        self._sampling = sampling(settings, self.decoding)
        self._questions = QUESTIONS if _asks_questions(settings, model) else ()

    def ask(self, frame: NDArray[np.float32]) -> Answer:
        """Return the model's answer about one image, as it was written.

        Args:
            frame: float32 [rows, columns] in 0..1, 0 black.

        Raises:
            ModelError: The image cannot be used, or the model failed.
        """
        return self._model.answer(
            frame, Task.REPORT, questions=self._questions, decoding=self.decoding
        )

    def content_of(
        self, image: SelectedImage, clock: Stopwatch, *, urgent: bool, canceled: Callable[[], bool]
    ) -> AnswerContent:
        """Return the content of the model's answer about a selected image.

        A model whose text is meaningless for this image gets no questions and writes no samples.

        Args:
            image: The image to read.
            clock: Takes the time of the model, and of waiting for it.
            urgent: The model reads this image next.
            canceled: As `Reader.read` takes it.

        Raises:
            EmptyText: The answer has no text.
            ModelError: The image cannot be used, or the model failed.
            ReadingCanceled: `canceled` returned True.
        """
        checkpoint = self._model.checkpoint
        reason = indication(image.header) if checkpoint.takes_indication else ""
        meaningless = checkpoint.meaningless or (
            checkpoint.synthetic_only and not is_phantom(image.header)
        )
        samples = () if meaningless else self._sampling
        answer = self._model.answer(
            image.pixels,
            Task.PAEDIATRIC_REPORT if image.child else Task.REPORT,
            indication=reason,
            questions=() if meaningless else self._questions,
            decoding=self.decoding,
            urgent=urgent,
            canceled=canceled,
            samples=samples,
        )
        clock.mark("model", waited_ms=answer.timings_ms.get("wait", 0.0))
        answer = self._sectioned(answer)
        # Random weights that are marked as such are not expected to write language.
        if not checkpoint.meaningless:
            check_language(answer.text, language_remedy(self._model))
        answered = content(
            answer,
            image.pixels,
            child=image.child,
            reason=reason,
            meaningless=meaningless,
            samples=len(samples),
            locates=self._model.locates,
        )
        return AnswerContent(
            answered,
            shown_prompt(answer, reason),
            sampled_beside(samples),
            len(answer.token_ids),
            answer.ended,
            image_vector(checkpoint, answer.image_vector),
        )

    def _sectioned(self, answer: Answer) -> Answer:
        """Return an answer with the headings of the profile replaced by the general ones."""
        profile = self._model.profile
        if profile is None:
            return answer
        samples = tuple(report_text(text, profile.answer) for text in answer.samples)
        text = report_text(answer.text, profile.answer)
        return dataclasses.replace(answer, text=text, samples=samples)


def _asks_questions(settings: Settings, model: ReadingModel) -> bool:
    if lacks(model.checkpoint, Ability.SCORES):
        return False
    setting = settings.reading.scores
    measured = model.checkpoint.scores_measured and setting == "auto"
    return (measured or setting == "on") and not model.checkpoint.meaningless
