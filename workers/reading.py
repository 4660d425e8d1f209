"""A study becomes a draft and its objects: choose the film, ask the model, code the text, build.

Knows no Celery and no database. Films are decoded and objects built by the calling thread, while the
engine's thread gives each of its callers' answers a token a step.
"""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicom.errors import DicomError
from dicom.outputs import Equipment, Output, build
from dicom.phantom import is_phantom
from dicom.pixels import PixelLimits
from dicom.report import DraftReport, ModelIdentity, NotRead, Predecessor, SourceImage
from dicom.select import Rules, Selection, choose
from dicom.study import Instance, Study
from service.config import Settings
from service.errors import PermanentReadingError, ReadingCancelled, TransientReadingError
from workers.content import content, shown_prompt
from workers.equipment import output_options, this_equipment
from workers.indication import indication
from workers.model.engine import Engine
from workers.model.errors import Cancelled, EngineStopped, ModelError
from workers.model.prompts import Task
from workers.model.vlm import Answer, Decoding, VisionLanguageModel, never
from workers.opening import decoding, opened
from workers.scores import QUESTIONS

_BYTES_A_PIXEL: Final = 4  # 16 bits, and as much again for whatever else a file holds
_WARM_UP_PIXELS: Final = 64


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


class Reader:
    """A loaded model and what a site wants read; safe for several threads."""

    def __init__(
        self, model: VisionLanguageModel, settings: Settings, equipment: Equipment
    ) -> None:
        self._model = model
        self._decoding = decoding(settings, model.checkpoint.max_new_tokens)
        self._equipment = equipment
        self._options = output_options(settings)
        self._version = settings.reading.model_version
        self._questions = QUESTIONS if _asks(settings, model) else ()
        self._rules = Rules(
            minimum_age_years=settings.reading.minimum_age_years,
            read_children=settings.reading.read_children,
        )
        pixels = settings.reading.max_pixels
        self._limits = PixelLimits(max_pixels=pixels, max_bytes=_BYTES_A_PIXEL * pixels)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return a reader whose model is loaded and has answered once, so that no study waits for it.

        Raises:
            PermanentReadingError: The checkpoint or the device is not what the settings say.
            TransientReadingError: Memory or the file system refused.
        """
        reading = settings.reading
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        with _reading_errors():
            loaded = opened(settings)
            model = Engine(loaded, rows=reading.concurrency)
            blank = np.zeros((_WARM_UP_PIXELS, _WARM_UP_PIXELS), dtype=np.float32)
            model.answer(blank, Task.REPORT, decoding=Decoding(max_new_tokens=2))
            return cls(model, settings, this_equipment(settings))

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
        milder = self._model.checkpoint.synthetic_caveat
        if milder and header is not None and is_phantom(header):
            return dataclasses.replace(self.identity, caveat=milder, mark="")
        return self.identity

    def read(
        self,
        study: Study,
        *,
        revision: int,
        predecessor: Predecessor | None,
        produced_at: datetime,
        cancelled: Callable[[], bool] = never,
    ) -> Drafted | NotAnalysed:
        """Return the draft of a study and its objects, or why there is none.

        Args:
            study: The films received so far.
            revision: Of the draft, from 1.
            predecessor: The draft report that this one supersedes.
            produced_at: The draft's time; the same arguments give the same objects.
            cancelled: Asked before every token.

        Raises:
            TransientReadingError: Memory, device or file system refused; later it may not.
            PermanentReadingError: The film or the model's answer cannot become a draft.
            ReadingCancelled: `cancelled` returned True.
        """
        with _reading_errors():
            clock = _Clock()
            selection = choose(study, self._rules, self._limits)
            film = _chosen_film(selection)
            if film is None:
                return NotAnalysed(
                    code=str(selection.reason),
                    sentence=selection.sentence,
                    not_read=selection.not_read,
                )
            clock.mark("decode")
            reason = indication(film.header) if self._model.checkpoint.takes_indication else ""
            answer = self._ask(film, reason, clock, cancelled)
            said = content(
                answer,
                child=film.child,
                reason=reason,
                meaningless=self._model.checkpoint.meaningless,
            )
            identity = self.identity_for(selection.header)
            draft = DraftReport(
                study_instance_uid=study.study_instance_uid,
                source=_source(film),
                revision=revision,
                produced_at=produced_at,
                findings_text=said.findings_text,
                impression_text=said.impression_text,
                findings=said.findings,
                notes=(*film.notes, *said.notes),
                model=dataclasses.replace(identity, prompt=shown_prompt(answer, reason)),
                not_read=selection.not_read,
                predecessor=predecessor,
            )
            outputs = build(draft, film.header, film.pixels, self._equipment, self._options)
            clock.mark("outputs")
            return Drafted(
                draft=dataclasses.replace(draft, timings_ms=clock.spent_ms), outputs=outputs
            )

    def _ask(
        self, film: "_Film", reason: str, clock: "_Clock", cancelled: Callable[[], bool]
    ) -> Answer:
        task = Task.PAEDIATRIC_REPORT if film.child else Task.REPORT
        answer = self._model.answer(
            film.pixels,
            task,
            indication=reason,
            questions=self._questions,
            decoding=self._decoding,
            cancelled=cancelled,
        )
        clock.mark("model", waited_ms=answer.timings_ms.get("wait", 0.0))
        return answer


class _Clock:
    """Milliseconds between marks."""

    def __init__(self) -> None:
        self.spent_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, name: str, *, waited_ms: float | None = None) -> None:
        """Book the time since the last mark under `name`, what was waited of it under "wait"."""
        now = time.perf_counter()
        if waited_ms is not None:
            self.spent_ms["wait"] = round(waited_ms, 1)
        self.spent_ms[name] = round((now - self._last) * 1000 - (waited_ms or 0.0), 1)
        self._last = now


@dataclass(frozen=True, slots=True, eq=False)
class _Film:
    """The film that was chosen; `pixels` float32 [rows, columns] in 0..1."""

    instance: Instance
    header: Dataset
    pixels: NDArray[np.float32]
    child: bool
    notes: tuple[str, ...]


def _chosen_film(selection: Selection) -> _Film | None:
    if selection.instance is None or selection.frame is None or selection.header is None:
        return None
    return _Film(
        selection.instance,
        selection.header,
        selection.frame.pixels,
        selection.child,
        selection.notes,
    )


def _asks(settings: Settings, model: VisionLanguageModel) -> bool:
    wanted = settings.reading.scores
    measured = model.checkpoint.scores_measured and wanted == "auto"
    return (measured or wanted == "on") and not model.checkpoint.meaningless


def _source(film: _Film) -> SourceImage:
    rows, columns = film.pixels.shape
    return SourceImage(
        sop_instance_uid=film.instance.sop_instance_uid,
        sop_class_uid=film.instance.sop_class_uid,
        series_instance_uid=film.instance.series_instance_uid,
        rows=rows,
        columns=columns,
    )


@contextlib.contextmanager
def _reading_errors() -> Iterator[None]:
    # The lower layers' errors, each with its verdict on trying again.
    try:
        yield
    except Cancelled as error:
        raise ReadingCancelled(str(error)) from None
    except DicomError as error:
        kind = TransientReadingError if error.transient else PermanentReadingError
        raise kind(str(error)) from error
    except EngineStopped as error:
        raise TransientReadingError(str(error)) from None
    except ModelError as error:
        raise PermanentReadingError(str(error)) from error
    except (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError) as error:
        raise TransientReadingError(
            f"the device or its memory refused: {_first_line(error)}"
        ) from error
    except OSError as error:
        raise TransientReadingError(f"the file system refused: {error.strerror}") from error
    except RuntimeError as error:
        # PyTorch tells of an allocation that the CPU refused by its words alone.
        short = "can't allocate memory" in str(error)
        kind = TransientReadingError if short else PermanentReadingError
        raise kind(f"the model failed: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
