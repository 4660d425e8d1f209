"""Turns a study into a draft and its objects: select the image, ask the model, code the text, build.

Uses neither Celery nor the database. Images are decoded in separate processes, objects are built in the
calling thread, and the engine's thread extends the answers of all callers by one token a step.
"""

import dataclasses
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.content.report import DraftReport, ModelIdentity, NotRead, Predecessor
from dicom.content.sr_document import load_tables
from dicom.decoding.pool import Decoders
from dicom.phantom import is_phantom
from dicom.results.outputs import Equipment, Output, build
from dicom.selection.image_selection import Examine, Rules, Selection, examine
from dicom.study import Study
from dicom.validation.same_patient import check_source
from service.jobs import ReasonCode
from service.settings.config import Settings
from workers.equipment import output_options, this_equipment
from workers.labeller.report_language import check_language
from workers.model.profiles.profile import Ability, Profile
from workers.model.profiles.reading_model import ReadingModel
from workers.model.profiles.report_text import report_text
from workers.model.prompts import Task
from workers.model.vlm import Answer, Checkpoint, Decoding, never
from workers.reading.abilities import lacks, limits
from workers.reading.agreement import sampled_beside
from workers.reading.draft_content import Content, content, shown_prompt
from workers.reading.error_mapping import reading_errors
from workers.reading.image_selection import ImageSelector, SelectedImage, check_wanted, pixel_limits
from workers.reading.indication import indication
from workers.reading.levels_writer import LevelsWriter
from workers.reading.model_loading import decoding, reading_model, sampling
from workers.reading.scores import QUESTIONS
from workers.reading.stopwatch import Stopwatch

