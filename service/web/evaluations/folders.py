"""The folders that the page lists: evaluations, and documents of `wetread report`.

A name from an address is only compared with the names that were listed: it is never part of a path by
itself. Links in the folders are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.assessment.file_names import REPORT
from service.quality.evaluation_folder import EvaluationFolder, at, read_evaluation, shown_figure
from service.quality.period import QualityInputError

_MOST: Final = 50
_MOST_FILES: Final = 200
_HTML: Final = ".html"
_FIGURES: Final = (
    ("together", "micro"),
    ("together", "macro_defined"),
    ("sensitivity",),
    ("specificity",),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEvaluation:
    """An evaluation as the page shows it.

    Attributes:
        begun: YYYY-MM-DD HH:MM in UTC; "" if it is not known.
        flow: Names of the steps from received to scored, with the studies that remain.
        figures: Micro F1, mean F1, sensitivity and specificity with intervals.
        fault: Why it has no figures, a sentence; "" if it has.
        has_report: Whether there is a report to open.
    """

    name: str
    model: str = ""
    begun: str = ""
    flow: tuple[tuple[str, str], ...] = ()
    figures: tuple[str, ...] = ()
    studies: str = ""
    is_complete: bool = True
    fault: str = ""
    has_report: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDocuments:
    """The documents of one call of `wetread report`: file names without their suffix."""

    name: str
    documents: tuple[str, ...]


def evaluations(root: Path | None) -> list[ListedEvaluation]:
    """Return the evaluations in a folder, those begun last first."""
    found = [_evaluation(folder) for folder in _folders(root)]
    return sorted(found, key=lambda each: (each.begun, each.name), reverse=True)


def documents(root: Path | None) -> list[ListedDocuments]:
    """Return the folders that have documents, in the reverse order of their names."""
    found = [
        ListedDocuments(name=folder.name, documents=tuple(_documents(folder)))
        for folder in _folders(root)
    ]
    return [each for each in reversed(found) if each.documents]


def report_file(root: Path | None, name: str) -> Path | None:
    """Return the report of a listed evaluation; None if there is none."""
    found = [folder / REPORT for folder in _folders(root) if folder.name == name]
    return found[0] if found and _is_file(found[0]) else None


def document_file(root: Path | None, name: str, document: str) -> Path | None:
    """Return a listed document; None if there is none."""
    for folder in _folders(root):
        if folder.name == name and document in _documents(folder):
            return folder / f"{document}{_HTML}"
    return None


def _folders(root: Path | None) -> list[Path]:
    """Return the folders in a folder, by name; of too many those with the highest names."""
    if root is None:
        return []
    try:
        found = [each for each in root.iterdir() if each.is_dir() and not each.is_symlink()]
    except OSError:
        return []
    return sorted(each for each in found if not each.name.startswith("."))[-_MOST:]


def _documents(folder: Path) -> Iterator[str]:
    try:
        files = sorted(each for each in folder.iterdir() if each.suffix == _HTML)
    except OSError:
        return
    yield from (each.stem for each in files[:_MOST_FILES] if _is_file(each))


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _evaluation(folder: Path) -> ListedEvaluation:
    has_report = _is_file(folder / REPORT)
    try:
        found = read_evaluation(folder)
    except QualityInputError as error:
        fault = str(error).replace(f"{folder}/", "")
        return ListedEvaluation(name=folder.name, fault=fault, has_report=has_report)
    figures = found.metrics["figures"]
    return ListedEvaluation(
        name=folder.name,
        model=f"{found.model.get('name', '')} {found.model.get('version', '')}".strip(),
        begun=str(found.manifest.get("started", ""))[:16].replace("T", " "),
        flow=tuple(_flow(found)),
        figures=tuple(shown_figure(at(figures, *path)) for path in _FIGURES),
        studies=str(figures.get("studies", "")),
        is_complete=bool(found.metrics.get("complete")),
        has_report=has_report,
    )


def _flow(found: EvaluationFolder) -> Iterator[tuple[str, str]]:
    for step in found.metrics["flow"]:
        each: Any = step if isinstance(step, dict) else {}
        yield str(each.get("name", "")), str(each.get("remaining", ""))
