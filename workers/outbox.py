"""Results lie on disk, synced, before the database says that they exist."""

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
from service.settings import destinations as sections
from service.settings.config import Settings

_UNFINISHED: Final = ".partial"


def write_outputs(
    folder: Path, outputs: tuple[Output, ...], sources: Sequence[Path]
) -> tuple[ResultObject, ...]:
    """Return the records of `outputs`, each a durable file `<kind>.dcm` in `folder`.

    Args:
        folder: Where they go.
        outputs: The objects.
        sources: Files of the Instances that they are about; each object has the identifiers of one.

    Raises:
        InvalidOutput: One of them claims to be verified or final, or an archive would file it under
            another patient or study than its image.
        InvalidDataset: The file of an Instance cannot be read.
        OSError: The disk refused; what was written is replaced by the next try.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # One thread each: while one waits for the disk the next is encoded.
    with ThreadPoolExecutor(max(1, len(outputs))) as pool:
        paths = [folder / f"{output.kind}.dcm" for output in outputs]
        written = tuple(pool.map(_write, paths, outputs, repeat(sources)))
    for directory in (folder, folder.parent, folder.parent.parent):
        sync_folder(directory)
    return written


def remove_unfinished(folder: Path) -> None:
    """Leave no file that was not written to its end in the folders of a job's claims in `folder`.

    A write that was killed leaves one. A worker that was thought dead and writes yet fails by this; its
    claim is void.

    Raises:
        OSError: The disk refused.
    """
    for path in folder.glob(f"*/*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def wants_sidecar(settings: Settings) -> bool:
    """Whether the draft is to lie as JSON beside its objects: for the site, or for a folder."""
    return settings.outputs.json_sidecar or any(
        isinstance(each, sections.FolderDestination) and each.json_sidecar
        for each in settings.destinations
    )


def write_sidecar(folder: Path, draft: DraftReport, outputs: tuple[Output, ...]) -> Path:
    """Leave the draft as JSON, `draft.json`, beside its objects in `folder`; return its path.

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
