"""`wetread validate FILE...`: validates SR and SC objects, ours or another vendor's."""

import json
import sys
from pathlib import Path

import click
from pydicom.dataset import Dataset

from dicom.errors import DicomError
from dicom.parsing.header import read_header, read_pixel_elements
from dicom.parsing.value_decoding import PYDICOM_ERRORS
from dicom.validation.result_object import ValidationFault, faults

_MAX_BYTES = 512 * 2**20
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option(
    "--source", type=_FILE, help="The image they refer to: patient and matrix are compared too."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def validate(files: tuple[Path, ...], source: Path | None, *, as_json: bool) -> None:
    """Check Structured Reports and Secondary Captures; exit status 1 if any is invalid."""
    image = read_header(source) if source else None
    found = {path: _faults(path, image) for path in files}
    for path, reasons in found.items():
        click.echo(_line(path, reasons) if as_json else _sentence(path, reasons))
    sys.exit(1 if any(found.values()) else 0)


def _faults(path: Path, image: Dataset | None) -> tuple[ValidationFault, ...]:
    try:
        dataset = read_header(path)
        dataset.update(read_pixel_elements(path, _MAX_BYTES))
        return faults(dataset, image)
    except DicomError as error:
        return (ValidationFault("unreadable", str(error)),)
    except PYDICOM_ERRORS:
        # pydicom decodes pixel elements when they are accessed, and the file may hold anything.
        return (ValidationFault("unreadable", "a value cannot be decoded"),)


def _sentence(path: Path, reasons: tuple[ValidationFault, ...]) -> str:
    if not reasons:
        return f"{path}: passes"
    return "\n".join(f"{path}: {fault.rule}: {fault.reason}" for fault in reasons)


def _line(path: Path, reasons: tuple[ValidationFault, ...]) -> str:
    found = [{"rule": fault.rule, "reason": fault.reason} for fault in reasons]
    return json.dumps({"file": str(path), "passes": not found, "faults": found})
