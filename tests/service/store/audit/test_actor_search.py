"""Records of a person are found by the indexes of the audit trail, in SQLite and PostgreSQL."""

import pytest

from service.audit import AuditAction, AuditEvent
from service.store import Store
from service.store.audit.actor_search import of_person
from service.store.audit.trail import AuditFilter
from tests.databases import make_database
from tests.service.store.plans import plans_of

ACTORS = ("ann (web page)", "Ann (web page)", "anna", "ab", "an%", "an_", "", "Öz", "token monitor")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """A store, once of each kind, with 45 records of nine actors and three accounts."""
    url = f"sqlite:///{tmp_path / 'wetread.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    make_database(url)
    opened = Store(url)
    for number in range(45):
        opened.record_audit(
            AuditEvent(
                action=AuditAction.VIEWED,
                actor=ACTORS[number % len(ACTORS)],
                person_id=("", "ann", "b" * 32)[number % 3],
                study_uid=f"1.{number % 2}",
            )
        )
    yield opened
    opened.close()


def ids(store, person, **values):
    """Return the numbers of the records that a search returns."""
    limit = values.pop("limit", 100)
    found = store.audit_records(AuditFilter(person=person, **values), limit)
    return [each.id for each in found]


PERSONS = ["a", "an", "ann", "ANN", "Ann (", "an%", "an_", "%", "b" * 32, "ö", "Ö", "token", "zz"]


@pytest.mark.parametrize("person", PERSONS)
def test_the_same_records_as_by_the_plain_condition(store, person, monkeypatch):
    """In pages, of a study, and if more names begin so than are searched one by one."""

    def searches():
        return [
            ids(store, person),
            ids(store, person, limit=3),
            ids(store, person, limit=2, before=30),
            ids(store, person, study_uid="1.1"),
            [each.id for each in store.matching_audit(AuditFilter(person=person))],
        ]

    by_index = searches()
    monkeypatch.setattr("service.store.audit.actor_search._MOST_NAMES", 0)
    assert searches() == by_index
    monkeypatch.setattr(
        "service.store.audit.trail.newest_of_person", lambda _session, name, **_: of_person(name)
    )
    assert searches() == by_index


@pytest.mark.parametrize("person", ["nobody", "ann"])
def test_no_other_record_is_read(store, person):
    """Names and records are ranges of indexes, also of a person who never did anything."""
    names, records = plans_of(store, lambda: ids(store, person))
    assert "ix_audit_records_actor_prefix" in names
    assert "ix_audit_records_person_id" in records
    assert ("ix_audit_records_actor_prefix" in records) is (person == "ann")
    for plan in (names, records):
        assert "SCAN audit_records" not in plan
        assert "Seq Scan on audit_records" not in plan
        assert "Filter: ((actor" not in plan
