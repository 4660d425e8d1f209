"""A change and its record in the audit trail are one transaction: both exist, or neither."""

import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from sqlalchemy import inspect, text

from service.accounts import Role, SessionLimits
from service.audit import AuditAction, AuditEvent, first_fault
from service.database.engine import make_engine
from service.errors import StoreError
from service.records import JobRequest
from service.store.audit.trail import AuditFilter
from service.tokens import Scope, mint

HASH = "$argon2id$"
EVENT = AuditEvent(action=AuditAction.RETRIED, actor="kim (web page)", person_id="p1")
_TRIGGERS = {
    "sqlite": (
        """CREATE TRIGGER refuse BEFORE INSERT ON audit_records
        BEGIN SELECT RAISE(ABORT, 'no room'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no room'; END $$""",
        "CREATE TRIGGER refuse BEFORE INSERT ON audit_records FOR EACH ROW EXECUTE FUNCTION refuse()",
    ),
}


class Actions:
    """Each audited change of the store, prepared for one execution."""

    def __init__(self, store, reviewing):
        self._store = store
        self._reviewing = reviewing
        self.study_uid = "1.2.3"

    def _job(self):
        return self._reviewing.drafted(self._store)

    def _decided(self):
        request, who = self._reviewing.request(), self._reviewing.roentgen
        return self._store.decide(self._job().id, request, who, key="k", digest="d", audit=EVENT)

    def decide(self):
        """Return the decision on a draft."""
        job, request = self._job(), self._reviewing.request()
        who, store = self._reviewing.roentgen, self._store
        return lambda: store.decide(job.id, request, who, key="k", digest="d", audit=EVENT)

    def undo(self):
        """Return the undo of a decision."""
        made = self._decided()
        return lambda: self._store.undo(made.id, self._reviewing.roentgen, EVENT)

    def cancel(self):
        """Return the cancellation of a job."""
        job = self._job()
        return lambda: self._store.cancel(job.id, "kim", audit=EVENT)

    def retry(self):
        """Return the retry of a canceled job."""
        job = self._job()
        self._store.cancel(job.id, "kim")
        return lambda: self._store.retry(job.id, "kim", EVENT)

    def make_urgent(self):
        """Return the change of a job's priority."""
        job = self._job()
        return lambda: self._store.make_urgent(job.id, "kim", EVENT)

    def resend(self):
        """Return the repeated sending of a job's results."""
        job = self._job()
        return lambda: self._store.resend(job.id, "kim", to=["second"], audit=EVENT)

    def reread(self):
        """Return the repeated reading of a study."""
        job = self._job()
        wanted = JobRequest(
            study_instance_uid=job.study_instance_uid, model="other", version="1", force=True
        )
        return lambda: self._store.schedule_all([wanted], actor="kim", reason="Asked.", audit=EVENT)

    def withdraw(self):
        """Return the withdrawal of a draft."""
        job = self._job()
        return lambda: self._store.withdraw(job.id, "kim", "Wrong.", EVENT)


OF_A_JOB = ("decide", "undo", "cancel", "retry", "make_urgent", "resend", "reread", "withdraw")


@pytest.fixture
def actions(store, reviewing):
    """The actions on a job."""
    return Actions(store, reviewing)


def refuse_records(url):
    """Make the database refuse new records of the audit trail."""
    engine = make_engine(url)
    with engine.begin() as connection:
        for statement in _TRIGGERS[engine.dialect.name]:
            connection.execute(text(statement))
    engine.dispose()


def content(url):
    """Return the rows of every table."""
    engine = make_engine(url)
    with engine.begin() as connection:
        names = inspect(connection).get_table_names()
        found = {
            name: sorted(map(str, connection.execute(text(f"SELECT * FROM {name}"))))  # noqa: S608
            for name in names
        }
    engine.dispose()
    return found


@pytest.mark.parametrize("name", OF_A_JOB)
def test_a_change_of_a_job_is_not_made_without_its_record(database_url, store, actions, name):
    """If the record is refused nothing is changed; otherwise it names study and job."""
    act = getattr(actions, name)()
    prepared = store.audit_records(AuditFilter())
    known = {each.id for each in store.jobs()}
    before = content(database_url)
    refuse_records(database_url)
    with pytest.raises(StoreError):
        act()
    assert content(database_url) == before
    engine = make_engine(database_url)
    with engine.begin() as connection:
        target = " ON audit_records" * (engine.dialect.name == "postgresql")
        connection.execute(text(f"DROP TRIGGER refuse{target}"))
    engine.dispose()
    act()
    (record,) = (each for each in store.audit_records(AuditFilter()) if each not in prepared)
    assert (record.event.actor, record.event.person_id) == ("kim (web page)", "p1")
    assert record.event.study_uid == actions.study_uid
    made = {each.id for each in store.jobs()} - known
    assert {record.event.job_id} == (made or known)
    assert first_fault(store.whole_audit()) == ""


