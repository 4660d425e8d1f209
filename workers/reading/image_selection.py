"""Which film of a study is read: each is looked at as long as the draft is wanted."""

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
from dicom.selection.image_selection import Look, Looked, Rules, Selection, choose
from dicom.study import Instance, Study
from service.errors import PermanentReadingError
from service.settings.config import Settings
from workers.model.errors import Cancelled

_BYTES_A_PIXEL: Final = 4  # 16 bits, and as much again for whatever else a file holds


@dataclass(frozen=True, slots=True, eq=False)
class SelectedImage:
    """The film that was chosen; `pixels` float32 [rows, columns] in 0..1."""

    instance: Instance
    header: Dataset
    pixels: NDArray[np.float32]
    child: bool
    notes: tuple[str, ...]

    @classmethod
    def of(cls, selection: Selection) -> Self | None:
        """Return the film that a selection names, or None when it names none."""
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
        """What a draft says of the film that was read."""
        rows, columns = self.pixels.shape
        return SourceImage(
            sop_instance_uid=self.instance.sop_instance_uid,
            sop_class_uid=self.instance.sop_class_uid,
            series_instance_uid=self.instance.series_instance_uid,
            rows=rows,
            columns=columns,
        )


class ImageSelector:
    """Chooses by what a site wants read; safe for several threads."""

    def __init__(self, settings: Settings, look: Look, *, synthetic_only: bool = False) -> None:
        """Take the settings.

        Args:
            settings: Which films the site wants read.
            look: How a film is looked at.
            synthetic_only: The model says nothing about a patient. Patients' films are then read
                only where `reading.demo_reads_patients` is set.
        """
        self._look = look
        self._synthetic_only = synthetic_only and not settings.reading.demo_reads_patients
        self._rules = Rules(
            minimum_age_years=settings.reading.minimum_age_years,
            read_children=settings.reading.read_children,
        )
        pixels = settings.reading.max_pixels
        self._limits = PixelLimits(max_pixels=pixels, max_bytes=_BYTES_A_PIXEL * pixels)

    def selected(
        self, study: Study, rules: Rules | None, cancelled: Callable[[], bool]
    ) -> Selection:
        """Return which film is read, by `rules` or by those of the settings.

        Raises:
            PermanentReadingError: None is, and of one nobody knows what it shows: a person must look.
            Cancelled: `cancelled` returned True.
        """
        deaths: list[DecoderDied] = []

        def look(path: Path, limits: PixelLimits) -> Looked:
            try:
                return self._looked(path, limits, cancelled)
            except DecoderDied as error:
                deaths.append(error)
                raise

        wanted = replace(rules or self._rules, synthetic_only=self._synthetic_only)
        selection = choose(study, wanted, self._limits, look)
        if selection.instance is None and deaths:
            raise PermanentReadingError(f"A film of the study cannot be read: {deaths[0]}.")
        return selection

    def _looked(self, path: Path, limits: PixelLimits, cancelled: Callable[[], bool]) -> Looked:
        """Return what a film looks like; a job that waits its turn is asked again and is not hung."""
        while True:
            go_on(cancelled)
            with contextlib.suppress(DecodersBusy):
                return self._look(path, limits)


def go_on(cancelled: Callable[[], bool]) -> None:
    """Return when the draft is still wanted.

    Raises:
        Cancelled: It is not.
    """
    if cancelled():
        raise Cancelled("the draft is no longer wanted")
