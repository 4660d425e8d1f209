"""Heartbeats of processes, and incidents."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from service.records import IncidentKind, StatusReport


class TestLedger:
    """Heartbeats."""

    def test_a_process_is_listed_until_it_signs_off(self, store, clock):
        """A second beat moves the time and the detail, not the row."""
        begun = clock()
        about = {"host": "h", "pid": 7, "started_at": begun}
        store.beat("reading@h:7", "reading", **about, report=StatusReport("loading the model"))
        later = clock.move(5)
        store.beat("reading@h:7", "reading", **about, report=StatusReport("ready"))
        (beat,) = store.processes()
        assert (beat.started_at, beat.seen_at, beat.detail) == (begun, later, "ready")
        store.sign_off("reading@h:7")
        assert store.processes() == []

    def test_silent_processes_are_dropped_once(self, store, clock):
        """Of several sweepers one gets the row."""
        store.beat("web@h", "web", host="h", pid=1, started_at=clock())
        before = clock.move(61) - timedelta(seconds=60)
        assert [beat.name for beat in store.remove_silent_processes(before)] == ["web@h"]
        assert store.remove_silent_processes(before) == []


class TestReplacedIncident:
    """An incident that several processes report."""

    def test_processes_that_report_at_once_leave_one(self, store):
        """Eight threads replace it twenty times: one incident is left, others are untouched."""
        kind = IncidentKind.CALLERS_NOT_RELOADED
        store.record_incident(actor="a", kind=kind, subject="other", detail="stays")

        def report(number):
            for _ in range(20):
                store.replace_incident(actor=f"{number}", kind=kind, subject="file", detail="bad")

        with ThreadPoolExecutor(8) as callers:
            list(callers.map(report, range(8)))
        assert sorted(each.subject for each in store.incidents()) == ["file", "other"]
