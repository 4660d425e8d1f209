"""Alerts and their messages, sent to a real SMTP server and a real webhook."""

import json
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes
from email.policy import default as email_policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from service.audit import AuditAction, AuditEvent
from service.monitoring.alert_rules import AlertLevel, rule_of
from service.monitoring.alert_text import without_uids
from service.monitoring.apprise_sender import NotSent
from service.records import IncidentKind
from service.records.alerts import NotificationOutcome
from service.settings.config import settings_of
from service.sweeper.notifier import Notifier

ACK = AuditEvent(action=AuditAction.ACKNOWLEDGED, actor="ann (web page)", person_id="p1")
PATIENT = ("Röntgen", "Wilhelm", "PID4711", "19450327", "ACC99", "1.2.840.113619.2.55.3.4")


class Webhook(ThreadingHTTPServer):
    """A webhook that keeps what it gets, and answers `status`, or nothing while `silent` is set."""

    def __init__(self):
        self.got, self.status, self.silent = [], 200, None
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.silent is not None:
                    hook.silent.wait(20)
                hook.got.append(json.loads(body))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Log nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        """Its Apprise URL, with a secret in the path."""
        return f"json://127.0.0.1:{self.server_port}/hook/s3cret"


@pytest.fixture
def webhook():
    """A webhook on loopback."""
    server = Webhook()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def make_notifier(store):
    """A function: targets and further keys of [notify] -> a Notifier that ticks until all is sent."""

    def make(*targets, **notify):
        settings = settings_of(
            {
                "site_name": "Klinikum",
                "web": {"public_url": "https://wetread.example"},
                "notify": {"targets": list(targets), "timeout": 1.0, **notify},
            }
        )
        return Notifier(store, settings)

    return make


def tick(notifier, times=2):
    """Run what is due, and wait until every message was sent or refused."""
    for _ in range(times):
        notifier.tick()
        notifier.wait()


def incident(store, kind=IncidentKind.DESTINATION_AWAY, subject="pacs", detail="It is away."):
    """Record an incident."""
    store.record_incident(actor="sweeper", kind=kind, subject=subject, detail=detail)


def test_one_message_until_acknowledged_and_one_for_the_end(store, clock, webhook, make_notifier):
    """Further incidents of the same cause send nothing; the end of the cause is announced."""
    notifier = make_notifier({"name": "hook", "url": webhook.url})
    for minute in range(5):
        incident(store, detail=f"{minute + 1} results wait.")
        clock.move(60)
        tick(notifier)
    [opened] = webhook.got
    assert opened["title"] == "Wetread (Klinikum): Results do not reach a destination"
    assert "pacs: 1 results wait." in opened["message"]
    assert "What to do: Check that system" in opened["message"]
    assert "https://wetread.example/alerts" in opened["message"]
    [alert] = store.open_incident_alerts()
    assert (alert.count, alert.detail) == (5, "5 results wait.")
    incident(store, IncidentKind.DESTINATION_BACK, detail="It accepts results again.")
    tick(notifier)
    assert [each["title"] for each in webhook.got[1:]] == [
        "Wetread (Klinikum): Ended: Results do not reach a destination"
    ]
    [alert] = store.open_incident_alerts()  # a person has not seen it yet
    done = store.acknowledge_incident_alert(alert.id, recovers, ACK)
    assert done.closed_at is not None
    assert store.open_incident_alerts() == []
    tick(notifier)
    assert len(webhook.got) == 2


def test_the_end_of_an_acknowledged_alert_is_announced_though_no_other_is_open(
    store, webhook, make_notifier
):
    """The end closes the alert at once."""
    notifier = make_notifier({"name": "hook", "url": webhook.url})
    incident(store)
    tick(notifier)
    [alert] = store.open_incident_alerts()
    store.acknowledge_incident_alert(alert.id, recovers, ACK)
    incident(store, IncidentKind.DESTINATION_BACK)
    tick(notifier)
    assert store.open_incident_alerts() == []
    assert [each["title"].count("Ended") for each in webhook.got] == [0, 1]


def recovers(kind):
    """Return whether the end of a kind's cause is observed."""
    return rule_of(kind).recovers


def test_a_cause_that_comes_and_goes_is_announced_after_the_quiet_time(
    store, clock, webhook, make_notifier
):
    """Within it nothing is sent; afterwards only if the cause lasts."""
    notifier = make_notifier({"name": "hook", "url": webhook.url}, quiet_minutes=60)
    for _ in range(4):
        incident(store)
        tick(notifier)
        incident(store, IncidentKind.DESTINATION_BACK)
        tick(notifier)
        clock.move(120)
    assert len(webhook.got) == 2  # opened, ended
    clock.move(3600)
    tick(notifier)
    assert len(webhook.got) == 2
    incident(store)
    tick(notifier)
    assert [each["title"].count("Ended") for each in webhook.got] == [0, 1, 0]


