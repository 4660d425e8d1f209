"""Storage commitment reports reach their peers in spite of faults and kills."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from queue import Queue

import pytest
from blake3 import blake3
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from sqlalchemy import text
from structlog.testing import capture_logs

from dicom.parsing.header import Identity
from dicom.scu.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from dicom.scu.commitment_request import CommitmentRequest, Reference
from dicom.spool.incoming_file import Announced
from dicom.spool.spool import Spool
from service.database.engine import make_engine
from service.records import CommitmentState, IncidentKind
from service.settings.config import Settings, as_environment, child_environment, load_settings
from service.store import Store
from service.sweeper import commitment_sender
from service.sweeper.commitment_sender import CommitmentSender
from tests.databases import make_database

CR = "1.2.840.10008.5.1.4.1.1.1"


def keep(settings, store, uid: str, content: bytes):
    """Return an instance that is in the spool and recorded."""
    spool = Spool(settings.spool_dir)
    announced = Announced(
        sop_class_uid=CR, sop_instance_uid=uid, transfer_syntax_uid="1.2.3", source_ae="CR1"
    )
    incoming = spool.receive(announced)
    incoming.write(content)
    identity = Identity(
        sop_instance_uid=uid,
        sop_class_uid=CR,
        study_instance_uid="1.2.1",
        series_instance_uid="1.2.2",
    )
    instance = spool.store(incoming, identity).instance
    store.add_instance(instance, calling_ae="CR1", association_id="1", eligible=True)
    assert instance.digest == blake3(content).hexdigest(length=28)
    return instance


def asked(*uids: str, transaction: str = "1.2.3.4") -> CommitmentRequest:
    """Return a request for these instances."""
    references = tuple(Reference(sop_class_uid=CR, sop_instance_uid=uid) for uid in uids)
    return CommitmentRequest(transaction_uid=transaction, references=references)


class Modality:
    """A storage commitment SCU that waits for reports.

    Attributes:
        reports: Transaction UID, event type, committed and failed SOP Instance UIDs of each report.
        status: The status of its answers.
    """

    def __init__(self, port: int = 0, ae_title: str = "CR1") -> None:
        self.reports: Queue = Queue()
        self.status = 0x0000
        self.hold: threading.Event | None = None
        self.arrived = threading.Event()
        entity = AE(ae_title=ae_title)
        entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        self._server = entity.start_server(
            ("127.0.0.1", port),
            block=False,
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._on_report)],
        )
        self.port = self._server.socket.getsockname()[1]

    def _on_report(self, event):
        self.arrived.set()
        if self.hold is not None:
            self.hold.wait(20)
        report = event.event_information
        uids = [
            [item.ReferencedSOPInstanceUID for item in report.get(name) or ()]
            for name in ("ReferencedSOPSequence", "FailedSOPSequence")
        ]
        self.reports.put((report.TransactionUID, event.event_type, *uids))
        return self.status, None

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()


@pytest.fixture
def modality():
    """A modality that listens."""
    listening = Modality()
    yield listening
    listening.close()


@pytest.fixture
def settings(tmp_path):
    """Settings with a database and a spool of their own."""
    made = Settings(data_dir=tmp_path, sweep={"interval": 0.05})
    make_database(made.database_url)
    return made


@pytest.fixture
def store(settings):
    """The store of these settings."""
    opened = Store.open(settings)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Have the pauses between attempts begin at a tenth of a second."""
    monkeypatch.setattr(commitment_sender, "_FIRST_PAUSE", timedelta(seconds=0.05))


@contextlib.contextmanager
def sending(store, settings, owner="sweep@here"):
    """Run a sender within the block."""
    sender = CommitmentSender(store, settings, owner)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


def owe(store, port, *uids, transaction="1.2.3.4", ae_title="CR1"):
    """Record a pending report."""
    request = asked(*uids, transaction=transaction)
    store.owe_report(request, ae_title=ae_title, host="127.0.0.1", port=port)


def report_of(store, transaction="1.2.3.4"):
    """Return the report of a transaction."""
    (found,) = [
        each for each in store.commitment_reports() if each.request.transaction_uid == transaction
    ]
    return found


def test_a_report_is_tried_again_until_the_modality_listens(settings, store, free_port, eventually):
    """No answer at first, the process restarts, then the modality answers."""
    keep(settings, store, "1.2.1", b"film")
    port = free_port()
    owe(store, port, "1.2.1", "1.2.9")
    with sending(store, settings):
        eventually(lambda: report_of(store).attempts >= 2, seconds=20, what="attempts")
    waiting = report_of(store)
    assert waiting.state is CommitmentState.OWED
    assert waiting.failures == {"1.2.9": 0x0112}
    assert f"127.0.0.1:{port}" in waiting.last_error
    listening = Modality(port)
    try:
        with sending(store, settings):
            heard = listening.reports.get(timeout=20)
            eventually(
                lambda: report_of(store).state is CommitmentState.REPORTED,
                seconds=20,
                what="the end",
            )
    finally:
        listening.close()
    assert heard == ("1.2.3.4", 2, ["1.2.1"], ["1.2.9"])
    assert listening.reports.empty()


