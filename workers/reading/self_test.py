"""Reads one synthetic image with a loaded model and checks the answer (`wetread load-model`)."""

import tempfile
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


def read_phantom(reader: Reader) -> str:
    """Read a synthetic image and check the answer; return a sentence about it.

    Raises:
        PermanentReadingError: The answer is not language, or the demo model misses the finding.
        TransientReadingError: Memory, device or file system failed.
    """
    draft = _draft(reader)
    checkpoint = reader.checkpoint
    if checkpoint.meaningless:
        return "read a synthetic image; its text is meaningless (see the caveat of the model)"
    word_count = len(" ".join((*draft.findings_text, *draft.impression_text)).split())
    if checkpoint.synthetic_caveat:
        _insist_on_finding(draft)
        return f"read a synthetic image: {word_count} words, with the pneumothorax that it shows"
    return f"read a synthetic image: {word_count} words of language"


def memory_in_use(checkpoint: Checkpoint) -> str:
    """Return the memory in words: the peak on the CUDA device, or what this process holds."""
    if checkpoint.dtype == SERVED:
        return "not known: the server holds the weights"
    if checkpoint.device.startswith("cuda"):
        return f"{torch.cuda.max_memory_allocated(checkpoint.device) / 1e9:.1f} GB"
    process = psutil.Process()  # type: ignore[no-untyped-call]
    return f"{process.memory_info().rss / 1e9:.1f} GB"


def _draft(reader: Reader) -> DraftReport:
    with tempfile.TemporaryDirectory(prefix="wetread-check-") as folder:
        image = as_dataset(draw(SEED, rows=512, columns=512, findings=(SHOWN,)))
        instance = describe(write(image, Path(folder) / "phantom.dcm"))
        study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
        result = reader.read(study, revision=1, predecessor=None, produced_at=datetime.now(UTC))
    if not isinstance(result, Drafted):
        raise PermanentReadingError(f"a synthetic image was not read: {result.sentence}")
    return result.draft


def _insist_on_finding(draft: DraftReport) -> None:
    for finding in draft.findings:
        if finding.observation is SHOWN.observation:
            seen = finding.presence is Presence.PRESENT and finding.side is SHOWN.side
            if seen:
                return
    raise PermanentReadingError(
        "the demo model does not find the right pneumothorax on a synthetic image: its files, or the "
        "libraries that compute it, are not those that it was shipped with"
    )