def test_two_destinations_are_two_alerts_also_after_a_restart(store, webhook, make_notifier):
    """Acknowledging one silences only that one; the end of one ends only that one."""
    notifier = make_notifier({"name": "hook", "url": webhook.url})
    for name in ("pacs", "archive"):
        incident(store, subject=name)
    tick(notifier, times=3)
    assert len(webhook.got) == 2
    alerts = {each.subject: each for each in store.open_incident_alerts()}
    assert set(alerts) == {"pacs", "archive"}
    store.acknowledge_incident_alert(alerts["pacs"].id, recovers, ACK)
    incident(store, subject="archive")
    tick(
        make_notifier({"name": "hook", "url": webhook.url}), times=3
    )  # a process that was restarted
    assert len(webhook.got) == 2
    found = {each.subject: each for each in store.open_incident_alerts()}
    assert {name: each.id for name, each in found.items()} == {n: a.id for n, a in alerts.items()}
    assert (found["archive"].count, found["archive"].acknowledged_at) == (2, None)
    incident(store, IncidentKind.DESTINATION_BACK, subject="archive")
    tick(notifier)
    states = {each.subject: each.recovered_at for each in store.open_incident_alerts()}
    assert states["pacs"] is None
    assert states["archive"] is not None


@pytest.mark.parametrize(
    ("kind", "subjects", "alerts"),
    [
        (IncidentKind.PROCESS_SILENT, ("reading@a:11", "reading@a:12", "reading@b:11"), 2),
        (IncidentKind.CALLERS_NOT_RELOADED, ("x.toml on a", "x.toml on b"), 2),
        (IncidentKind.REFUSED, ("CT1 at 10.0.0.9", "MR1 at 10.0.0.9"), 2),
        (IncidentKind.LOST_IMAGE, ("1.2.3", "1.2.4"), 1),
        (IncidentKind.REFUSED, tuple(f"SCAN{number} at 10.0.0.9" for number in range(60)), 51),
    ],
)
def test_the_subject_of_an_incident_decides_its_alert(store, make_notifier, kind, subjects, alerts):
    """A host without the process id, a calling AE, one for all images, few of a port scan."""
    for subject in subjects:
        incident(store, kind, subject)
    make_notifier().tick()
    found = store.open_incident_alerts()
    assert len(found) == alerts
    assert sum(each.count for each in found) == len(subjects)


def test_calling_aes_in_force_on_one_host_end_only_its_alert(store, make_notifier):
    """The other host still uses the former ones."""
    kind = IncidentKind.CALLERS_NOT_RELOADED
    for host in ("a", "b"):
        incident(store, kind, f"wetread.toml on {host}")
    make_notifier().tick()
    store.remove_incidents(kind=kind, subject="wetread.toml on a")
    make_notifier().tick()
    assert {each.subject: bool(each.recovered_at) for each in store.open_incident_alerts()} == {
        "wetread.toml on a": True,
        "wetread.toml on b": False,
    }


def test_an_unacknowledged_alert_is_repeated(store, clock, webhook, make_notifier):
    """Once in the configured time; an acknowledged one that lasts is not."""
    notifier = make_notifier({"name": "hook", "url": webhook.url}, repeat_hours=24)
    incident(store)
    tick(notifier)
    for _ in range(2):
        clock.move(86_401)
        tick(notifier)
    heads = ["Still open" in each["title"] for each in webhook.got]
    assert heads == [False, True, True]
    [alert] = store.open_incident_alerts()
    held = store.acknowledge_incident_alert(alert.id, recovers, ACK)
    assert (held.closed_at, held.acknowledged_by) == (None, "ann (web page)")
    incident(store)
    clock.move(3 * 86_400)
    tick(notifier)
    assert len(webhook.got) == 3
    assert [each.event.detail for each in store.audit_from()] == [f"destination_away ({alert.id})"]


def test_closed_alerts_are_removed_after_the_time_of_the_settings(
    store, clock, webhook, make_notifier
):
    """With their messages; an open one never is, however old."""
    notifier = make_notifier({"name": "hook", "url": webhook.url}, keep_days=30, repeat_hours=0)
    for name in ("pacs", "archive"):
        incident(store, subject=name)
    tick(notifier, times=3)
    closed = next(each for each in store.open_incident_alerts() if each.subject == "pacs")
    store.acknowledge_incident_alert(closed.id, lambda _: False, ACK)
    clock.move(29 * 86_400)
    tick(notifier)
    assert [each.subject for each in store.closed_incident_alerts()] == ["pacs"]
    clock.move(2 * 86_400)
    tick(notifier)
    assert store.closed_incident_alerts() == []
    [kept] = store.open_incident_alerts()
    assert kept.subject == "archive"
    assert {each.alert_id for each in store.notifications()} == {kept.id}


