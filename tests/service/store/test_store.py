"""The faults of a database."""

import time
from datetime import UTC, datetime

import pytest

from service.errors import SchemaMismatch, StoreUnavailable
from service.records import Arrival
from service.store import Store
from tests.databases import make_database
from tests.service.store.records import STUDY, arrive, image


class TestFaults:
    """No error of the database library leaves the package."""

    def test_a_database_without_tables_is_a_schema_mismatch(self, tmp_path):
        """The sentence names the command that helps."""
        empty = Store(f"sqlite:///{tmp_path / 'empty.db'}")
        with pytest.raises(SchemaMismatch, match="wetread db upgrade"):
            empty.jobs()

    @pytest.mark.serial
    def test_a_locked_database_is_unavailable(self, database_url):
        """A writer that waits longer than the busy time gets StoreUnavailable, in that time."""
        first, second = Store(database_url), Store(database_url, busy_seconds=0.3)
        arrive(first)
        with first._writing() as session:
            first._lock_study(session, STUDY)
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                arrive(second, 2)
            assert time.monotonic() - begun < 3
        assert arrive(second, 2) is Arrival.NEW

    def test_a_postgres_that_died_is_unavailable_and_then_back(
        self, postgres_server_class, postgres_folder
    ):
        """After kill -9 and a restart the same store works again, without an error in between."""
        server = postgres_server_class(postgres_folder)
        server.start()
        try:
            url = server.new_database()
            make_database(url)
            store = Store(url, busy_seconds=2)
            arrive(store, 1)
            server.kill()
            with pytest.raises(StoreUnavailable):
                arrive(store, 2)
            server.start()
            assert arrive(store, 2) is Arrival.NEW
            assert len(store.instances(STUDY)) == 2
        finally:
            server.stop()

    def test_a_full_disk_is_unavailable_and_loses_nothing(self, database_url):
        """When the database may not grow, the image is refused and what was kept stays."""
        store = Store(database_url)
        if not store._is_sqlite:
            pytest.skip("the page limit is SQLite's")
        arrive(store, 1)
        with store._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailable):
            [arrive(store, number) for number in range(2, 400)]
        assert image() in store.study(STUDY).instances

    def test_a_time_without_zone_is_refused(self, database_url):
        """A clock without a time zone is an error of the program."""
        store = Store(database_url, clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - the fault
        with pytest.raises(Exception, match=r"time without zone|refused"):
            arrive(store)
        good = Store(database_url, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
        assert arrive(good) is Arrival.NEW
