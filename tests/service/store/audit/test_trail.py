"""The audit trail in SQLite and PostgreSQL: appended by many processes, changed by none."""

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.audit import AuditAction, AuditEvent, first_fault
from service.database.engine import make_engine
from service.store import Store
from service.store.audit.trail import AuditFilter
from tests.databases import make_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of a migrated database, once of each kind."""
    if request.param == "sqlite":
        found = f"sqlite:///{tmp_path / 'wetread.db'}"
    else:
        found = request.getfixturevalue("postgres_url")
    make_database(found)
    return found


@pytest.fixture
def store(url):
    """A store."""
    opened = Store(url)
    yield opened
    opened.close()


def event(actor="kim (web page)", **values):
    """Return an event."""
    return AuditEvent(action=AuditAction.VIEWED, actor=actor, **values)


def test_many_writers_make_one_chain(url):
    """From several connections at once: no gap, no fork."""
    stores = [Store(url) for _ in range(3)]

    def write(store):
        for _ in range(10):
            store.record_audit(event())

    threads = [threading.Thread(target=write, args=(each,)) for each in stores]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    records = list(stores[0].whole_audit())
    assert len(records) == 30
    assert first_fault(records) == ""
    for each in stores:
        each.close()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_records SET actor = 'x'", "DELETE FROM audit_records"],
)
def test_the_database_refuses_changes(url, store, statement):
    """Also from another program."""
    store.record_audit(event())
    engine = make_engine(url)
    with pytest.raises(DBAPIError, match="only added"), engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()
    assert first_fault(store.whole_audit()) == ""


def test_records_are_found_by_person_patient_and_study(store):
    """Alone and together; `%` is no wildcard; older ones by number."""
    store.record_audit(event(person_id="a" * 32, study_uid="1.2.3", patient_id="P1"))
    store.record_audit(event("eve (web page)", study_uid="1.2.4", patient_id="P1"))
    store.record_audit(event("token monitor"))

    def ids(**wanted):
        return [each.id for each in store.audit_records(AuditFilter(**wanted))]

    assert ids() == [3, 2, 1]
    assert ids(person="kim") == ids(person="a" * 32) == [1]
    assert ids(person="%") == []
    assert ids(patient_id="P1") == [2, 1]
    assert ids(patient_id="P1", study_uid="1.2.4") == [2]
    assert ids(before=3) == [2, 1]
    assert [each.id for each in store.audit_from(1)] == [2, 3]


def test_long_texts_are_cut_before_they_are_chained(store):
    """Text that a column would cut must not break the chain."""
    store.record_audit(event("x" * 500, detail="y" * 5000, patient_id="z" * 100))
    assert first_fault(store.whole_audit()) == ""
