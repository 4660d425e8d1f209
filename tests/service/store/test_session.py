"""Transactions: a block's changes are visible after it, and none of a failed block."""

import threading

import pytest
from sqlalchemy import select, text

from service.database.tables import IncidentRow, ReconcileRow
from service.errors import StoreError
from service.records import IncidentKind
from service.store.session import new_id, utc_now


def test_ids_are_random_and_times_are_aware():
    """32 hexadecimal digits; UTC."""
    assert len({new_id() for _ in range(100)}) == 100
    assert len(new_id()) == 32
    assert utc_now().utcoffset().total_seconds() == 0


def incidents(store):
    """Return the details of all incidents."""
    with store._reading() as session:
        return list(session.scalars(select(IncidentRow.detail)))


def test_a_block_that_fails_leaves_nothing(store):
    """The error propagates; the next transaction works."""

    def write(detail):
        with store._writing() as session:
            store._incident(session, IncidentKind.DOUBT, actor="t", subject="s", detail=detail)
            if detail == "lost":
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write("lost")
    write("kept")
    assert incidents(store) == ["kept"]


def test_errors_of_the_library_are_ours(store):
    """Calling code needs no exception of SQLAlchemy."""
    with pytest.raises(StoreError), store._reading() as session:
        session.execute(text("SELECT nothing FROM nowhere"))
    store.ping()


def test_a_row_that_is_there_is_not_inserted_again(store):
    """The result tells the two apart."""
    values = {"archive": "A", "tried_at": store.now(), "position": 0, "missing": 0, "fault": ""}
    with store._writing() as session:
        assert store._insert_new(session, ReconcileRow, **values)
        assert not store._insert_new(session, ReconcileRow, **values)


def test_one_holds_the_lock_at_a_time(store):
    """Read and write again under the lock lose no count."""

    def add():
        for _ in range(5):
            with store._writing() as session:
                store._exclusive(session, 7)
                count = len(session.scalars(select(IncidentRow)).all())
                detail = str(count + 1)
                store._incident(session, IncidentKind.DOUBT, actor="t", subject="s", detail=detail)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, incidents(store))) == list(range(1, 21))


def test_a_closed_store_opens_new_connections(store):
    """As after a fork."""
    store.close()
    store.ping()
