"""Other evaluations that this one is compared with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.assessment.file_names import MANIFEST, PER_STUDY
from service.assessment.study_rows import StudyRow, read_rows, scored
from service.evaluation.values import EvaluationInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvaluation:
    """The scored rows of another evaluation and what it is called: its folder and its model."""

    name: str
    rows: tuple[StudyRow, ...]
    labeler: str


def others_at(paths: Sequence[Path], out: Path, faults: list[str]) -> list[OtherEvaluation]:
    """Return the other evaluations; add a fault for each folder that is none."""
    found = []
    for path in paths:
        if path.resolve() == out.resolve():
            faults.append(f"{path}: an evaluation cannot be compared with itself")
            continue
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            model = manifest.get("model", {})
            rows = tuple(scored(read_rows(path / PER_STUDY)))
        except OSError as error:
            faults.append(f"{path}: no finished evaluation: {error.strerror} ({error.filename})")
            continue
        except (ValueError, AttributeError, EvaluationInputError) as error:
            faults.append(f"{path}: no finished evaluation: {error}")
            continue
        if not rows:
            faults.append(f"{path}: has no scored study")
            continue
        name = f"{path.name} ({model.get('name', 'model')} {model.get('version', '')})".strip()
        labeler = str(manifest.get("labeler", ""))
        found.append(OtherEvaluation(name=name, rows=rows, labeler=labeler))
    return found
