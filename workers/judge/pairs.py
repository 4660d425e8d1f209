"""The pairs of texts that a judge compares: read from an evaluation's folder or a CSV file; exported.

An evaluation's folder holds `pairs/ref/ID.txt` and `pairs/cand/ID.txt`, and `per_study.csv` with the
patient of each study where known. A CSV file has the columns `id`, `reference`, `candidate` and
optionally `patient`.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from service.errors import ConfigurationError
from service.evaluation.chexprompt.prompt import cleaned

REFERENCES: Final = "ref"
CANDIDATES: Final = "cand"
_PAIRS: Final = "pairs"
_PER_STUDY: Final = "per_study.csv"
_COLUMNS: Final = ("id", "reference", "candidate")
# Also the percent-encoded names that `wetread evaluate` gives to files.
_ID: Final = re.compile(r"[A-Za-z0-9%_~-][A-Za-z0-9%._~-]{0,159}")
_MOST_CHARACTERS: Final = 100_000
_SHOWN_FAULTS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A reference text and the draft that is compared with it; texts as `cleaned` returns them.

    Attributes:
        id: Name of the pair, usable as a file's name.
        patient: Whose study it is; the id where unknown.
        reference: The radiologist's text, not empty.
        candidate: The draft; "" where there is none.
    """

    id: str
    patient: str
    reference: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs of an input, and how many studies have no reference text."""

    pairs: tuple[Pair, ...]
    without_reference: int = 0


def read_pairs(source: Path) -> Pairs:
    """Return the pairs of an evaluation's folder or of a CSV file.

    Raises:
        ConfigurationError: The source cannot be used; the message lists its faults.
    """
    rows = _folder_rows(source) if source.is_dir() else _csv_rows(source)
    return pairs_of(rows, str(source))


def pairs_of(rows: Iterable[Mapping[str, str]], source: str) -> Pairs:
    """Return the pairs of rows with the columns of a pairs file.

    Raises:
        ConfigurationError: A row cannot be used; the message lists the faults.
    """
    pairs: list[Pair] = []
    faults: list[str] = []
    seen: set[str] = set()
    empty = 0
    for number, row in enumerate(rows, 1):
        pair = _pair(row)
        fault = _fault(pair, seen)
        seen.add(pair.id)
        if fault:
            faults.append(f"row {number}: {fault}")
        elif pair.reference:
            pairs.append(pair)
        else:
            empty += 1
    if faults:
        raise ConfigurationError(listed(f"{source}: the pairs cannot be used:", faults))
    if not pairs:
        raise ConfigurationError(f"{source}: no pair with a reference text")
    return Pairs(tuple(pairs), empty)


def export_pairs(pairs: Sequence[Pair], folder: Path) -> None:
    """Write the pairs as text files and as `pairs.csv`, for metrics that are computed elsewhere.

    Raises:
        ConfigurationError: The folder holds other pairs.
    """
    if any((folder / REFERENCES).glob("*")) or any((folder / CANDIDATES).glob("*")):
        raise ConfigurationError(f"{folder}: already holds pairs; name an empty folder")
    for name in (REFERENCES, CANDIDATES):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for pair in pairs:
        (folder / REFERENCES / f"{pair.id}.txt").write_text(pair.reference + "\n", "utf-8")
        (folder / CANDIDATES / f"{pair.id}.txt").write_text(pair.candidate + "\n", "utf-8")
    with (folder / "pairs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*_COLUMNS, "patient"))
        writer.writerows((each.id, each.reference, each.candidate, each.patient) for each in pairs)


def csv_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header; column names in lower case, missing cells "".

    Raises:
        ConfigurationError: It cannot be read, is not UTF-8, or has no header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            names = [str(each).strip().lower() for each in reader.fieldnames or ()]
            reader.fieldnames = names
            rows = [{key: value for key, value in row.items() if key} for row in reader]
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text") from None
    except csv.Error as error:
        raise ConfigurationError(f"{path}: not a CSV file: {error}") from None
    if not names:
        raise ConfigurationError(f"{path}: no header line")
    return rows


def need_columns(path: Path, rows: Sequence[Mapping[str, str]], needed: Sequence[str]) -> None:
    """Check that a table has rows and columns of these names.

    Raises:
        ConfigurationError: It does not; names what is missing.
    """
    if not rows:
        raise ConfigurationError(f"{path}: no rows")
    missing = [name for name in needed if name not in rows[0]]
    if missing:
        raise ConfigurationError(
            f"{path}: no column {', '.join(missing)}; there are: {', '.join(rows[0])}"
        )


def listed(title: str, faults: Sequence[str]) -> str:
    """Return a message with the first faults, a line each."""
    shown = [f"  {each}" for each in faults[:_SHOWN_FAULTS]]
    rest = len(faults) - len(shown)
    return "\n".join([title, *shown, *([f"  and {rest} more"] if rest else [])])


def _csv_rows(path: Path) -> list[dict[str, str]]:
    rows = csv_table(path)
    need_columns(path, rows, _COLUMNS)
    return rows


def _folder_rows(folder: Path) -> Iterator[Mapping[str, str]]:
    references = folder / _PAIRS / REFERENCES
    if not references.is_dir():
        raise ConfigurationError(
            f"{folder}: no folder {_PAIRS}/{REFERENCES}; run `wetread evaluate … --export-pairs`, "
            "without --no-text"
        )
    patients = _patients(folder / _PER_STUDY)
    for path in sorted(references.glob("*.txt")):
        candidate = folder / _PAIRS / CANDIDATES / path.name
        yield {
            "id": path.stem,
            "reference": _text(path),
            "candidate": _text(candidate) if candidate.exists() else "",
            "patient": patients.get(unquote(path.stem), ""),
        }


def _patients(path: Path) -> Mapping[str, str]:
    """Return the patient of each study, as far as `per_study.csv` names them."""
    rows = csv_table(path) if path.exists() else []
    return {row["id"]: row["patient"] for row in rows if row.get("id") and row.get("patient")}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text") from None


def _pair(row: Mapping[str, str]) -> Pair:
    name = (row.get("id") or "").strip()
    return Pair(
        id=name,
        patient=(row.get("patient") or "").strip() or name,
        reference=cleaned(row.get("reference") or ""),
        candidate=cleaned(row.get("candidate") or ""),
    )


def _fault(pair: Pair, seen: set[str]) -> str:
    if not _ID.fullmatch(pair.id):
        return f"id {pair.id[:40]!r}: allowed are 1 to 160 letters, digits, . - _ ~ %"
    if pair.id in seen:
        return f"id {pair.id!r} occurs twice"
    if max(len(pair.reference), len(pair.candidate)) > _MOST_CHARACTERS:
        return f"a text has more than {_MOST_CHARACTERS} characters"
    return ""
