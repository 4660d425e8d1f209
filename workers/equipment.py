"""The installation as its results identify it, and the result objects that it makes."""

import os
import tempfile
import uuid
from importlib import metadata
from pathlib import Path
from typing import Final

from dicom.identifiers import check_uid
from dicom.results.outputs import Equipment, OutputOptions
from service.settings.config import Settings

_FILE: Final = "device-uid"


def this_equipment(settings: Settings) -> Equipment:
    """Return this installation; its device UID is created once and kept in the data folder.

    Raises:
        OSError: The data folder cannot be read or written.
        InvalidIdentifier: The file there holds no UID.
    """
    return Equipment(
        device_uid=device_uid(settings.data_dir),
        software_version=metadata.version("wetread"),
        institution_name=settings.site_name,
    )


def output_options(settings: Settings) -> OutputOptions:
    """Return which result objects this installation makes from a draft."""
    chosen = settings.outputs
    return OutputOptions(
        completion=chosen.completion,
        overlay_edge=chosen.overlay_width,
        compression=chosen.compression,
        comprehensive_3d=chosen.comprehensive_3d,
        extras=tuple(dict.fromkeys(chosen.extras)),
    )


def device_uid(data_dir: Path) -> str:
    """Return the installation's UID, the same in every process that shares `data_dir`.

    Raises:
        OSError: The folder cannot be read or written.
        InvalidIdentifier: The file there holds no UID.
    """
    path = data_dir / _FILE
    if not path.exists():
        _write_once(path, f"2.25.{uuid.uuid4().int}")
    return check_uid(path.read_text(encoding="ascii").strip(), "device UID")


def _write_once(path: Path, text: str) -> None:
    # Link a complete file into place, only if there is none: the first of several processes wins.
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text + "\n")
        path.hardlink_to(name)
    except FileExistsError:
        return
    finally:
        Path(name).unlink()
