"""Selects the image of a study that is read; stops when the reading was canceled."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.content.report import SourceImage
from dicom.errors import DecoderDied, DecodersBusy
from dicom.pixels.frame import PixelLimits
from dicom.reasons import Reason
from dicom.selection.image_selection import Examine, Examined, Rules, Selection, choose
from dicom.study import Instance, Study
from service.errors import PermanentReadingError
from service.settings.config import Settings
from service.settings.keys.sections import Caller
from workers.model.errors import Canceled

_BYTES_A_PIXEL: Final = 4  # 16 bits, and as much again for the rest of the file


@dataclass(frozen=True, slots=True, eq=False)
class SelectedImage:
    """The selected image; `pixels` is float32 [rows, columns] in 0..1, 0 black."""

    instance: Instance
    header: Dataset
    pixels: NDArray[np.float32]
    child: bool
    notes: tuple[str, ...]

    @classmethod
    def of(cls, selection: Selection) -> Self | None:
        """Return the image of a selection, or None if nothing was selected."""
        if selection.instance is None or selection.frame is None or selection.header is None:
            return None
        return cls(
            selection.instance,
            selection.header,
            selection.frame.pixels,
            selection.child,
            selection.notes,
        )

    @property
    def source(self) -> SourceImage:
        """The image as a draft references it."""
        rows, columns = self.pixels.shape
        return SourceImage(
            sop_instance_uid=self.instance.sop_instance_uid,
            sop_class_uid=self.instance.sop_class_uid,
            series_instance_uid=self.instance.series_instance_uid,
            rows=rows,
            columns=columns,
        )


class ImageSelector:
    """Selects images by the site's settings; safe for several threads."""

    def __init__(
        self,
        settings: Settings,
        examine: Examine,
        *,
        synthetic_only: bool = False,
        synthetic_reason: str = Reason.NO_MODEL_FOR_PATIENTS.sentence,
        children: bool = True,
    ) -> None:
        """Derive the rules and the pixel limits.

        Args:
            settings: The site's settings.
            examine: Opens and checks one image.
            synthetic_only: The model says nothing about a patient. Patients' images are then read
                only if `reading.demo_reads_patients` is set.
            synthetic_reason: The sentence for a patient's study that is not read for this reason.
            children: The model has a prompt for images of children; otherwise none is read.
        """
        self._examine = examine
        self._synthetic_only = synthetic_only and not settings.reading.demo_reads_patients
        self._synthetic_reason = synthetic_reason
        self._children = children
        self._rules = Rules(
            minimum_age_years=settings.reading.minimum_age_years,
            read_children=settings.reading.read_children,
        )
        self._limits = pixel_limits(settings)

    def selected(
        self, study: Study, rules: Rules | None, canceled: Callable[[], bool]
    ) -> Selection:
        """Return which image is read, by `rules` or by those of the settings.

        Raises:
            PermanentReadingError: No image was selected and the decoder died on one: a person must
                look at it.
            Canceled: `canceled` returned True.
        """
        decoder_exits: list[DecoderDied] = []

        def examine(path: Path, limits: PixelLimits) -> Examined:
            try:
                return self._looked(path, limits, canceled)
            except DecoderDied as error:
                decoder_exits.append(error)
                raise

        applied = rules or self._rules
        children = applied.read_children and self._children
        applied = replace(
            applied,
            synthetic_only=self._synthetic_only,
            synthetic_reason=self._synthetic_reason,
            read_children=children,
        )
        selection = choose(study, applied, self._limits, examine)
        if selection.instance is None and decoder_exits:
            raise PermanentReadingError(
                f"An image of the study cannot be read: {decoder_exits[0]}."
            )
        return selection

    def _looked(self, path: Path, limits: PixelLimits, canceled: Callable[[], bool]) -> Examined:
        """Look at one image; retry while all decoders are busy, so that waiting is no hang."""
        while True:
            check_not_canceled(canceled)
            with contextlib.suppress(DecodersBusy):
                return self._examine(path, limits)


def pixel_limits(settings: Settings) -> PixelLimits:
    """Return the upper limits of an image that is decoded."""
    pixels = settings.reading.max_pixels
    return PixelLimits(max_pixels=pixels, max_bytes=_BYTES_A_PIXEL * pixels)


def check_not_canceled(canceled: Callable[[], bool]) -> None:
    """Check that the draft is still needed.

    Raises:
        Canceled: `canceled` returned True.
    """
    if canceled():
        raise Canceled("the reading was canceled")


def rules_for(settings: Settings, caller: Caller | None) -> Rules:
    """Return the rules for a calling AE's Instances; `settings.reading` is the table of its model."""
    age, children = settings.reading.minimum_age_years, settings.reading.read_children
    if caller is None:
        return Rules(minimum_age_years=age, read_children=children)
    own_age, own_children = caller.minimum_age_years, caller.read_children
    return Rules(
        minimum_age_years=age if own_age is None else own_age,
        read_children=children if own_children is None else own_children,
        stated_only=caller.stated_only,
    )
