"""Malformed, odd and hostile files, each sent to one running site: a result or a clear refusal."""

import hashlib
import json
import re
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from queue import Empty, Queue

import pytest
from pydicom.uid import UID
from pynetdicom import AE, build_context, evt
from pynetdicom.dimse_primitives import C_STORE

from dicom.phantom import as_dataset, draw, write
from service.jobs import JobState
from service.records import Job

pytestmark = [pytest.mark.dcmtk, pytest.mark.slow, pytest.mark.timeout(300)]

FOLDERS = ("cxr-malformed", "fo-dicom", "pydicom")
CR = "1.2.840.10008.5.1.4.1.1.1"
IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
# Of every process while it receives or reads these files, in MiB; measured were 144 and 458.
RECEIVER_MIB = 250
READER_MIB = 800
SECONDS_FOR_ONE = 30.0
# Success; data set does not match SOP class, cannot understand (PS3.4 B.2.3).
ANSWERS = frozenset({0x0000, 0xA900, 0xC000})
# The result of each: drafted and delivered, not analyzed for this reason, or refused with this status.
MALFORMED = {
    "all_black_pixels.dcm": "BLANK",
    "bitsstored16_highbit9.dcm": "COMPLETED",
    "declared_3_frames.dcm": "UNREADABLE",
    "declared_rgb.dcm": "UNREADABLE",
    "element_one_byte_short.dcm": 0xC000,
    "invalid_charset_bytes.dcm": "COMPLETED",
    "no_modality.dcm": "COMPLETED",
    "no_patientid.dcm": "COMPLETED",
    "no_photometric.dcm": "UNREADABLE",
    "no_pixeldata.dcm": "UNREADABLE",
    "no_rows.dcm": "UNREADABLE",
    "no_sopinstanceuid.dcm": 0xA900,
    "no_studyinstanceuid.dcm": 0xA900,
    "png_named_dcm.dcm": 0xC000,
    "preamble_only.dcm": 0xA900,
    "random_200_byte_flips.dcm": "UNREADABLE",
    "rows_cols_65535_bomb.dcm": "TOO_LARGE",
    "rows_cols_larger_than_data.dcm": "UNREADABLE",
    "truncated_half_file.dcm": "UNREADABLE",
    "truncated_last_byte_pair.dcm": "UNREADABLE",
    "ts_says_implicit_data_is_explicit.dcm": "COMPLETED",
    "two_windows.dcm": "COMPLETED",
    "unknown_transfer_syntax.dcm": "COMPLETED",
    "windowwidth_zero.dcm": "COMPLETED",
    "wrong_photometric_mono2.dcm": "INVERTED",
    "zero_bytes.dcm": 0xC000,
}
# SOP Classes beside CR and DX that the edge cases have, private classes included.
CLASSES = [
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.9.1.1",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.77.1.6",
    "1.2.840.10008.5.1.4.1.1.88.11",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.481.2",
    "1.2.840.10008.5.1.4.1.1.481.3",
    "1.2.840.10008.5.1.4.1.1.481.5",
    "1.2.840.10008.5.1.4.1.1.481.8",
    "1.3.46.670589.5.0.1.1",
]


def _element(group: int, number: int) -> re.Pattern[bytes]:
    """Return the pattern of a UID element in any of the three uncompressed encodings."""
    tags = b"|".join(re.escape(struct.pack(f"{order}HH", group, number)) for order in "<>")
    return re.compile(b"(?:" + tags + rb")(?:UI..|.{4})([0-9][0-9.]{3,63})", re.DOTALL)


# Without a parser: the sent bytes must not depend on the tested code.
_STUDY, _SERIES, _SOP = _element(0x20, 0x0D), _element(0x20, 0x0E), _element(0x08, 0x18)
_CLASS, _SYNTAX = _element(0x08, 0x16), _element(0x02, 0x10)


def _first(pattern: re.Pattern[bytes], content: bytes) -> str:
    found = pattern.search(content)
    return found[1].decode() if found else ""


