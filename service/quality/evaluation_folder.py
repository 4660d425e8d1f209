"""The folder that `wetread evaluate` wrote: what was evaluated, its figures, its rows.

Only figures, digests, versions and settings are taken from it; names of studies and paths are not.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeGuard

from service.assessment.file_names import MANIFEST, METRICS, PER_STUDY
from service.assessment.study_rows import StudyRow, read_rows, scored
from service.evaluation.report import NO_BREAK
from service.evaluation.values import EvaluationInputError
from service.quality.period import QualityInputError

_MOST_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationFolder:
    """What a folder holds.

    Attributes:
        name: The name of the folder, without its path.
        manifest: `manifest.json`.
        metrics: `metrics.json`.
    """

    path: Path
    name: str
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def model(self) -> Mapping[str, Any]:
        """What the manifest says of the model."""
        found = self.manifest.get("model")
        return found if isinstance(found, dict) else {}

    @property
    def seed(self) -> int:
        """The seed of all resampling."""
        return int(self.metrics.get("seed", 0))

    def is_of(self, name: str, version: str, weights_sha256: str) -> bool:
        """Return whether this model version was evaluated: by its weights, if both are known."""
        evaluated = str(self.model.get("weights_sha256", ""))
        if evaluated and weights_sha256 and evaluated != weights_sha256:
            return False
        return (self.model.get("name"), self.model.get("version")) == (name, version)

    def rows(self) -> list[StudyRow]:
        """Return the scored studies.

        Raises:
            QualityInputError: `per_study.csv` cannot be read, or has no scored study.
        """
        path = self.path / PER_STUDY
        try:
            found = scored(read_rows(path))
        except OSError as error:
            raise QualityInputError(f"{path}: {error.strerror}") from error
        except EvaluationInputError as error:
            raise QualityInputError(str(error)) from error
        if not found:
            raise QualityInputError(f"{path}: has no scored study")
        return found


def read_evaluation(path: Path) -> EvaluationFolder:
    """Return what a folder holds.

    Raises:
        QualityInputError: It is no folder of a finished evaluation.
    """
    manifest, metrics = _object(path / MANIFEST), _object(path / METRICS)
    if not isinstance(metrics.get("figures"), dict) or not isinstance(metrics.get("flow"), list):
        raise QualityInputError(
            f"{path / METRICS}: has no figures of `wetread evaluate`; call `wetread evaluate` again"
        )
    return EvaluationFolder(path=path, name=path.resolve().name, manifest=manifest, metrics=metrics)


def _object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise QualityInputError(f"{path}: is larger than {_MOST_BYTES} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise QualityInputError(
            f"{path}: {error.strerror}; give the folder that `wetread evaluate --out` wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise QualityInputError(f"{path}: is no JSON") from error
    if not isinstance(found, dict):
        raise QualityInputError(f"{path}: is no JSON object")
    return found


def at(tree: Any, *keys: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value under these keys of nested objects; None where one is missing."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def shown_figure(figure: Any, *, digits: int = 2) -> str:  # noqa: ANN401 - any JSON
    """Return a figure of `metrics.json` with its interval, or why there is none.

    Args:
        figure: An estimate or a bootstrap, "too few", or None.
        digits: Digits after the point.
    """
    if not isinstance(figure, dict):
        return "–"
    if "needed" in figure:
        return f"too few {figure.get('of')} (n{NO_BREAK}={NO_BREAK}{figure.get('n')})"
    value, interval = figure.get("value"), figure.get("interval")
    if not is_number(value):
        reason = at(value, "undefined") or at(figure, "undefined") or "no number"
        return f"undefined: {reason}"
    low, high = at(interval, "low"), at(interval, "high")
    if not (is_number(low) and is_number(high)):
        reason = at(interval, "undefined") or "no numbers"
        return f"{value:.{digits}f} (interval undefined: {reason})"
    bounds = f"({_rounded(low, digits)} to {_rounded(high, digits)})".replace(" ", NO_BREAK)
    return f"{_rounded(value, digits)} {bounds}"


def is_number(value: Any) -> TypeGuard[float]:  # noqa: ANN401 - any JSON
    """Return whether a value of a file is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _rounded(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"  # -0.00 and 0.00 are one figure
