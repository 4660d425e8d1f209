"""Logs, at the start of a process, its libraries whose installed version was not tried."""

from dicom.library import Library
from service.log import get_logger

log = get_logger(__name__)


def report_untested_versions(*libraries: Library) -> None:
    """Log one warning for each library whose installed version was not tried."""
    for library in libraries:
        if not library.is_tested:
            log.warning(
                "library_version_not_tested",
                library=library.name,
                installed=library.installed,
                tested=", ".join(library.tested),
                reason=library.consequence,
            )