def _like(uid: str, name: str) -> str:
    """Return another UID of the same length: in its place no other byte of the file moves."""
    digits = str(int(hashlib.sha256(f"{uid}{name}".encode()).hexdigest(), 16))
    return ("2.25." + digits)[: len(uid)] if len(uid) > 6 else uid


@dataclass(frozen=True, slots=True)
class EdgeCase:
    """One file, in a study of its own."""

    name: str
    path: Path
    study: str

    sop_class: str
    sop: str
    syntax: str

    @property
    def dataset(self) -> bytes:
        """The bytes that a sender transmits."""
        return _dataset(self.path.read_bytes())


def _dataset(content: bytes) -> bytes:
    """Return the bytes behind the file meta group; all of them when there is none."""
    if content[128:132] != b"DICM" or len(content) < 144:
        return content or b"\0\0"  # a data set of no bytes cannot be sent
    (length,) = struct.unpack_from("<L", content, 140)
    return content[144 + length :]


def _edge_case(source: Path, folder: Path) -> EdgeCase:
    content = source.read_bytes()
    for pattern in (_STUDY, _SERIES, _SOP):
        if uid := _first(pattern, content):
            content = content.replace(uid.encode(), _like(uid, source.name).encode())
    target = folder / source.name
    target.write_bytes(content)
    syntax = _first(_SYNTAX, content[:1024])
    legible = zlib.decompress(_dataset(content), -15) if syntax == DEFLATED else content
    return EdgeCase(
        name=source.name,
        path=target,
        study=_first(_STUDY, legible),
        sop_class=_first(_CLASS, legible),
        sop=_first(_SOP, legible),
        syntax=syntax,
    )


@pytest.fixture(scope="module")
def edge_cases(shared_data, tmp_path_factory):
    """Every file of the edge cases by folder, the licences and lists left out."""
    found = {}
    for name in FOLDERS:
        folder = tmp_path_factory.mktemp(name)
        sources = sorted(
            path
            for path in (shared_data / "edge-cases" / name).rglob("*")
            if path.is_file() and path.suffix in (".dcm", ".gz")
        )
        found[name] = [_edge_case(source, folder) for source in sources]
    return found


@pytest.fixture(scope="module")
def odd_site(site_class, tmp_path_factory):
    """A site that takes every class and delivers to a folder."""
    from socket import socket  # noqa: PLC0415 - only to have a port

    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("odd-site")
    overrides = {
        "receiver": {
            "host": "127.0.0.1",
            "port": port,
            "callers": [{"ae_title": "MODALITY"}],
            "storage_classes": CLASSES,
            "quiet_time": 0.3,
            "min_free_bytes": 0,
        },
        "destinations": [{"kind": "folder", "name": "out", "path": str(folder / "out")}],
    }
    site = site_class(folder, port, overrides)
    try:
        yield site.start()
    finally:
        site.stop()


def _send_raw(port: int, case: EdgeCase) -> int | None:
    """Send any bytes as a data set, under the context that the file names."""
    sop_class = case.sop_class if case.sop_class in CLASSES else CR
    entity = AE(ae_title="MODALITY")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    # The syntax of the file when the service takes it, or else a wrong one, as a faulty sender uses.
    proposed = [
        build_context(sop_class, [case.syntax or IMPLICIT]),
        build_context(sop_class, [IMPLICIT]),
    ]
    link = entity.associate("127.0.0.1", port, contexts=proposed, ae_title="WETREAD")
    assert link.is_established, case.name
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(sop_class)
    request.AffectedSOPInstanceUID = UID(case.sop or _like("1.2.3." + "4" * 40, case.name))
    request.Priority = 2
    request.DataSet = BytesIO(case.dataset)
    answers: Queue = Queue()
    link.bind(evt.EVT_DIMSE_RECV, lambda event: answers.put(event.message.command_set.Status))
    link.dimse.send_msg(request, link.accepted_contexts[0].context_id)
    try:
        return answers.get(timeout=SECONDS_FOR_ONE)
    except Empty:
        return None
    finally:
        link.release()