def test_each_target_gets_its_levels_and_kinds(store, webhook, make_notifier):
    """By level, or by kinds only."""
    with_level = {"name": "all", "url": webhook.url, "level": "notice"}
    only = {"name": "one", "url": webhook.url, "kinds": ["refused"]}
    high = {"name": "high", "url": webhook.url, "level": "alarm"}
    notifier = make_notifier(with_level, only, high)
    incident(store, IncidentKind.REFUSED, "CT1 at 10.0.0.9", "An association was refused.")
    incident(store)
    tick(notifier, times=4)
    sent = sorted((each.target, each.alert_id) for each in store.notifications())
    by_id = {each.id: each.kind for each in store.open_incident_alerts()}
    assert [(target, by_id[alert]) for target, alert in sent] == [
        ("all", "refused"),
        ("all", "destination_away"),
        ("high", "destination_away"),
        ("one", "refused"),
    ]


def test_a_server_that_refuses_is_tried_again_and_reported(store, clock, webhook, make_notifier):
    """Backoff, an incident after the third attempt, the end of it when the server accepts."""
    notifier = make_notifier({"name": "hook", "url": webhook.url})
    webhook.status = 500
    incident(store)
    for _ in range(3):
        tick(notifier, times=1)
        clock.move(61)
    assert len(webhook.got) == 3
    tick(notifier, times=1)
    failures = [each for each in store.open_incident_alerts() if each.kind == "notification_failed"]
    assert [each.subject for each in failures] == ["hook"]
    assert "error=500" in failures[0].detail
    assert "s3cret" not in failures[0].detail
    webhook.status = 200
    clock.move(3600)
    tick(notifier)
    outcomes = {each.outcome for each in store.notifications() if each.event.value == "opened"}
    assert NotificationOutcome.SENT in outcomes
    lasting = {each.subject for each in store.open_incident_alerts() if each.recovered_at is None}
    assert lasting == {"pacs"}


def test_a_message_is_given_up_after_a_day(store, clock, webhook, make_notifier):
    """It does not wait forever."""
    notifier = make_notifier({"name": "hook", "url": webhook.url}, give_up_hours=1)
    webhook.status = 503
    incident(store)
    for _ in range(8):
        tick(notifier, times=1)
        clock.move(1000)
    outcome = next(each for each in store.notifications() if each.alert_id == 1).outcome
    assert outcome is NotificationOutcome.GIVEN_UP


def test_a_silent_server_delays_no_other_target(store, webhook, make_notifier):
    """Each has a thread of its own, with a time limit."""
    slow = Webhook()
    slow.silent = threading.Event()
    notifier = make_notifier(
        {"name": "slow", "url": slow.url}, {"name": "fast", "url": webhook.url}
    )
    incident(store)
    notifier.tick()
    notifier._busy["fast"].join(5)
    assert len(webhook.got) == 1
    notifier.wait()  # the limit of one second
    slow.silent.set()
    [waiting] = [each for each in store.notifications() if each.target == "slow"]
    assert "Connection error" in waiting.last_error
    slow.server_close()


def test_a_killed_sender_sends_again(store, clock, webhook, make_notifier):
    """A message that was claimed and not recorded as sent is sent after its lease."""
    target = {"name": "hook", "url": webhook.url}
    notifier = make_notifier(target)
    incident(store)
    notifier._targets, kept = {}, notifier._targets
    notifier.tick()
    notifier._targets = kept
    notifier._queue()
    assert store.claim_notification(300) is not None  # and the process is killed here
    tick(make_notifier(target))
    assert webhook.got == []
    clock.move(301)
    tick(make_notifier(target))
    tick(make_notifier(target))
    assert len(webhook.got) == 1


def test_no_message_names_a_patient_or_a_study(store, webhook, make_notifier):
    """UIDs are left out; every incident of the service names neither patient nor order."""
    notifier = make_notifier({"name": "hook", "url": webhook.url, "level": "notice"})
    uid = PATIENT[-1]
    incident(store, IncidentKind.LOST_IMAGE, uid, f"The file of {uid} is missing.")
    incident(store, IncidentKind.DOUBT, uid, f"A copy of image {uid}.7 arrived.")
    incident(store, IncidentKind.REFUSED, "CT1 at 10.0.0.9", "An association was refused.")
    tick(notifier, times=6)
    assert len(webhook.got) == 3
    text = json.dumps(webhook.got, ensure_ascii=False)
    assert [each for each in PATIENT if each in text] == []
    assert "10.0.0.9" in text  # an address is no UID
    assert without_uids("1.2.840.10008.1.2 at 10.0.0.9:104") == "(see the page) at 10.0.0.9:104"


