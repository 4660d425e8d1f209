"""The processes that report themselves."""

from datetime import timedelta

from service.records import StatusReport


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
