"""Checks of the folders and the disk below `data_dir`."""

from dicom.errors import OutOfResources
from service.checks.check import Outcome
from service.config import Settings
from service.disk import free_bytes


def spool(settings: Settings) -> Outcome:
    """Return how much space the spool has.

    Raises:
        OSError: The spool cannot be written.
        OutOfResources: The receiver would accept nothing.
    """
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    probe = settings.spool_dir / ".check"
    probe.write_bytes(b"")
    probe.unlink()
    free, needed = free_bytes(settings.spool_dir), settings.receiver.min_free_bytes
    if free < needed:
        raise OutOfResources(
            f"{free // 2**20} MiB free on the disk of {settings.spool_dir}, needed are "
            f"{needed // 2**20} MiB (receiver.min_free_bytes): nothing would be accepted"
        )
    return Outcome(f"{settings.spool_dir} is writable, {free // 2**30} GiB free")