class Mailbox:
    """Keeps the messages that an SMTP server gets."""

    def __init__(self):
        self.got = []

    async def handle_DATA(self, _server, session, envelope):  # noqa: N802 - the name that aiosmtpd calls
        """Keep a message."""
        self.got.append((session.ssl is not None, envelope))
        return "250 OK"


class Starttls(Controller):
    """An SMTP server that requires STARTTLS and a login."""

    def factory(self):
        """Return the protocol of a connection."""
        return SMTP(self.handler, tls_context=self.context, require_starttls=True)


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory):
    """A certificate for 127.0.0.1, which is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@contextmanager
def mail_server(files):
    """Run an SMTP server with STARTTLS on loopback; yield its port and mailbox."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Starttls(Mailbox(), hostname="127.0.0.1", port=port)
    controller.context = context
    controller.start()
    try:
        yield port, controller.handler
    finally:
        controller.stop()


def test_mail_goes_over_starttls_to_a_server_whose_certificate_is_verified(
    store, clock, make_notifier, tls_files, monkeypatch
):
    """And not to one whose certificate comes from an unknown authority."""
    with mail_server(tls_files) as (port, mailbox):
        url = (
            f"mailtos://127.0.0.1:{port}?smtp=127.0.0.1&mode=starttls"
            "&from=wetread@klinik.example&to=it@klinik.example"
        )
        notifier = make_notifier({"name": "mail", "url": url})
        incident(store)
        tick(notifier)
        assert mailbox.got == []
        [waiting] = store.notifications()
        assert "127.0.0.1" in waiting.last_error
        monkeypatch.setenv("SSL_CERT_FILE", str(tls_files[0]))
        clock.move(60)
        tick(notifier)
    [(encrypted, envelope)] = mailbox.got
    mail = message_from_bytes(envelope.content, policy=email_policy)
    assert encrypted
    assert envelope.rcpt_tos == ["it@klinik.example"]
    assert mail["Subject"] == "Wetread (Klinikum): Results do not reach a destination"
    assert "pacs: It is away." in mail.get_body(("plain",)).get_content()


def test_a_url_in_a_file_is_read_at_each_message(store, clock, webhook, make_notifier, tmp_path):
    """A missing or wrong file is a failure of the message, not of the service."""
    file = tmp_path / "url"
    notifier = make_notifier({"name": "hook", "url_file": str(file)})
    incident(store)
    tick(notifier, times=1)
    assert "cannot be read" in store.notifications()[0].last_error
    file.write_text("dbus://\n")
    clock.move(60)
    tick(notifier, times=1)
    assert "no url of a supported service" in store.notifications()[0].last_error
    file.write_text(f"{webhook.url}\n")
    clock.move(60)
    tick(notifier, times=1)
    assert len(webhook.got) == 1


def test_an_unforeseen_error_of_the_library_is_no_end_of_the_service(store, make_notifier):
    """The task counts as failing, the message is sent again after its lease."""
    notifier = make_notifier({"name": "hook", "url": "json://127.0.0.1:9/x"})

    def fail(*_):
        raise RuntimeError

    notifier._deliver = fail
    incident(store)
    tick(notifier)
    [message] = store.notifications()
    assert message.outcome is NotificationOutcome.WAITING


def test_a_refused_message_says_so(make_notifier):
    """`NotSent` carries the reason without a secret."""
    from service.monitoring.alert_text import Message  # noqa: PLC0415
    from service.monitoring.apprise_sender import send  # noqa: PLC0415

    target = make_notifier({"name": "x", "url": "json://127.0.0.1:9/s3cret"})._targets["x"]
    with pytest.raises(NotSent, match="Connection error") as refused:
        send(target, Message("a", "b"), timedelta(seconds=1).total_seconds())
    assert "s3cret" not in str(refused.value)


def test_each_incident_that_needs_a_person_has_a_rule():
    """Others are notices, which a target with the default level does not get."""
    notices = {kind for kind in IncidentKind if not rule_of(kind).title}
    assert notices == {
        IncidentKind.DESTINATION_BACK,
        IncidentKind.STUDIES_FETCHED,
        IncidentKind.TOKEN_ADDED,
        IncidentKind.TOKEN_REVOKED,
        IncidentKind.TOKEN_REFUSED,
        IncidentKind.PROBE_PASSED,
    }
    assert rule_of(IncidentKind.DESTINATION_STILL_PAUSED).level is AlertLevel.WARNING