def people_and_tokens(store):
    """Return the audited changes of accounts, sessions, tokens and commitment reports, by name."""
    roles = frozenset({Role.VIEWER})
    store.add_person("known", roles=roles, password_hash=HASH, actor="t")
    for login in ("other admin", "own", "lost"):
        roles_of = frozenset({Role.ADMIN})
        store.add_person(login, roles=roles_of, password_hash=HASH, actor="t")
    own = store.account_of("own").person
    later = store.now() + timedelta(hours=1)
    limits = SessionLimits(idle=timedelta(hours=1), absolute=timedelta(hours=1))
    for digest in ("a" * 64, "b" * 64):
        assert store.open_session(digest, own.id, address="::1", limits=limits)
    store.add_password_link("lost", "d" * 64, later, AuditEvent(action=EVENT.action, actor="t"))
    store.add_token(
        mint()[1],
        name="old",
        scopes=frozenset({Scope.READ}),
        ae_title="",
        expires_at=None,
        actor="t",
    )
    return {
        "add_person": lambda: store.add_person(
            "new", roles=roles, password_hash=HASH, actor="t", audit=EVENT
        ),
        "invite": lambda: store.invite(
            "invited",
            roles=roles,
            display_name="",
            dicom_name="",
            link_digest="c" * 64,
            expires_at=later,
            audit=EVENT,
        ),
        "link": lambda: store.add_password_link("known", "e" * 64, later, EVENT),
        "use_link": lambda: store.use_password_link("d" * 64, "new hash", EVENT),
        "end_own_session": lambda: store.end_own_session(own.id, "a" * 16, EVENT),
        "change_own_password": lambda: store.change_own_password(
            own.id,
            verified_hash=HASH,
            password_hash=HASH + "new",
            session_digest="b" * 64,
            audit=EVENT,
        ),
        "set_roles": lambda: store.set_roles("known", frozenset({Role.ADMIN}), EVENT),
        "set_password": lambda: store.set_password_hash("known", "other", EVENT),
        "disable": lambda: store.disable_person("known", audit=EVENT),
        "oidc": lambda: store.oidc_person(
            "https://idp",
            "s",
            login="eve",
            display_name="Eve",
            roles=roles,
            audited=lambda _person, _is_new: EVENT,
        ),
        "end_oidc": lambda: store.end_oidc_sessions("https://idp", subject="s", audit=EVENT),
        "add_token": lambda: store.add_token(
            mint()[1],
            name="new",
            scopes=frozenset({Scope.READ}),
            ae_title="",
            expires_at=None,
            actor="t",
            audit=EVENT,
        ),
        "revoke_token": lambda: store.revoke_token("old", "t", EVENT),
    }


def test_changes_of_accounts_and_tokens_are_not_made_without_their_record(database_url, store):
    """Each is refused with its record, and made with exactly one."""
    changes = people_and_tokens(store)
    first = len(store.audit_records(AuditFilter())) + 1
    before = content(database_url)
    refuse_records(database_url)
    for change in changes.values():
        with pytest.raises(StoreError):
            change()
    assert content(database_url) == before
    engine = make_engine(database_url)
    with engine.begin() as connection:
        target = " ON audit_records" * (engine.dialect.name == "postgresql")
        connection.execute(text(f"DROP TRIGGER refuse{target}"))
    engine.dispose()
    for number, change in enumerate(changes.values(), first):
        change()
        assert len(store.audit_records(AuditFilter())) == number


def test_a_repeated_decision_is_recorded_once(store, actions):
    """A browser that repeats its request makes neither a second decision nor a second record."""
    act = actions.decide()
    assert act() == act()
    (record,) = store.audit_records(AuditFilter())
    assert record.event.detail == "accept"


_LOOP = """
import sys
from service.audit import AuditAction, AuditEvent
from service.store import Store
store = Store(sys.argv[1])
event = AuditEvent(action=AuditAction.CANCELED, actor="kim")
print("begun", flush=True)
while True:
    store.cancel(sys.argv[2], "kim", audit=event)
    store.retry(sys.argv[2], "kim", event)
"""


def test_a_kill_loses_neither_the_change_nor_its_record(database_url, store, reviewing):
    """A process that changes a job as fast as it can is killed five times at any moment."""
    job = reviewing.drafted(store)
    store.cancel(job.id, "kim")
    store.retry(job.id, "kim")
    first = len(store.events(job.id))
    for seconds in (0.05, 0.11, 0.23, 0.31, 0.4):
        if store.job(job.id).state == "CANCELED":
            store.retry(job.id, "kim", EVENT)
        process = subprocess.Popen(
            [sys.executable, "-c", _LOOP, database_url, job.id], stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"begun\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    changes = len(store.events(job.id)) - first
    assert changes > 5
    assert len(list(store.whole_audit())) == changes
    assert first_fault(store.whole_audit()) == ""
