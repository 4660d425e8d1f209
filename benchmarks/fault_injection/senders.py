"""Three ways to send images by independent software; each returns the acknowledged images."""

import contextlib
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import pydicom

from fault_injection.site import Site

# The lines that state the status of each image: storescu's output, dcmsend's report.
_STORESCU: Final = re.compile(r"Sending file: (\S+)|Received Store Response \((Success)\)")
_DCMSEND: Final = re.compile(r"^Filename\s*: (\S+)|^DIMSE Status\s*: 0x0000 \((Success)\)", re.M)
_LIMITS: Final = ("-to", "5", "-ta", "10", "-td", "15")
_STOW_SECONDS: Final = 15.0
# Referenced SOP Sequence and Referenced SOP Instance UID of a Store Instances Response.
_STORED: Final = "00081199"
_STORED_UID: Final = "00081155"

SendFunction = Callable[[Site, str, Sequence[Path]], set[Path]]


def storescu(site: Site, calling: str, paths: Sequence[Path]) -> set[Path]:
    """Return the images that were answered with Success on one association of DCMTK's storescu."""
    with site.sending("receive"):
        output = _run("storescu", "-v", "-xe", *_whom(site, calling), *paths)
    return _acknowledged(_STORESCU, output)


def dcmsend(site: Site, calling: str, paths: Sequence[Path]) -> set[Path]:
    """Return the images that were answered with Success on one association of DCMTK's dcmsend."""
    report = site.folder / f"{calling}.report"
    report.unlink(missing_ok=True)
    with site.sending("receive"):
        _run("dcmsend", "+crf", report, *_whom(site, calling), *paths)
    return _acknowledged(_DCMSEND, report.read_text() if report.exists() else "")


def stow(site: Site, calling: str, paths: Sequence[Path]) -> set[Path]:
    """Return the images that the answer to one STOW-RS request names as stored."""
    files = {
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in paths
    }
    boundary = uuid.uuid4().hex
    headers = {
        "Authorization": f"Bearer {site.tokens[calling]}",
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    body = b"".join(_parts(boundary, paths))
    with contextlib.suppress(httpx.HTTPError, ValueError), site.sending("receive-web"):
        answer = httpx.post(site.stow_url, content=body, headers=headers, timeout=_STOW_SECONDS)
        if answer.is_success:
            stored = answer.json().get(_STORED, {}).get("Value", [])
            return {files[item[_STORED_UID]["Value"][0]] for item in stored}
    return set()


def _parts(boundary: str, paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        yield path.read_bytes() + b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _whom(site: Site, calling: str) -> list[str]:
    return ["-aet", calling, "-aec", "WETREAD", "127.0.0.1", str(site.port)]


def _run(program: str, *arguments: object) -> str:
    command = [program, *_LIMITS, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    return done.stdout + done.stderr


def _acknowledged(pattern: re.Pattern[str], output: str) -> set[Path]:
    sending = ""
    acknowledged = set()
    for path, success in pattern.findall(output):
        sending = path or sending
        if success:
            acknowledged.add(Path(sending))
    return acknowledged
