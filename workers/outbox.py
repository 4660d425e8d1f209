"""Writes result objects durably to the outbox, before the database records them."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Final

from dicom.content.report import DraftReport
from dicom.results.json_sidecar import SIDECAR_NAME, sidecar
from dicom.results.result_file import Output, encode
from dicom.spool.durable import sync_folder
from dicom.validation.same_patient import check_result
from service.records import ResultObject
from service.settings.config import Settings
from service.settings.keys import destinations as sections

_UNFINISHED: Final = ".partial"


def write_outputs(
    folder: Path, outputs: tuple[Output, ...], sources: Sequence[Path]
) -> tuple[ResultObject, ...]:
    """Write each of `outputs` durably as `<kind>.dcm` in `folder`; return their records.

    Args:
        folder: Folder of the claim; created if missing.
        outputs: The result objects.
        sources: Files of the Instances that were read; each object must match one of them.

    Raises:
        InvalidOutput: An object claims to be verified or final, or an archive would file it under
            another patient or study than its Instance.
        InvalidDataset: The file of an Instance cannot be read.
        OSError: The disk refused; a repeated call replaces what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # One thread for each object: one is encoded while another waits for the disk.
    with ThreadPoolExecutor(max(1, len(outputs))) as pool:
        paths = [folder / f"{output.kind}.dcm" for output in outputs]
        written = tuple(pool.map(_write, paths, outputs, repeat(sources)))
    # A new folder is durable only after its parent is synced: claim, job, outbox.
    for directory in (folder, folder.parent, folder.parent.parent):
        sync_folder(directory)
    return written


def remove_unfinished(folder: Path) -> None:
    """Remove the partial files that killed writes left in `folder`, which holds a job's claims.

    If the worker of an expired claim still writes, its write fails; its result is void anyway.

    Raises:
        OSError: The disk refused.
    """
    for path in folder.glob(f"*/*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def wants_sidecar(settings: Settings) -> bool:
    """Return whether the draft is also written as JSON: for the site, or for a folder destination."""
    return settings.outputs.json_sidecar or any(
        isinstance(each, sections.FolderDestination) and each.json_sidecar
        for each in settings.destinations
    )


def write_sidecar(folder: Path, draft: DraftReport, outputs: tuple[Output, ...]) -> Path:
    """Write the draft durably as `draft.json` beside its objects in `folder`; return its path.

    Raises:
        OSError: The disk refused.
    """
    path = folder / SIDECAR_NAME
    _write_whole(path, sidecar(draft, outputs))
    sync_folder(folder)
    return path


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_suffix(_UNFINISHED)
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _write(path: Path, output: Output, sources: Sequence[Path]) -> ResultObject:
    content = encode(output)
    check_result(content, sources)
    _write_whole(path, content)
    dataset = output.dataset
    return ResultObject(
        kind=output.kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        study_instance_uid=str(dataset.StudyInstanceUID),
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
    )