_WARM_UP_PIXELS: Final = 64
_DEMO_CAVEAT: Final = (
    "It reads patients' images because this site has set reading.demo_reads_patients."
)
_MARK: Final = "MEANINGLESS TEXT"  # in the series description, 20 characters at most
_NO_CHANGE: Final = "The later images do not change which image is read: the earlier draft stands."


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """The result of a study that was read."""

    draft: DraftReport
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DraftedImage:
    """The draft of a study and the image that was read, before objects are built.

    Attributes:
        tokens: Number of tokens of the answer.
        ended: Whether the model ended the answer; otherwise the limit on new tokens cut it.
    """

    draft: DraftReport
    film: SelectedImage
    tokens: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAnalysed:
    """The result of a study without an image that may be read.

    Attributes:
        code: Reason code, such as NOT_FRONTAL.
        sentence: The reason, for the user.
        not_read: Each Instance and why it was not read.
    """

    code: str
    sentence: str
    not_read: tuple[NotRead, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged(NotAnalysed):
    """The selected image was read before: the model was not asked, the earlier draft stands."""


def _no_progress(line: str) -> None:
    """Discard a line of progress."""
    del line


class Reader:
    """Reads studies with a loaded model, by the site's settings; safe for several threads."""

    def __init__(
        self,
        model: ReadingModel,
        settings: Settings,
        equipment: Equipment,
        examine: Examine = examine,
        levels: LevelsWriter | None = None,
    ) -> None:
        """Set up the reader.

        Args:
            model: The engine that answers.
            settings: The site's settings.
            equipment: This installation.
            examine: Opens and checks an image, in this process or in another.
            levels: Writes the levels of the images that are read; None writes none.
        """
        self._model = model
        self._levels = levels
        self._decoding = decoding(settings, model.checkpoint.max_new_tokens, model.profile)
        self._sampling = sampling(settings, self._decoding)
        self._equipment = equipment
        self._chooser = ImageSelector(
            settings,
            examine,
            synthetic_only=model.checkpoint.synthetic_only,
            children=not lacks(model.checkpoint, Ability.CHILDREN),
        )
        self._options = output_options(settings)
        self._version = settings.reading.model_version
        self._questions = QUESTIONS if _asks_questions(settings, model) else ()

    @classmethod
    def from_settings(
        cls, settings: Settings, progress: Callable[[str], None] = _no_progress
    ) -> Self:
        """Load the model and let it answer once, so that no study waits for it; return the reader.

        Args:
            settings: The model, its folder and its device.
            progress: Called with a line before each slow step.

        Raises:
            PermanentReadingError: The checkpoint or the device does not fit the settings.
            TransientReadingError: Memory or the file system failed.
        """
        reading = settings.reading
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(cores)
        with reading_errors():
            # The decoder processes start while the model loads.
            decoders = Decoders(
                at_once=min(cores, reading.concurrency) + 1,  # one more for levels
                seconds=reading.decode_seconds,
                max_pixels=reading.max_pixels,
            )
            model = reading_model(settings, progress)
            blank = np.zeros((_WARM_UP_PIXELS, _WARM_UP_PIXELS), dtype=np.float32)
            model.answer(blank, Task.REPORT, decoding=Decoding(max_new_tokens=2))
            load_tables()
            decoders.wait_until_ready()
            levels = LevelsWriter(
                decoders.levels,
                pixel_limits(settings),
                spool_dir=settings.spool_dir,
                min_free_bytes=settings.receiver.min_free_bytes,
            )
            equipment = this_equipment(settings)
            return cls(model, settings, equipment, decoders.examine, levels)

    @property
    def checkpoint(self) -> Checkpoint:
        """The loaded weights, their device and number format."""
        return self._model.checkpoint

    @property
    def model(self) -> ReadingModel:
        """The model itself, for other questions than those of a draft."""
        return self._model

    @property
    def decoding(self) -> Decoding:
        """How the tokens of a draft are chosen."""
        return self._decoding

    @property
    def identity(self) -> ModelIdentity:
        """The model as each of its drafts records it."""
        checkpoint = self._model.checkpoint
        digest = checkpoint.profile_sha256
        profile = f", profile sha256:{digest[:16]}" if digest else ""
        return ModelIdentity(
            name=checkpoint.name,
            version=self._version,
            weights_sha256=checkpoint.weights_sha256,
            decoding=(
                f"{self._decoding.describe()}, {checkpoint.dtype} on {checkpoint.device}, "
                f"{checkpoint.libraries}, revision {checkpoint.revision}{profile}"
            ),
            caveat=checkpoint.caveat,
            mark=checkpoint.mark,
            licence=checkpoint.licence,
            intended_use=checkpoint.intended_use,
            cannot=checkpoint.cannot,
        )

    @property
    def profile(self) -> Profile | None:
        """The profile of the model; None: it is built in."""
        return self._model.profile

    def ask(self, frame: NDArray[np.float32]) -> Answer:
        """Return the model's answer about one image, as it was written.

        Args:
            frame: float32 [rows, columns] in 0..1, 0 black.

        Raises:
            ModelError: The image cannot be used, or the model failed.
        """
        return self._model.answer(
            frame, Task.REPORT, questions=self._questions, decoding=self._decoding
        )

    def identity_for(self, header: Dataset | None) -> ModelIdentity:
        """Return the model as the draft of this image records it: the caveat depends on the image."""
        model, checkpoint = self.identity, self._model.checkpoint
        if not checkpoint.synthetic_only:
            return model
        if header is None or not is_phantom(header):
            caveat = f"{checkpoint.caveat} {_DEMO_CAVEAT}".strip()
            return dataclasses.replace(model, caveat=caveat, mark=checkpoint.mark or _MARK)
        if checkpoint.synthetic_caveat:
            return dataclasses.replace(model, caveat=checkpoint.synthetic_caveat, mark="")
        return model

    def read(
        self,
        study: Study,
        *,
        revision: int,
        predecessor: Predecessor | None,
        produced_at: datetime,
        already_read: Collection[str] = (),
        urgent: bool = False,
        rules: Rules | None = None,
        cancelled: Callable[[], bool] = never,
    ) -> Drafted | NotAnalysed:
        """Return the draft of a study and its objects, or why there is none.

        Args:
            study: The Instances received so far.
            revision: Revision of the draft, from 1.
            predecessor: The draft report that this one supersedes.
            produced_at: The draft's time; the same arguments give the same objects.
            already_read: SOP Instance UIDs; if one of them is selected, the earlier draft stands.
            urgent: The model reads this study next.
            rules: Which images may be read; those of the settings when None.
            cancelled: Called between the parts of the work, and at every step of the model; a call also
                shows that the work makes progress.

        Raises:
            TransientReadingError: Memory, device or file system failed; a retry may succeed.
            PermanentReadingError: The image or the model's answer cannot become a draft.
            ReadingCancelled: `cancelled` returned True.
        """
        with reading_errors():
            clock = Stopwatch()
            read = self._drafted(
                study,
                clock,
                revision=revision,
                predecessor=predecessor,
                produced_at=produced_at,
                already_read=already_read,
                urgent=urgent,
                rules=rules,
                cancelled=cancelled,
            )
            if isinstance(read, NotAnalysed):
                return read
            draft, film = read.draft, read.film
            check_wanted(cancelled)
            outputs = build(draft, film.header, film.pixels, self._equipment, options=self._options)
            clock.mark("outputs")
            draft = dataclasses.replace(draft, timings_ms=clock.spent_ms)
            return Drafted(draft=draft, outputs=outputs)

    def draft(
        self,
        study: Study,
        *,
        produced_at: datetime,
        rules: Rules | None = None,
        cancelled: Callable[[], bool] = never,
    ) -> "DraftedImage | NotAnalysed":
        """Return the first draft of a study with its image, or why there is none; no objects are built.

        Raises:
            ReadingError: As `read`.
        """
        with reading_errors():
            clock = Stopwatch()
            read = self._drafted(
                study,
                clock,
                revision=1,
                predecessor=None,
                produced_at=produced_at,
                already_read=(),
                urgent=False,
                rules=rules,
                cancelled=cancelled,
            )
            if isinstance(read, NotAnalysed):
                return read
            draft = dataclasses.replace(read.draft, timings_ms=clock.spent_ms)
            return dataclasses.replace(read, draft=draft)

    def selected(
        self,
        study: Study,
        *,
        rules: Rules | None = None,
        cancelled: Callable[[], bool] = never,
    ) -> SelectedImage | NotAnalysed:
        """Return the image of a study that would be read, or why there is none.

        Raises:
            ReadingError: As `read`.
        """
        with reading_errors():
            selection = self._chooser.selected(study, rules, cancelled)
            film = SelectedImage.of(selection)
            return _unread(selection) if film is None else film

    def _drafted(  # noqa: PLR0913 - the keywords of `read`
        self,
        study: Study,
        clock: Stopwatch,
        *,
        revision: int,
        predecessor: Predecessor | None,
        produced_at: datetime,
        already_read: Collection[str],
        urgent: bool,
        rules: Rules | None,
        cancelled: Callable[[], bool],
    ) -> "DraftedImage | NotAnalysed":
        selection = self._chooser.selected(study, rules, cancelled)
        film = SelectedImage.of(selection)
        if film is None:
            return _unread(selection)
        if film.instance.sop_instance_uid in already_read:
            return Unchanged(
                code=ReasonCode.NO_CHANGE, sentence=_NO_CHANGE, not_read=selection.not_read
            )
        check_source(film.instance.path)
        if self._levels is not None:
            self._levels.write_later(film.instance.path)
        clock.mark("decode")
        check_wanted(cancelled)
        answered = self._answer(film, clock, urgent=urgent, cancelled=cancelled)
        model = self.identity_for(film.header)
        draft = DraftReport(
            study_instance_uid=study.study_instance_uid,
            source=film.source,
            revision=revision,
            produced_at=produced_at,
            findings_text=answered.content.findings_text,
            impression_text=answered.content.impression_text,
            findings=answered.content.findings,
            notes=(
                *film.notes,
                *answered.content.notes,
                *limits(self._model.checkpoint),
                *_sent_outside(self._model.checkpoint),
            ),
            model=dataclasses.replace(
                model, prompt=answered.prompt, decoding=model.decoding + answered.sampled
            ),
            not_read=selection.not_read,
            predecessor=predecessor,
            doubts=answered.content.doubts,
        )
        return DraftedImage(draft=draft, film=film, tokens=answered.tokens, ended=answered.ended)

    def _answer(
        self, film: SelectedImage, clock: Stopwatch, *, urgent: bool, cancelled: Callable[[], bool]
    ) -> "_AnswerContent":
        """Return the model's answer about an image, without questions and samples if meaningless."""
        checkpoint = self._model.checkpoint
        reason = indication(film.header) if checkpoint.takes_indication else ""
        meaningless = checkpoint.meaningless or (
            checkpoint.synthetic_only and not is_phantom(film.header)
        )
        samples = () if meaningless else self._sampling
        answer = self._model.answer(
            film.pixels,
            Task.PAEDIATRIC_REPORT if film.child else Task.REPORT,
            indication=reason,
            questions=() if meaningless else self._questions,
            decoding=self._decoding,
            urgent=urgent,
            cancelled=cancelled,
            samples=samples,
        )
        clock.mark("model", waited_ms=answer.timings_ms.get("wait", 0.0))
        answer = self._sectioned(answer)
        # Random weights that are marked as such are not expected to write language.
        if not checkpoint.meaningless:
            check_language(answer.text)
        answered = content(
            answer,
            film.pixels,
            child=film.child,
            reason=reason,
            meaningless=meaningless,
            samples=len(samples),
            locates=self._model.locates,
        )
        return _AnswerContent(
            answered,
            shown_prompt(answer, reason),
            sampled_beside(samples),
            len(answer.token_ids),
            answer.ended,
        )

    def _sectioned(self, answer: Answer) -> Answer:
        """Return an answer with the headings of the profile replaced by the general ones."""
        profile = self._model.profile
        if profile is None:
            return answer
        samples = tuple(report_text(text, profile.answer) for text in answer.samples)
        text = report_text(answer.text, profile.answer)
        return dataclasses.replace(answer, text=text, samples=samples)


@dataclass(frozen=True, slots=True)
class _AnswerContent:
    """An answer's content, the prompt as shown, and in `sampled` the samples' decoding, or ""."""

    content: Content
    prompt: str
    sampled: str
    tokens: int
    ended: bool


def _sent_outside(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the note of a draft whose image was sent to a server that may be outside the site."""
    if not checkpoint.remote_host:
        return ()
    note = (
        f"The image was sent to the server {checkpoint.remote_host}, which may be outside this site "
        "(the site has set allow_remote)."
    )
    return (note,)


def _unread(selection: Selection) -> NotAnalysed:
    return NotAnalysed(
        code=str(selection.reason), sentence=selection.sentence, not_read=selection.not_read
    )


def _asks_questions(settings: Settings, model: ReadingModel) -> bool:
    if lacks(model.checkpoint, Ability.SCORES):
        return False
    wanted = settings.reading.scores
    measured = model.checkpoint.scores_measured and wanted == "auto"
    return (measured or wanted == "on") and not model.checkpoint.meaningless
