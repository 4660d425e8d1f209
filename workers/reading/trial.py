"""Shows what a model with a profile is sent and what its answer becomes, line by line (`wetread check`).

The answer is shown before it is judged, so that a profile that leads to no usable report can be mended.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicom.content.report import STATED, Finding
from dicom.phantom import as_dataset, draw, write
from dicom.pixels.frame import PixelLimits, load_frame
from workers.labeller.findings import label_sentences
from workers.labeller.sentences import clean, sections
from workers.model.profiles.picture import image_sent
from workers.model.profiles.profile import Profile
from workers.model.profiles.report_text import report_text
from workers.model.vlm import Answer
from workers.reading.content.scores import scored
from workers.reading.error_mapping import reading_errors
from workers.reading.reader import Reader
from workers.reading.self_test import SEED, SHOWN, memory_in_use

_EDGE: Final = 512
_LIMITS: Final = PixelLimits(max_pixels=_EDGE**2, max_bytes=2**24)
_LONGEST: Final = 2000  # characters of a prompt or an answer that are shown
_BREAK: Final = " | "  # stands for a line break
# Beside each text of the model: lines are copied from a terminal one by one.
_MARK: Final = " (unverified AI draft of a phantom, no patient)"


def trial(reader: Reader, path: Path) -> Iterator[str]:
    """Let a model read a phantom by its profile; yield what is sent, answered and understood.

    Args:
        reader: A reader; of a model without a profile nothing is yielded.
        path: Where the image as sent is written, as PNG.

    Raises:
        TransientReadingError: Memory or device failed.
        PermanentReadingError: The image or the prompt cannot be used.
    """
    profile = reader.profile
    if profile is None:
        return
    frame = _phantom()
    with reading_errors():
        image = image_sent(frame, profile.image)
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        yield f"image as sent: {image.width} x {image.height} {image.mode}, written to {path}"
        start = time.monotonic()
        answer = reader.ask(frame)
        seconds = time.monotonic() - start
    yield f"prompt: {_on_one_line(answer.prompt)}"
    yield f"answer{_MARK}: {_on_one_line(answer.text) or '(empty)'}"
    yield from _understood(answer, profile)
    yield f"time: {seconds:.1f} s, {len(answer.token_ids)} tokens{_parts(answer)}"
    yield f"memory: {memory_in_use(reader.checkpoint)}"
    yield f"not available with this model: {', '.join(reader.checkpoint.cannot) or 'nothing'}"


def _phantom() -> NDArray[np.float32]:
    with tempfile.TemporaryDirectory(prefix="wetread-check-") as folder:
        image = as_dataset(draw(SEED, rows=_EDGE, columns=_EDGE, findings=(SHOWN,)))
        return load_frame(write(image, Path(folder) / "phantom.dcm"), _LIMITS).pixels


def _understood(answer: Answer, profile: Profile) -> Iterator[str]:
    """Yield the sections and the findings that a draft of this answer would have."""
    findings, impression = sections(clean(report_text(answer.text, profile.answer)))
    yield f"section findings{_MARK}: {_BREAK.join(findings) or '(empty)'}"
    yield f"section impression{_MARK}: {_BREAK.join(impression) or '(empty)'}"
    found = scored(label_sentences(findings + impression), answer.chances)
    lines = [_finding(one) for one in found if one.presence in STATED or one.score is not None]
    yield f"findings{_MARK}: {'; '.join(lines) or '(none)'}"


def _finding(found: Finding) -> str:
    side = f" {found.side.value}" if found.side else ""
    score = "" if found.score is None else f" ({found.score:.2f})"
    return f"{found.observation.value}{side}: {found.presence.value}{score}"


def _parts(answer: Answer) -> str:
    spent = answer.timings_ms.items()
    return "".join(f", {name} {ms:.0f} ms" for name, ms in spent)


def _on_one_line(text: str) -> str:
    shown = _BREAK.join(line.strip() for line in text.splitlines() if line.strip())
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}... ({len(shown)} characters)"
