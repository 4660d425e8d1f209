"""Instances from DICOM files that were not received, for `wetread read` and the demo."""

from pathlib import Path

from dicom.errors import InvalidDataset
from dicom.parsing.header import check_identity, read_header
from dicom.spool.digest import new_hasher
from dicom.study import Instance

_BLOCK = 2**20


def describe(path: Path) -> Instance:
    """Return the Instance in a PS3.10 file or bare data set; its digest covers the whole file.

    Raises:
        DicomError: The file cannot be read as a composite instance; the message states why.
    """
    try:
        size = path.stat().st_size
        header = read_header(path, strict=False)
        digest = new_hasher()
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise InvalidDataset(f"the file cannot be read: {error.strerror}") from error
    return check_identity(header).instance(
        path,
        digest=digest.hexdigest(),
        size=size,
        transfer_syntax_uid=str(getattr(header, "file_meta", {}).get("TransferSyntaxUID", "")),
    )
