"""Turns a study into a draft and its objects: select the image, ask the model, code the text, build.

Uses neither Celery nor the database. Images are decoded in separate processes, objects are built in the
calling thread, and the engine's thread extends the answers of all callers by one token a step.
"""

import dataclasses
import os
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.content.report import DraftReport, ModelIdentity, Predecessor
from dicom.content.sr_document import load_tables
from dicom.decoding.pool import Decoders
from dicom.results.outputs import Equipment, build
from dicom.selection.image_selection import Examine, Rules, examine
from dicom.study import Study
from dicom.validation.same_patient import check_source
from service.jobs import ReasonCode
from service.settings.config import Settings
from workers.equipment import output_options, this_equipment
from workers.model.profiles.profile import Ability, Profile
from workers.model.profiles.reading_model import ReadingModel
from workers.model.vlm import Answer, Checkpoint, Decoding, never
from workers.reading.abilities import lacks, limits, refuses_patients
from workers.reading.error_mapping import reading_errors
from workers.reading.image_selection import ImageSelector, SelectedImage, check_not_canceled
from workers.reading.levels_writer import LevelsWriter
from workers.reading.model_answer import ModelAnswers, Stopwatch
from workers.reading.model_identity import model_identity, sent_outside, with_image_caveat
from workers.reading.model_loading import answer_once, no_progress, reading_model
from workers.reading.outcomes import Drafted, DraftedImage, NotAnalysed, Unchanged, without_image

_NO_CHANGE: Final = (
    "The later images do not change the selected image: the earlier draft remains valid."
)


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
        self._answers = ModelAnswers(model, settings)
        self._equipment = equipment
        self._chooser = ImageSelector(
            settings,
            examine,
            synthetic_only=model.checkpoint.synthetic_only,
            synthetic_reason=refuses_patients(model.profile),
            children=not lacks(model.checkpoint, Ability.CHILDREN),
        )
        self._options = output_options(settings)
        self._version = settings.reading.model_version

    @classmethod
    def from_settings(
        cls, settings: Settings, progress: Callable[[str], None] = no_progress
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
            answer_once(model)
            load_tables()
            decoders.wait_until_ready()
            levels = LevelsWriter.from_settings(settings, decoders.levels)
            return cls(model, settings, this_equipment(settings), decoders.examine, levels)

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
        return self._answers.decoding

    @property
    def identity(self) -> ModelIdentity:
        """The model as each of its drafts records it."""
        return model_identity(self._model.checkpoint, self.decoding, self._version)

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
        return self._answers.ask(frame)

    def identity_for(self, header: Dataset | None) -> ModelIdentity:
        """Return the model as the draft of this image records it: the caveat depends on the image."""
        return with_image_caveat(self.identity, self._model.checkpoint, header)

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
        canceled: Callable[[], bool] = never,
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
            canceled: Called between the parts of the work, and at every step of the model; a call also
                shows that the work makes progress.

        Raises:
            TransientReadingError: Memory, device or file system failed; a retry may succeed.
            PermanentReadingError: The image or the model's answer cannot become a draft.
            ReadingCanceled: `canceled` returned True.
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
                canceled=canceled,
            )
            if isinstance(read, NotAnalysed):
                return read
            draft, image = read.draft, read.image
            check_not_canceled(canceled)
            outputs = build(
                draft, image.header, image.pixels, self._equipment, options=self._options
            )
            clock.mark("outputs")
            draft = dataclasses.replace(draft, timings_ms=clock.spent_ms)
            return Drafted(draft=draft, outputs=outputs, vector=read.vector)

    def draft(
        self,
        study: Study,
        *,
        produced_at: datetime,
        rules: Rules | None = None,
        canceled: Callable[[], bool] = never,
    ) -> DraftedImage | NotAnalysed:
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
                canceled=canceled,
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
        canceled: Callable[[], bool] = never,
    ) -> SelectedImage | NotAnalysed:
        """Return the image of a study that would be read, or why there is none.

        Raises:
            ReadingError: As `read`.
        """
        with reading_errors():
            selection = self._chooser.selected(study, rules, canceled)
            image = SelectedImage.of(selection)
            return without_image(selection) if image is None else image

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
        canceled: Callable[[], bool],
    ) -> DraftedImage | NotAnalysed:
        selection = self._chooser.selected(study, rules, canceled)
        image = SelectedImage.of(selection)
        if image is None:
            return without_image(selection)
        if image.instance.sop_instance_uid in already_read:
            return Unchanged(
                code=ReasonCode.NO_CHANGE, sentence=_NO_CHANGE, not_read=selection.not_read
            )
        check_source(image.instance.path)
        if self._levels is not None:
            self._levels.write_later(image.instance.path)
        clock.mark("decode")
        check_not_canceled(canceled)
        answered = self._answers.content_of(image, clock, urgent=urgent, canceled=canceled)
        model = self.identity_for(image.header)
        draft = DraftReport(
            study_instance_uid=study.study_instance_uid,
            source=image.source,
            revision=revision,
            produced_at=produced_at,
            findings_text=answered.content.findings_text,
            impression_text=answered.content.impression_text,
            findings=answered.content.findings,
            notes=(
                *image.notes,
                *answered.content.notes,
                *limits(self._model.checkpoint),
                *sent_outside(self._model.checkpoint),
            ),
            model=dataclasses.replace(
                model, prompt=answered.prompt, decoding=model.decoding + answered.sampled
            ),
            not_read=selection.not_read,
            predecessor=predecessor,
            doubts=answered.content.doubts,
        )
        return DraftedImage(
            draft=draft,
            image=image,
            tokens=answered.tokens,
            ended=answered.ended,
            vector=answered.vector,
        )