def _send(site, case: EdgeCase) -> int | None:
    """Return the status of the response: by storescu, or raw if that cannot send the file."""
    how = site.propose.get(case.syntax)
    if how is not None:
        command = ["storescu", "-d", "-R", how, "-aet", "MODALITY", "-aec", "WETREAD", "127.0.0.1"]
        done = subprocess.run(
            [*command, str(site.port), str(case.path)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_FOR_ONE,
        )
        status = re.search(r"DIMSE Status\s*: 0x([0-9a-f]{4})", done.stdout + done.stderr)
        if status:
            return int(status[1], 16)
    return _send_raw(site.port, case)


def _peak_mib(pid: int) -> float:
    """Return the most memory that a process has had resident so far; 0 of one that has ended.

    Not `ru_maxrss`: Linux includes the parent's value at the fork.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0


def _a_good_image_is_drafted(site, folder: Path, seed: int) -> None:
    dataset = as_dataset(draw(seed, rows=256, columns=256))
    write(dataset, folder / f"{seed}.dcm")
    assert site.store_scu(folder / f"{seed}.dcm").acknowledged
    site.completed(str(dataset.StudyInstanceUID))


@pytest.mark.parametrize("name", FOLDERS)
def test_each_edge_case_is_answered_and_the_service_goes_on(odd_site, edge_cases, tmp_path, name):
    """Every file is acknowledged or refused, every job ends, no process dies, memory stays bounded."""
    cases = edge_cases[name]
    before = {part: odd_site.pids(part) for part in ("receive", "worker-reading")}
    with ThreadPoolExecutor(4) as senders:
        statuses = list(senders.map(lambda case: _send(odd_site, case), cases))
    answers = dict(zip(cases, statuses, strict=True))
    assert {case.name: status for case, status in answers.items() if status not in ANSWERS} == {}
    jobs = {
        case.name: odd_site.settled(case.study, seconds=SECONDS_FOR_ONE)
        for case, status in answers.items()
        if status == 0
    }
    for image, job in jobs.items():
        assert job.state in (JobState.COMPLETED, JobState.NOT_ANALYSED), f"{image} {job.reason}"
        assert job.state is JobState.COMPLETED or job.reason, image
        assert (job.attempts, job.last_error) == (1, ""), image
    _a_good_image_is_drafted(odd_site, tmp_path, 900 + FOLDERS.index(name))
    assert {part: odd_site.pids(part) for part in before} == before
    assert max(_peak_mib(pid) for pid in before["receive"]) < RECEIVER_MIB
    assert max(_peak_mib(pid) for pid in before["worker-reading"]) < READER_MIB
    if name == "cxr-malformed":
        ends = {case.name: _end(status, jobs.get(case.name)) for case, status in answers.items()}
        assert ends == MALFORMED


def _end(status: int, job: Job | None) -> str | int:
    """Return the reason why an image was not read, "COMPLETED", or the status of a refusal."""
    return status if job is None else job.reason_code or str(job.state)


def test_read_has_a_line_for_every_edge_case_and_goes_on(edge_cases, tmp_path):
    """`wetread read` of all of them at once reports the result of each file, in bounded memory."""
    cases = [case for cases in edge_cases.values() for case in cases]
    good = tmp_path / "good.dcm"
    write(as_dataset(draw(990, rows=256, columns=256)), good)
    files = [*(case.path for case in cases), good]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "read", "--out", str(tmp_path / "out"), "--json"]
            + [str(path) for path in files],
            cwd=tmp_path,
            stdout=output,
        )
    peak = _peak_until_its_end(process)
    assert process.returncode == 1  # some could not be parsed
    results = [json.loads(line) for line in (tmp_path / "output").read_text().splitlines()]
    named = [path for result in results for path in result.get("files", [result.get("file")])]
    assert sorted(named) == sorted(map(str, files))
    assert [each for each in results if each["state"] == "ERROR" and not each["reason"]] == []
    assert (
        next(each for each in results if str(good) in each.get("files", []))["state"] == "DRAFTED"
    )
    assert 0 < peak < READER_MIB


def _peak_until_its_end(process):
    """Return the most memory that was sampled of the process, in MiB, once it has ended."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peak_mib(process.pid))
        time.sleep(0.05)
    return peak
