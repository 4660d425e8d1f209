"""The end-to-end check of one sweeper, stage by stage, without the other processes."""

from dataclasses import replace

import pytest

from dicom.content.report import Observation, Presence
from service.audit import AuditAction, AuditEvent
from service.records import IncidentKind
from service.records.probes import ProbeOutcome, ProbeStage
from service.settings.config import settings_of
from service.sweeper.probe import ProbeRunner
from service.sweeper.probe_image import image_path, write_image
from tests.servers import take_free_port


@pytest.fixture
def make_runner(store, tmp_path):
    """A function: keys of [probe] -> a runner whose receiver does not answer."""

    def make(owner="sweep@here", **probe):
        receiver = {"host": "127.0.0.1", "port": take_free_port()}
        given = {"enabled": True, "limit_minutes": 5, **probe}
        data = {"data_dir": str(tmp_path / "data"), "receiver": receiver, "probe": given}
        settings = settings_of(data)
        settings.spool_dir.mkdir(parents=True, exist_ok=True)
        return ProbeRunner(store, settings, owner)

    return make


def drafted(store, reviewing, runner, **changes):
    """Begin a check and let its image be drafted; return the job."""
    store.begin_probe("now 1")
    probe = store.claim_probe("sweep@here", 60)
    uid = probe.study_instance_uid
    store.set_probe_image(probe, f"{uid}.1", f"{1:064x}")
    job = reviewing.drafted(store, uid, (), **changes)
    store.advance_probe(probe, ProbeStage.READ)
    runner.tick()
    return job


def incidents(store):
    """Return the kinds of the incidents, the newest first."""
    return [each.kind for each in store.incidents()]


def test_a_receiver_that_is_away_fails_the_check_after_its_limit(store, clock, make_runner):
    """One incident with the stage and the reason; nothing of the check is left."""
    runner = make_runner()
    for _ in range(3):
        assert runner.tick()
        clock.move(60)
    [probe] = store.probes()
    path = image_path(runner._settings, probe)
    assert (probe.outcome, probe.stage, path.exists()) == (
        ProbeOutcome.RUNNING,
        ProbeStage.SEND,
        True,
    )
    clock.move(300)
    runner.tick()
    runner.tick()
    [probe] = store.probes()
    assert (probe.outcome, probe.stage) == (ProbeOutcome.FAILED, ProbeStage.SEND)
    assert "did not end within 5 minutes" in probe.reason
    assert "WETREAD at 127.0.0.1" in probe.reason
    assert incidents(store) == [IncidentKind.PROBE_FAILED]
    assert "sending to the receiver" in store.incidents()[0].detail
    assert probe.cleaned_at is not None
    assert not path.exists()


def test_the_image_is_the_same_after_a_restart(store, make_runner):
    """Its digest was registered before it was sent."""
    runner = make_runner()
    runner.tick()
    [probe] = store.probes()
    path = image_path(runner._settings, probe)
    before = path.read_bytes()
    path.unlink()
    assert write_image(runner._settings, probe) == (probe.sop_instance_uid, probe.digest)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("presence", "outcome"),
    [
        (Presence.PRESENT, ProbeOutcome.PASSED),
        (Presence.UNCERTAIN, ProbeOutcome.PASSED),
        (Presence.ABSENT, ProbeOutcome.FAILED),
        (None, ProbeOutcome.FAILED),
    ],
)
def test_the_draft_must_state_the_finding(store, reviewing, make_runner, presence, outcome):
    """A draft that denies the finding, or does not mention it, fails the check at the reading."""
    others = [f for f in reviewing.findings() if f.observation is not Observation.PNEUMOTHORAX]
    [its] = [f for f in reviewing.findings() if f.observation is Observation.PNEUMOTHORAX]
    stated = [replace(its, presence=presence)] if presence else []
    runner = make_runner()
    job = drafted(store, reviewing, runner, findings=(*others, *stated))
    for _ in range(4):
        runner.tick()
    [probe] = store.probes()
    assert probe.outcome is outcome
    failed = outcome is ProbeOutcome.FAILED
    assert incidents(store) == ([IncidentKind.PROBE_FAILED] if failed else [])
    assert probe.stage is (ProbeStage.READ if failed else ProbeStage.CLEAN)
    assert probe.cleaned_at is not None
    assert store.jobs(study=job.study_instance_uid) == []


def test_the_finding_need_not_be_stated_if_the_settings_say_so(store, reviewing, make_runner):
    """For a model that does not recognize a synthetic image."""
    runner = make_runner(require_finding=False)
    drafted(store, reviewing, runner, findings=())
    for _ in range(4):
        runner.tick()
    assert store.probes()[0].outcome is ProbeOutcome.PASSED


def test_the_first_check_that_passes_after_a_failure_is_recorded(
    store, clock, reviewing, make_runner
):
    """Its incident ends the alert of the failure."""
    runner = make_runner()
    store.begin_probe("slot")
    probe = store.claim_probe("sweep@here", 60)
    clock.move(301)
    runner.tick()
    runner.tick()
    assert store.probes()[0].cleaned_at is not None
    clock.move(60)
    drafted(store, reviewing, runner)
    for _ in range(4):
        runner.tick()
    assert incidents(store) == [IncidentKind.PROBE_PASSED, IncidentKind.PROBE_FAILED]
    assert store.probes()[1].id == probe.id


def test_a_check_that_was_killed_before_its_end_was_recorded_passes(store, make_runner):
    """All stages are done: it is no failure, and its end is recorded once."""
    runner = make_runner()
    store.begin_probe("slot")
    probe = store.claim_probe("sweep@here", 60)
    store.advance_probe(probe, ProbeStage.CLEAN)
    runner.tick()
    assert store.probes()[0].outcome is ProbeOutcome.PASSED
    store.end_probe(probe, ProbeOutcome.SKIPPED, "Another sweeper.")
    assert store.probes()[0].outcome is ProbeOutcome.PASSED
    assert incidents(store) == []


def test_while_drafting_is_stopped_no_check_runs(store, clock, make_runner):
    """None begins, and the one that runs is skipped without an incident."""
    runner = make_runner()
    runner.tick()
    event = AuditEvent(action=AuditAction.STOPPED_DRAFTING, actor="ann")
    store.stop_drafting("wrong side", event)
    for _ in range(3):
        runner.tick()
    [probe] = store.probes()
    assert (probe.outcome, probe.cleaned_at is not None) == (ProbeOutcome.SKIPPED, True)
    clock.move(7200)
    runner.tick()
    assert len(store.probes()) == 1
    assert incidents(store) == []


def test_of_two_sweepers_one_makes_the_check(store, clock, make_runner):
    """The other continues it once the lease of the first has ended."""
    first, second = make_runner("sweep@one"), make_runner("sweep@two")
    assert first.tick()
    assert not second.tick()
    clock.move(121)
    assert second.tick()
    assert not first.tick()
    assert len(store.probes()) == 1


def test_a_study_with_another_image_is_kept(store, reviewing, make_runner):
    """With its files: no other image that arrived in it belongs to the check."""
    runner = make_runner()
    job = drafted(store, reviewing, runner)
    reviewing.drafted(store, job.study_instance_uid, (), number=9)
    for _ in range(4):
        runner.tick()
    [probe] = store.probes()
    assert probe.cleaned_at is not None
    assert len(store.instances(job.study_instance_uid)) == 2
    assert [each.study_instance_uid for each in store.jobs()] == [job.study_instance_uid] * 2