def test_of_two_senders_one_sends_each_report(tmp_path, database_url, modality, eventually):
    """Twenty reports to two peers, two processes' senders: each report arrives once."""
    settings = Settings(data_dir=tmp_path, sweep={"interval": 0.05}, database={"url": database_url})
    store = Store.open(settings)
    other = Modality(ae_title="CR2")
    keep(settings, store, "1.2.1", b"film")
    for number in range(10):
        owe(store, modality.port, "1.2.1", transaction=f"1.2.5.{number}")
        owe(store, other.port, "1.2.1", transaction=f"1.2.5.{number}", ae_title="CR2")
    second = Store.open(settings)
    try:
        with sending(store, settings), sending(second, settings, "sweep@there"):
            eventually(lambda: not store.commitment_backlogs(), seconds=60, what="nothing is owed")
    finally:
        second.close()
        store.close()
        other.close()
    for peer in (modality, other):
        heard = [peer.reports.get_nowait()[0] for _ in range(peer.reports.qsize())]
        assert sorted(heard) == [f"1.2.5.{number}" for number in range(10)]


def test_a_peer_that_is_away_delays_no_other(settings, store, modality, free_port):
    """Fifty reports to an address that does not answer, one to a modality that does."""
    keep(settings, store, "1.2.1", b"film")
    port = free_port()
    for number in range(50):
        owe(store, port, "1.2.1", transaction=f"1.2.5.{number}", ae_title="AWAY")
    owe(store, modality.port, "1.2.1")
    with sending(store, settings):
        assert modality.reports.get(timeout=20)[0] == "1.2.3.4"
    waiting = [each for each in store.commitment_reports() if each.ae_title == "AWAY"]
    assert len(waiting) == 50
    # An attempt shows that the peer is unreachable: the others wait and count no attempt.
    assert sum(each.attempts for each in waiting) < 50


def test_a_report_that_is_never_accepted_is_given_up_with_an_incident(
    settings, store, modality, eventually
):
    """After the limit: one incident for a peer's reports; a person can have them sent again."""
    keep(settings, store, "1.2.1", b"film")
    modality.status = 0x0110
    limited = Settings(
        data_dir=settings.data_dir,
        sweep={"interval": 0.05},
        receiver={"commitment_give_up_hours": 0.3 / 3600},
    )
    owe(store, modality.port, "1.2.1")
    with sending(store, limited):
        eventually(
            lambda: report_of(store).state is CommitmentState.GIVEN_UP, seconds=20, what="the end"
        )
    (incident,) = store.incidents()
    assert (incident.kind, incident.subject) == (IncidentKind.COMMITMENT, "CR1")
    assert incident.detail.startswith("A storage commitment report was given up: CR1 at 127.0.0.1")
    assert incident.detail.endswith("refused the storage commitment report: 0x0110.")
    while not modality.reports.empty():
        modality.reports.get_nowait()
    modality.status = 0x0000
    assert store.owe_reports_again("CR2") == 0
    assert store.owe_reports_again() == 1
    with sending(store, settings):
        assert modality.reports.get(timeout=20) == ("1.2.3.4", 1, ["1.2.1"], [])


def test_the_reports_of_a_lost_peer_are_given_up_together(settings, store, free_port, eventually):
    """The others are as old and cannot arrive either: one incident names their number."""
    limited = Settings(
        data_dir=settings.data_dir,
        sweep={"interval": 0.05},
        receiver={"commitment_give_up_hours": 0.3 / 3600},
    )
    port = free_port()
    for number in range(30):
        owe(store, port, "1.2.1", transaction=f"1.2.5.{number}")
    time.sleep(0.4)  # all are older than the limit now
    with sending(store, limited):
        eventually(
            lambda: [each.state for each in store.commitment_backlogs()] == ["GIVEN_UP"],
            seconds=30,
            what="the end",
        )
    (backlog,) = store.commitment_backlogs()
    assert backlog.count == 30
    (incident,) = store.incidents()
    assert "30 storage commitment reports were given up" in incident.detail


def test_a_new_port_in_the_settings_counts_for_what_is_owed(settings, store, modality, free_port):
    """An admin who corrects `commitment_port` needs no new request of the modality."""
    keep(settings, store, "1.2.1", b"film")
    owe(store, free_port(), "1.2.1")
    corrected = Settings(
        data_dir=settings.data_dir,
        sweep={"interval": 0.05},
        receiver={"callers": [{"ae_title": "CR1", "commitment_port": modality.port}]},
    )
    with sending(store, corrected):
        assert modality.reports.get(timeout=20)[1] == 1


