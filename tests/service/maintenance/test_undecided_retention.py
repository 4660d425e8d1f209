"""Images of a draft that awaits a decision stay until a limit, and are not removed silently."""

from datetime import timedelta

import pytest

from dicom.study import Instance
from service.accounts import Role
from service.audit import AuditAction, AuditEvent
from service.maintenance.retention import Retention
from service.records import IncidentKind
from service.review.conflicts import CannotDecide
from service.review.words import Obstacle, Verdict
from service.settings.config import Settings
from service.store.audit.trail import AuditFilter
from service.web.status.attention import attention


@pytest.fixture
def settings(tmp_path):
    """30 days of retention, 90 for a draft that awaits a decision: the defaults."""
    return Settings(data_dir=tmp_path)


@pytest.fixture
def retention(store, settings):
    """The retention of these settings."""
    return Retention(store, settings)


@pytest.fixture
def job(store, settings, reviewing):
    """A delivered draft whose image is a file of the spool."""
    path = settings.spool_dir / "1.2.3" / "1.dcm"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"image")
    store.add_instance(
        Instance(
            sop_instance_uid="1.2.3.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid="1.2.3.200",
            study_instance_uid="1.2.3",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=path,
            digest=f"{1:064x}",
            size=5,
        ),
        calling_ae="CR1",
        association_id="a",
        eligible=True,
    )
    made = reviewing.drafted(store)
    delivery, _ = store.claim_delivery(made.id, "sender", 60, {})
    store.confirm_delivery(delivery.id, delivery.fence, read_back=True)
    return made


def add_radiologist(store):
    """Add an account that may decide."""
    roles = frozenset({Role.RADIOLOGIST})
    store.add_person("kim", roles=roles, password_hash="$argon2id$", actor="t")  # noqa: S106


def image(settings):
    """Return the path of the image."""
    return settings.spool_dir / "1.2.3" / "1.dcm"


def decide(store, job, request, reviewer):
    """Record a decision."""
    audit = AuditEvent(action=AuditAction.DECIDED, actor=reviewer.display_name)
    return store.decide(job.id, request, reviewer, key="k", digest="d", audit=audit)


def notices(store, settings):
    """Return the titles of the notices."""
    return [title for _, title, _ in attention(store, settings)]


def test_an_undecided_draft_keeps_its_image_until_the_limit(
    store, settings, retention, clock, job, reviewing
):
    """Not removed by age nor by a full disk; afterwards incident, audit record and refusal state it."""
    add_radiologist(store)
    clock.move(80 * 86400)
    assert retention.remove_old(clock()) == 0
    assert retention.remove_early(clock()) == 0
    assert image(settings).exists()
    assert notices(store, settings) == []
    clock.move(5 * 86400)
    (title,) = notices(store, settings)
    assert title == "1 draft awaits a decision and will lose the images within 7 days:"
    clock.move(6 * 86400)
    assert retention.remove_old(clock()) == 1
    assert not image(settings).exists()
    (incident,) = store.incidents()
    assert incident.kind == IncidentKind.UNDECIDED_REMOVED
    assert incident.detail.startswith("The images of 1 draft that awaited a decision were removed")
    (record,) = store.audit_records(AuditFilter())
    assert record.event.action is AuditAction.REMOVED_UNDECIDED
    assert (record.event.study_uid, record.event.job_id) == ("1.2.3", job.id)
    with pytest.raises(CannotDecide) as refused:
        decide(store, job, reviewing.request(), reviewing.roentgen)
    assert refused.value.obstacle is Obstacle.REMOVED
    assert notices(store, settings) == []


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.REJECT])
def test_a_decided_draft_is_removed_like_others(
    store, settings, retention, clock, job, reviewing, verdict
):
    """The removal makes neither incident nor audit record: the decision is there."""
    add_radiologist(store)
    request = reviewing.request() if verdict is Verdict.ACCEPT else reviewing.rejection()
    decide(store, job, request, reviewing.roentgen)
    clock.move(100)
    while found := store.claim_delivery(None, "sender", 60, {}):
        store.confirm_delivery(found[0].id, found[0].fence, read_back=True)
    clock.move(31 * 86400)
    assert retention.remove_old(clock()) == 1
    assert not image(settings).exists()
    assert store.incidents() == []
    assert [each.event.action for each in store.audit_records(AuditFilter())] == [
        AuditAction.DECIDED
    ]


def test_a_decision_that_was_undone_is_none(store, settings, retention, clock, job, reviewing):
    """The draft awaits a decision again."""
    add_radiologist(store)
    made = decide(store, job, reviewing.request(), reviewing.roentgen)
    store.undo(made.id, reviewing.roentgen, reviewing.audit)
    clock.move(31 * 86400)
    assert retention.remove_old(clock()) == 0
    assert image(settings).exists()


def test_a_site_without_radiologists_removes_by_age(store, settings, retention, clock, job):
    """No draft awaits a decision where no account may decide: the default limit keeps nothing longer."""
    assert store.job(job.id).removed_at is None
    roles = frozenset({Role.ADMIN})
    store.add_person("ada", roles=roles, password_hash="$argon2id$", actor="t")  # noqa: S106
    clock.move(31 * 86400)
    assert retention.remove_old(clock()) == 1
    assert not image(settings).exists()
    assert store.incidents() == []


def test_a_limit_of_zero_removes_by_age_and_says_so(store, settings, clock, job):
    """The admin has chosen it; that a draft awaited a decision is still recorded."""
    add_radiologist(store)
    without = settings.model_copy(
        update={"sweep": settings.sweep.model_copy(update={"undecided_days": 0.0})}
    )
    clock.move(timedelta(days=31).total_seconds())
    assert Retention(store, without).remove_old(clock()) == 1
    assert store.job(job.id).removed_at is not None
    (incident,) = store.incidents()
    assert incident.kind == IncidentKind.UNDECIDED_REMOVED
