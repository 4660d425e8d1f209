"""Why a model did not load stays until a worker has loaded it, and is an incident once."""

from service.monitoring.model_start import note_failure, note_success
from service.records import ProcessStatus, StatusReport

NO_CARD = "cuda: this machine has 0 CUDA devices"


def start(store):
    """Let a reading worker report itself, as it does while it starts and works."""
    loading = StatusReport(status=ProcessStatus.LOADING)
    store.beat("reading@h:1", "reading", host="h", pid=1, started_at=store.now(), report=loading)


def test_the_reason_is_kept_and_reported_once(store, clock):
    """A worker that is started again and again does not fill the list of incidents."""
    for _ in range(3):
        note_failure(store, "reading", "cxr-llava-v2", NO_CARD)
        clock.move(30)
    (kept,) = store.processes()
    assert (kept.role, kept.load_failure) == ("reading", NO_CARD)
    (incident,) = store.incidents()
    assert (incident.kind, incident.subject) == ("model_not_loaded", "cxr-llava-v2")
    assert incident.detail == NO_CARD
    note_failure(store, "reading", "cxr-llava-v2", "model.safetensors is missing")
    assert len(store.incidents()) == 2


def test_a_model_that_loads_ends_it(store):
    """Only the failure of this role goes."""
    note_failure(store, "reading", "demo", NO_CARD)
    note_failure(store, "reading.second", "second", NO_CARD)
    note_success(store, "reading")
    assert [beat.role for beat in store.processes()] == ["reading.second"]


def test_the_reason_outlives_the_process(store, clock):
    """The silent process is forgotten after a minute, the reason of its end is not."""
    start(store)
    note_failure(store, "reading", "demo", NO_CARD)
    now = clock.move(3600)
    assert [beat.name for beat in store.remove_silent_processes(now)] == ["reading@h:1"]
    assert [beat.load_failure for beat in store.processes()] == [NO_CARD]