def test_a_clock_that_was_ahead_delays_no_report(settings, store, modality):
    """A report that a clock a day ahead has postponed and claimed is sent once the clock is right."""
    keep(settings, store, "1.2.1", b"film")
    owe(store, modality.port, "1.2.1")
    engine = make_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE commitment_reports SET next_at = :at, lease_until = :at"),
            {"at": (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S.%f")},
        )
    engine.dispose()
    with sending(store, settings):
        assert modality.reports.get(timeout=20)[1] == 1


@pytest.mark.parametrize("fault", ["database", "spool", "file"])
def test_a_fault_of_ours_that_passes_is_no_final_answer(
    settings, store, modality, eventually, fault
):
    """The report stays pending while the result is unknown, and then has the true result."""
    instance = keep(settings, store, "1.2.1", b"film")
    owe(store, modality.port, "1.2.1")
    place = {
        "database": settings.data_dir / settings.database_url.rpartition("/")[2],
        "spool": settings.spool_dir,
        "file": instance.path,
    }[fault]
    store.close()
    aside = place.rename(settings.data_dir / "aside")
    if fault != "database":
        place.mkdir()  # an unmounted disk; a file that cannot be read
    event = "commitments_not_sent" if fault == "database" else "commitment_unknown"
    with capture_logs() as logs, sending(store, settings):
        eventually(
            lambda: event in [entry["event"] for entry in logs], seconds=20, what="an attempt"
        )
        assert modality.reports.empty()
        store.close()
        if fault != "database":
            place.rmdir()
        aside.replace(place)
        assert modality.reports.get(timeout=30)[1] == 1  # all is committed


def test_files_of_an_earlier_version_are_sent_and_removed(settings, store, modality):
    """Earlier versions kept pending reports as JSON files; a damaged one stays for a person."""
    keep(settings, store, "1.2.1", b"film")
    folder = settings.data_dir / "commitments"
    folder.mkdir()
    request = {
        "transaction_uid": "1.2.3.4",
        "references": [{"sop_class_uid": CR, "sop_instance_uid": "1.2.1"}],
    }
    promise = {"request": request, "host": "127.0.0.1", "port": modality.port, "called": "CR1"}
    (folder / "one.json").write_text(json.dumps(promise | {"since": 1.0, "tries": 3, "due": 2.0}))
    (folder / "two.json").write_text("{")
    with sending(store, settings):
        assert modality.reports.get(timeout=20) == ("1.2.3.4", 1, ["1.2.1"], [])
    assert [each.name for each in folder.iterdir()] == ["two.unreadable"]


class Parts:
    """Real processes of one site, started and killed one by one."""

    def __init__(self, folder, overrides):
        self._environment = as_environment(overrides)
        self._folder = folder
        self._running = {}

    def start(self, part):
        """Start `wetread PART`."""
        log = (self._folder / f"{part}.log").open("ab")
        self._running[part] = subprocess.Popen(
            [sys.executable, "-m", "service.cli", part],
            env=child_environment(**self._environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def kill(self, part):
        """End a process as a power cut would."""
        process = self._running.pop(part)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self):
        """End all."""
        for part in list(self._running):
            self.kill(part)


@pytest.fixture
def parts(tmp_path, redis_server, modality, free_port):
    """The processes of a site whose modality listens, and the site's settings."""
    overrides = {
        "data_dir": str(tmp_path / "data"),
        "broker": {"url": redis_server.url},
        "receiver": {
            "host": "127.0.0.1",
            "port": free_port(),
            "min_free_bytes": 0,
            "callers": [{"ae_title": "CR1", "commitment_port": modality.port}],
        },
    }
    made = Parts(tmp_path, overrides)
    made.settings = load_settings(**overrides)
    make_database(made.settings.database_url)
    yield made
    made.close()


def request_commitment(port, *uids, transaction):
    """Send an N-ACTION as a modality; return its status."""
    entity = AE(ae_title="CR1")
    entity.add_requested_context(PUSH_MODEL)
    link = entity.associate("127.0.0.1", port, ae_title="WETREAD")
    assert link.is_established
    action = Dataset()
    action.TransactionUID = transaction
    action.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CR, uid
        action.ReferencedSOPSequence.append(item)
    status, _ = link.send_n_action(action, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    link.abort()
    return status.Status


def test_kills_lose_no_report(parts, modality, eventually):
    """The receiver is killed after its answer, the sweeper while the modality receives the report."""
    store = Store.open(parts.settings)
    keep(parts.settings, store, "1.2.1", b"film")
    parts.start("receive")
    port = parts.settings.receiver.port
    eventually(lambda: [each.role for each in store.processes()], seconds=30, what="the receiver")
    assert request_commitment(port, "1.2.1", "1.2.9", transaction="1.2.7.1") == 0x0000
    parts.kill("receive")
    modality.hold = threading.Event()
    parts.start("sweep")
    assert modality.arrived.wait(40)
    parts.kill("sweep")
    held, modality.hold = modality.hold, None
    held.set()
    parts.start("sweep")
    try:
        eventually(
            lambda: report_of(store, "1.2.7.1").state is CommitmentState.REPORTED,
            seconds=40,
            what="the report",
        )
    finally:
        store.close()
    heard = [modality.reports.get_nowait() for _ in range(modality.reports.qsize())]
    assert len(heard) == 2  # the killed one arrived too, and was not confirmed
    assert set(map(str, heard)) == {str(("1.2.7.1", 2, ["1.2.1"], ["1.2.9"]))}
