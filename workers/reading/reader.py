"""A study becomes a draft and its objects: choose the film, ask the model, code the text, build.

Knows no Celery and no database. Films are decoded in processes of their own and objects built by the
calling thread, while the engine's thread gives each of its callers' answers a token a step.
"""

import dataclasses
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import numpy as np
import torch
from pydicom.dataset import Dataset

from dicom.content.report import DraftReport, ModelIdentity, NotRead, Predecessor
from dicom.content.sr_document import load_tables
from dicom.decoding.pool import Decoders
from dicom.phantom import is_phantom
from dicom.results.outputs import Equipment, Output, build
from dicom.selection.image_selection import Look, Rules, Selection, look
from dicom.study import Study
from dicom.validation.same_patient import check_source
from service.settings.config import Settings
from workers.equipment import output_options, this_equipment
from workers.labeller.report_language import insist_on_language
from workers.model.engine.engine import Engine
from workers.model.prompts import Task
from workers.model.vlm import Checkpoint, Decoding, never
from workers.reading.agreement import sampled_beside
from workers.reading.draft_content import Content, content, shown_prompt
from workers.reading.error_mapping import reading_errors
from workers.reading.image_selection import ImageSelector, SelectedImage, go_on
from workers.reading.indication import indication
from workers.reading.model_loading import decoding, opened, rows, sampling
from workers.reading.scores import QUESTIONS
from workers.reading.stopwatch import Stopwatch

