"""Finds the studies: a folder of DICOM files and pictures, or a CSV table with a column `file`."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydicom.dataset import Dataset

from dicom.attributes import value_of
from dicom.errors import DicomError
from dicom.parsing.header import read_header
from dicom.selection.age import age_in_years
from dicom.selection.local_files import describe
from dicom.selection.triage import triage
from dicom.study import Instance, Study, group_by_study
from service.assessment.study_rows import Attribute
from workers.evaluation.attribute_cells import attribute_cells
from workers.evaluation.cases import Case, Received, Unreadable
from workers.evaluation.tables import CsvTable, TableRow, read_table

PICTURES: Final = frozenset({".png", ".jpg", ".jpeg"})
# Files of these kinds lie beside studies and are none; others must be DICOM.
_BESIDE: Final = frozenset(
    {".csv", ".tsv", ".txt", ".md", ".json", ".jsonl", ".xml", ".html", ".pdf", ".xlsx", ".toml"}
    | {".tgz", ".gz", ".zip", ".py", ".log", ".npy", ".npz"}
)
_BLOCK: Final = 2**20


def studies_at(path: Path, faults: list[str]) -> Received:
    """Return the studies of a folder, a single file or a CSV list; add the faults of a list.

    A file that is not readable is no fault: sites have such files, and they are counted.
    """
    if path.suffix.lower() in (".csv", ".tsv") and path.is_file():
        return _listed(path, faults)
    if not path.exists():
        faults.append(f"{path}: there is no such file or folder")
        return Received(source=str(path), cases=())
    root = path if path.is_dir() else path.parent
    files = list(_files(path))
    kept = [file for file in files if file.suffix.lower() not in _BESIDE]
    cases, unreadable = _cases([(file, str(file.relative_to(root)), None) for file in kept])
    if not kept:
        faults.append(f"{path}: holds no DICOM file and no PNG or JPEG picture")
    return Received(
        source=str(path),
        cases=cases,
        unreadable=unreadable,
        passed_over=len(files) - len(kept),
    )


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            # A DICOMDIR lists the files that lie beside it (PS3.10 8.6) and holds no image.
            if name != "DICOMDIR" and not name.startswith("."):
                yield Path(folder) / name


_Listed = tuple[Path, str, TableRow | None]


def _listed(path: Path, faults: list[str]) -> Received:
    table = read_table(path, faults)
    if table is None:
        return Received(source=str(path), cases=())
    if "file" not in table.header:
        faults.append(f"{path}: the list of studies needs a column file")
        return Received(source=str(path), cases=())
    files = list(_files_of(table, path.parent, faults))
    cases, unreadable = _cases(files)
    return Received(source=str(path), cases=cases, unreadable=unreadable)


def _files_of(table: CsvTable, folder: Path, faults: list[str]) -> Iterator[_Listed]:
    seen: dict[str, str] = {}
    pictures: dict[str, str] = {}
    for row in table.rows:
        name, identifier = row.get("file"), row.get("id")
        if identifier and Path(name).suffix.lower() in PICTURES:
            # Several DICOM files may be one study; each picture is one.
            if identifier in pictures:
                faults.append(f"{row.where}: the id is that of {pictures[identifier]}")
            pictures.setdefault(identifier, row.where)
        if not name:
            faults.append(f"{row.where}: file is empty")
        elif name in seen:
            faults.append(f"{row.where}: {name} is listed already ({seen[name]})")
        elif not (folder / name).is_file():
            faults.append(f"{row.where}: there is no file {folder / name}")
        else:
            yield folder / name, name, row
        attribute_cells(row, faults)
        seen.setdefault(name, row.where)


def _cases(files: Iterable[_Listed]) -> tuple[tuple[Case, ...], tuple[Unreadable, ...]]:
    instances: dict[str, tuple[Instance, list[str], TableRow | None]] = {}
    found: list[Case] = []
    unreadable: list[Unreadable] = []
    for path, name, row in files:
        try:
            if path.suffix.lower() in PICTURES:
                found.append(_picture(path, name, row))
                continue
            instance = describe(path)
        except (DicomError, OSError) as error:
            unreadable.append(Unreadable(id=name, reason=str(error)))
            continue
        known = instances.setdefault(instance.sop_instance_uid, (instance, [], row))
        if known[0].digest != instance.digest:
            reason = f"has the SOP Instance UID of {known[0].path.name} and other bytes"
            unreadable.append(Unreadable(id=name, reason=reason))
        else:
            known[1].append(name)
    studies = group_by_study([instance for instance, _, _ in instances.values()])
    found += [
        dicom_case(study, {each.sop_instance_uid: instances[each.sop_instance_uid][1:]
                       for each in study.instances})
        for study in studies
    ]  # fmt: skip
    return tuple(sorted(_distinct(found), key=lambda case: case.id)), tuple(unreadable)


def _distinct(cases: list[Case]) -> Iterator[Case]:
    """Yield the cases with distinct ids: two pictures of one name and other suffixes keep theirs."""
    count: dict[str, int] = {}
    for case in cases:
        count[case.id] = count.get(case.id, 0) + 1
    for case in cases:
        if count[case.id] > 1 and case.picture is not None:
            yield replace(case, id=f"{case.id}{case.picture.suffix}")
        else:
            yield case


def _picture(path: Path, name: str, row: TableRow | None) -> Case:
    plain = Path(name).as_posix()
    identifier = row.get("id") if row else ""
    attributes, years, patient = attribute_cells(row, []) if row else ({}, None, "")
    return Case(
        id=identifier or str(Path(plain).with_suffix("")),
        keys=frozenset({identifier, *_names(plain)} - {""}),
        digest=_file_digest(path),
        picture=path,
        patient=patient,
        attributes=attributes,
        years=years,
    )


_Beside = Mapping[str, tuple[list[str], TableRow | None]]


def dicom_case(study: Study, beside: _Beside = MappingProxyType({})) -> Case:
    """Return the case of a study.

    Args:
        study: Its Instances.
        beside: By SOP Instance UID the names of the file and the row of the list that holds it.

    Raises:
        DicomError: The first Instance cannot be read.
    """
    header = read_header(study.instances[0].path, strict=False)
    keys = {study.study_instance_uid, str(value_of(header, "AccessionNumber") or "").strip()}
    attributes, years = header_attributes(header), age_in_years(header)
    patient = str(value_of(header, "PatientID") or "").strip()
    for instance in study.instances:
        names, row = beside.get(instance.sop_instance_uid, ([], None))
        keys |= {instance.sop_instance_uid, *(key for name in names for key in _names(name))}
        if row is not None:
            listed, listed_years, listed_patient = attribute_cells(row, [])
            keys.add(row.get("id"))
            attributes |= listed
            years = years if listed_years is None else listed_years
            patient = listed_patient or patient
    digest = hashlib.sha256("".join(each.digest for each in study.instances).encode())
    return Case(
        id=study.study_instance_uid,
        keys=frozenset(keys - {""}),
        digest=digest.hexdigest(),
        study=study,
        patient=patient,
        attributes=attributes,
        years=years,
    )


def header_attributes(header: Dataset) -> dict[Attribute, str]:
    """Return what the attributes of an image say of sex, view and device."""
    named = [value_of(header, name) for name in ("Manufacturer", "ManufacturerModelName")]
    maker = " ".join(" ".join(str(value).split()) for value in named if value)
    stated = {
        Attribute.SEX: str(value_of(header, "PatientSex") or "").strip().upper(),
        Attribute.VIEW: triage(header).view,
        Attribute.DEVICE: maker,
    }
    return {name: value for name, value in stated.items() if value}


def _names(name: str) -> set[str]:
    path = Path(name)
    return {path.as_posix(), path.name, str(path.with_suffix("").as_posix()), path.stem}


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
