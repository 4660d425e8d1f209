"""Reads two synthetic images with a loaded model and checks the answers (`wetread load-model`)."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
import torch

from dicom.content.report import DraftReport, Observation, Presence, Side
from dicom.phantom import PhantomFinding, as_dataset, draw, write
from dicom.selection.local_files import describe
from dicom.study import Study
from service.errors import PermanentReadingError
from workers.model.vlm import SERVED, Checkpoint
from workers.reading.outcomes import Drafted
from workers.reading.reader import Reader

SEED: Final = 3
SHOWN: Final = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.RIGHT, extent=0.6)


@dataclass(frozen=True, slots=True)
class PhantomReading:
    """What a model made of the synthetic images.

    Attributes:
        sentence: What was read.
        warnings: Sentences for the administrator: signs that the model does not receive the image.
    """

    sentence: str
    warnings: tuple[str, ...] = ()


def read_phantoms(reader: Reader) -> PhantomReading:
    """Read a synthetic image with a finding and one without it; check the answers.

    A model of random weights reads the first only, and its answer is not checked.

    Raises:
        PermanentReadingError: The first answer is not language, or a local model of synthetic images
            misses the finding.
        TransientReadingError: Memory, device, file system or server failed.
    """
    draft = _draft(reader, SHOWN)
    checkpoint = reader.checkpoint
    if checkpoint.meaningless:
        sentence = "read a synthetic image; its text is meaningless (see the caveat of the model)"
        return PhantomReading(sentence)
    missed = _missed(draft)
    if missed and checkpoint.synthetic_caveat and checkpoint.dtype != SERVED:
        raise PermanentReadingError(
            "the demo model does not find the right pneumothorax on a synthetic image: its files, or "
            "the libraries that compute it, are not those that it was shipped with"
        )
    warnings = (*_warnings(missed, checkpoint), *_same_without_finding(reader, draft))
    seen = " of language" if missed else ", with the pneumothorax that it shows"
    count = len(" ".join(_texts(draft)).split())
    return PhantomReading(f"read a synthetic image: {count} words{seen}", warnings)


def memory_in_use(checkpoint: Checkpoint) -> str:
    """Return the memory in words: the peak on the CUDA device, or what this process holds."""
    if checkpoint.dtype == SERVED:
        return "not known: the server holds the weights"
    if checkpoint.device.startswith("cuda"):
        return f"{torch.cuda.max_memory_allocated(checkpoint.device) / 1e9:.1f} GB"
    process = psutil.Process()  # type: ignore[no-untyped-call]
    return f"{process.memory_info().rss / 1e9:.1f} GB"


def _draft(reader: Reader, *findings: PhantomFinding) -> DraftReport:
    with tempfile.TemporaryDirectory(prefix="wetread-check-") as folder:
        image = as_dataset(draw(SEED, rows=512, columns=512, findings=findings))
        instance = describe(write(image, Path(folder) / "phantom.dcm"))
        study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
        result = reader.read(study, revision=1, predecessor=None, produced_at=datetime.now(UTC))
    if not isinstance(result, Drafted):
        raise PermanentReadingError(f"a synthetic image was not read: {result.sentence}")
    return result.draft


def _texts(draft: DraftReport) -> tuple[str, ...]:
    return (*draft.findings_text, *draft.impression_text)


def _missed(draft: DraftReport) -> str:
    """Return how an answer misses the finding of the phantom, "" if it states it.

    An uncertain mention counts as stated, and one without a side.
    """
    found = next((one for one in draft.findings if one.observation is SHOWN.observation), None)
    if found is not None and found.presence is Presence.ABSENT:
        return "denies it"
    if found is None or found.presence not in (Presence.PRESENT, Presence.UNCERTAIN):
        return "does not mention it"
    if found.side is Side.LEFT:
        return "states it on the left side"
    return ""


def _warnings(missed: str, checkpoint: Checkpoint) -> Iterator[str]:
    if missed:
        yield (
            f"the synthetic image shows a right pneumothorax, and the answer {missed}: "
            f"{_image_advice(checkpoint)}. A phantom is no measure of a model for patients: "
            "`wetread evaluate` with your own studies is"
        )


def _same_without_finding(reader: Reader, draft: DraftReport) -> Iterator[str]:
    """Yield a warning if the same chest without the finding gives the same text, or none."""
    try:
        normal = _draft(reader)
    except PermanentReadingError as error:
        yield f"the synthetic image without a finding was not read: {error}"
        return
    if _texts(normal) == _texts(draft):
        yield (
            "the answer does not depend on the image: a synthetic image with a pneumothorax and one "
            f"without gave the same text, word for word; {_image_advice(reader.checkpoint)}"
        )


def _image_advice(checkpoint: Checkpoint) -> str:
    if checkpoint.dtype == SERVED:
        return (
            "check that the model on the server reads images and that the server passes them to it (a "
            "file of its vision part, such as the projector of llama.cpp, may be missing)"
        )
    return (
        "check that the model receives the image (the weights of its vision part, and [image] and "
        "`<image>` in the prompts of the profile)"
    )