_WARM_UP_PIXELS: Final = 64
_INSISTED: Final = (
    "It reads patients' images because this site has set reading.demo_reads_patients."
)
_MARK: Final = "MEANINGLESS TEXT"  # in the series description, 20 characters at most
_NO_CHANGE: Final = "The later films do not change what is read: the earlier draft stands."


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A study was read."""

    draft: DraftReport
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAnalysed:
    """A study holds nothing that may be read.

    Attributes:
        code: Machine word, such as NOT_FRONTAL.
        sentence: The reason, for a person.
        not_read: Each film and why it was not read.
    """

    code: str
    sentence: str
    not_read: tuple[NotRead, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged(NotAnalysed):
    """The film that would be read was read before: the model was not asked, the draft stands."""


def _unsaid(line: str) -> None:
    """Take a line of progress that nobody asked for."""
    del line


class Reader:
    """A loaded model and what a site wants read; safe for several threads."""

    def __init__(
        self,
        model: Engine,
        settings: Settings,
        equipment: Equipment,
        look: Look = look,
    ) -> None:
        """Take what reads.

        Args:
            model: What answers.
            settings: What the site wants.
            equipment: This installation.
            look: How a film is looked at: here, or in a process of its own.
        """
        self._model = model
        self._decoding = decoding(settings, model.checkpoint.max_new_tokens)
        self._sampling = sampling(settings, self._decoding)
        self._equipment = equipment
        self._chooser = ImageSelector(
            settings, look, synthetic_only=model.checkpoint.synthetic_only
        )
        self._options = output_options(settings)
        self._version = settings.reading.model_version
        self._questions = QUESTIONS if _asks(settings, model) else ()

    @classmethod
    def from_settings(cls, settings: Settings, progress: Callable[[str], None] = _unsaid) -> Self:
        """Return a reader whose model is loaded and has answered once, so that no study waits for it.

        Args:
            settings: What is loaded, from where, on what.
            progress: Takes a line before each step that lasts.

        Raises:
            PermanentReadingError: The checkpoint or the device is not what the settings say.
            TransientReadingError: Memory or the file system refused.
        """
        reading = settings.reading
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(cores)
        with reading_errors():
            # They get ready while the model is loaded.
            decoders = Decoders(
                at_once=min(cores, reading.concurrency),
                seconds=reading.decode_seconds,
                max_pixels=reading.max_pixels,
            )
            progress(f"loading {reading.model} on {reading.device} ...")
            loaded = opened(settings)
            if reading.compile:
                progress("compiling (reading.compile), which takes minutes ...")
            # The worker replaces itself sooner; this is for who has no worker around the engine.
            patience = 2 * reading.hang_seconds
            model = Engine(
                loaded,
                rows=rows(settings),
                new_tokens=reading.max_new_tokens,
                patience=patience,
                compiled=reading.compile,
            )
            blank = np.zeros((_WARM_UP_PIXELS, _WARM_UP_PIXELS), dtype=np.float32)
            model.answer(blank, Task.REPORT, decoding=Decoding(max_new_tokens=2))
            load_tables()
            decoders.wait_until_ready()
            return cls(model, settings, this_equipment(settings), decoders.look)

    @property
    def checkpoint(self) -> Checkpoint:
        """Which weights read, where and as what."""
        return self._model.checkpoint

    @property
    def identity(self) -> ModelIdentity:
        """Which model reads, as each of its drafts records it."""
        checkpoint = self._model.checkpoint
        return ModelIdentity(
            name=checkpoint.name,
            version=self._version,
            weights_sha256=checkpoint.weights_sha256,
            decoding=(
                f"{self._decoding.describe()}, {checkpoint.dtype} on {checkpoint.device}, "
                f"{checkpoint.libraries}, revision {checkpoint.revision}"
            ),
            caveat=checkpoint.caveat,
            mark=checkpoint.mark,
        )

    def identity_for(self, header: Dataset | None) -> ModelIdentity:
        """Return which model reads a film: a demo model's caveat is milder on a synthetic one."""
        model, checkpoint = self.identity, self._model.checkpoint
        if not checkpoint.synthetic_only:
            return model
        if header is None or not is_phantom(header):
            caveat = f"{checkpoint.caveat} {_INSISTED}".strip()
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
            study: The films received so far.
            revision: Of the draft, from 1.
            predecessor: The draft report that this one supersedes.
            produced_at: The draft's time; the same arguments give the same objects.
            already_read: SOP Instance UIDs of films; an earlier draft stands if one of them would be
                read.
            urgent: It is the next that the model reads.
            rules: Which films may be read; those of the settings when None.
            cancelled: Asked between the parts of the work, and at every step of the model; being asked
                is a sign that the work goes on.

        Raises:
            TransientReadingError: Memory, device or file system refused; later it may not.
            PermanentReadingError: The film or the model's answer cannot become a draft.
            ReadingCancelled: `cancelled` returned True.
        """
        with reading_errors():
            clock = Stopwatch()
            selection = self._chooser.selected(study, rules, cancelled)
            film = SelectedImage.of(selection)
            if film is None:
                return _unread(selection)
            if film.instance.sop_instance_uid in already_read:
                return Unchanged(code="NO_CHANGE", sentence=_NO_CHANGE, not_read=selection.not_read)
            check_source(film.instance.path)
            clock.mark("decode")
            go_on(cancelled)
            said = self._said(film, clock, urgent=urgent, cancelled=cancelled)
            model = self.identity_for(film.header)
            draft = DraftReport(
                study_instance_uid=study.study_instance_uid,
                source=film.source,
                revision=revision,
                produced_at=produced_at,
                findings_text=said.content.findings_text,
                impression_text=said.content.impression_text,
                findings=said.content.findings,
                notes=(*film.notes, *said.content.notes),
                model=dataclasses.replace(
                    model, prompt=said.prompt, decoding=model.decoding + said.sampled
                ),
                not_read=selection.not_read,
                predecessor=predecessor,
            )
            go_on(cancelled)
            outputs = build(draft, film.header, film.pixels, self._equipment, options=self._options)
            clock.mark("outputs")
            draft = dataclasses.replace(draft, timings_ms=clock.spent_ms)
            return Drafted(draft=draft, outputs=outputs)

    def _said(
        self, film: SelectedImage, clock: Stopwatch, *, urgent: bool, cancelled: Callable[[], bool]
    ) -> "_Said":
        """Return what the model says of a film; what it does not know it is not asked for as a code."""
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
        if (
            not checkpoint.meaningless
        ):  # random weights that say so are not expected to write language
            insist_on_language(answer.text)
        said = content(
            answer,
            film.pixels,
            child=film.child,
            reason=reason,
            meaningless=meaningless,
            samples=len(samples),
            locates=bool(self._model.model.located),
        )
        return _Said(said, shown_prompt(answer, reason), sampled_beside(samples))


@dataclass(frozen=True, slots=True)
class _Said:
    """What a model said of a film, and how it was asked; `sampled`: beside what, or ""."""

    content: Content
    prompt: str
    sampled: str


def _unread(selection: Selection) -> NotAnalysed:
    return NotAnalysed(
        code=str(selection.reason), sentence=selection.sentence, not_read=selection.not_read
    )


def _asks(settings: Settings, model: Engine) -> bool:
    wanted = settings.reading.scores
    measured = model.checkpoint.scores_measured and wanted == "auto"
    return (measured or wanted == "on") and not model.checkpoint.meaningless
