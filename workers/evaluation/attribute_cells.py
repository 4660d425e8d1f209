"""The optional columns of a table that describe patient and image: sex, age, view, device and others."""

from typing import Final

from service.assessment.study_rows import Attribute
from workers.evaluation.tables import TableRow

_SEX: Final = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O",
               "u": "", "unknown": ""}  # fmt: skip
_URGENT: Final = {"1": "urgent", "yes": "urgent", "true": "urgent", "urgent": "urgent",
                  "0": "routine", "no": "routine", "false": "routine", "routine": "routine"}  # fmt: skip
_OLDEST: Final = 130
COLUMNS: Final = frozenset(
    {"patient", "patient id", "patient key", "sex", "age", "view", "manufacturer", "model"}
    | {"device", "ae", "calling ae", "urgent"}
)


def attribute_cells(
    row: TableRow, faults: list[str]
) -> tuple[dict[Attribute, str], float | None, str]:
    """Return the attributes of a row, the age in years and the patient's identifier; add faults."""
    device = row.get("device") or f"{row.get('manufacturer')} {row.get('model')}".strip()
    stated = {
        Attribute.SEX: _one_of(row, "sex", _SEX, "M, F or O", faults),
        Attribute.VIEW: row.get("view").upper(),
        Attribute.URGENT: _one_of(row, "urgent", _URGENT, "1 or 0", faults),
        Attribute.DEVICE: device,
        Attribute.AE: row.get("ae", "calling ae"),
    }
    attributes = {name: value for name, value in stated.items() if value}
    return attributes, _years(row, faults), row.get("patient", "patient id", "patient key")


def _one_of(
    row: TableRow, column: str, known: dict[str, str], expected: str, faults: list[str]
) -> str:
    cell = row.get(column)
    if cell and cell.lower() not in known:
        faults.append(f"{row.where}: {column} must be {expected}, not {cell[:20]!r}")
    return known.get(cell.lower(), "")


def _years(row: TableRow, faults: list[str]) -> float | None:
    cell = row.get("age")
    if not cell:
        return None
    try:
        years = float(cell.upper().removesuffix("Y"))
    except ValueError:
        years = -1.0
    if not 0 <= years <= _OLDEST:
        faults.append(f"{row.where}: age must be in years, 0 to {_OLDEST}, not {cell[:20]!r}")
        return None
    return years
