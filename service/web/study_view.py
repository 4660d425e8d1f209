"""The content of a study's page without patient attributes; `service.web.identity` reads those."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dicom.content import phrases
from dicom.content.output_kind import OutputKind
from dicom.content.report import STATED, DraftReport, Finding, Presence
from service.errors import NotFound
from service.jobs import DeliveryState, DraftStatus, JobState
from service.monitoring.draft_warnings import alarm, withdrawal
from service.monitoring.job_stages import attempts, stages
from service.monitoring.state_names import state_word
from service.records import (
    Delivery,
    Job,
    JobEvent,
    JobWithDraft,
    ReceivedInstance,
    ResultObject,
)
from service.settings.config import Settings
from service.settings.keys.destinations import ObjectKind, includes_kind
from service.store import Store
from service.web.render import Snapshot, part
from service.web.status.status_text import (
    StatusReason,
    SystemStatus,
    delivery_reason,
    notice_reason,
    state_reason,
)
from service.web.study_actions import action_forms

_READ_BACK = {
    True: "there, read back",
    False: "acknowledged, not read back",
    None: "confirmed; how is not recorded",
}
_PRESENCE_ORDER = {Presence.PRESENT: 0, Presence.UNCERTAIN: 1, Presence.ABSENT: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageRow:
    instance: ReceivedInstance
    url: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """A study's jobs and Instances; `job` is the one that the page shows, or None."""

    uid: str
    job: JobWithDraft | None
    jobs: Sequence[Job]
    instances: Sequence[ReceivedInstance]


def study_record(store: Store, uid: str, job_id: str | None = None) -> StudyRecord:
    """Return the jobs and Instances of a study.

    Args:
        store: The store.
        uid: Study Instance UID.
        job_id: The job to show; the newest revision when None.

    Raises:
        NotFound: No Instance of this study was received, or it has no such job.
    """
    jobs = sorted(store.jobs(study=uid, limit=200), key=lambda job: job.created_at, reverse=True)
    instances = store.instances(uid)
    if not jobs and not instances:
        raise NotFound("No image of this study has been received.")
    chosen = [job for job in jobs if job_id in {None, job.id}]
    if job_id is not None and not chosen:
        raise NotFound("This study has no such job.")
    shown = store.job(chosen[0].id) if chosen else None
    return StudyRecord(uid=uid, job=shown, jobs=tuple(jobs), instances=tuple(instances))


def study_snapshot(
    store: Store,
    settings: Settings,
    situation: SystemStatus,
    record: StudyRecord,
    *,
    may: Collection[str],
) -> Snapshot:
    """Return the replaceable parts of a study's page; they hold no patient attribute.

    Args:
        store: The store.
        settings: The settings.
        situation: The state of the service.
        record: The study.
        may: The actions whose forms are shown.
    """
    job = record.job
    deliveries = store.deliveries(job.id) if job else ()
    objects = store.objects(job.id) if job else ()
    # The kinds of the objects of a withheld draft tell what was found.
    shown_objects = () if job is None or job.hides_draft else objects
    has_overlay = OutputKind.OVERLAY in {each.kind for each in shown_objects}
    by_id = {each.id: each for each in record.jobs}
    draft = job.draft if job else None
    events = store.events(job.id) if job else []
    notices = store.notices(job.id) if job else []
    parts = {
        "status": part(
            "status",
            job=job,
            reason=state_reason(job, deliveries, situation) if job else None,
            alarm=alarm(job, events) if job else None,
            newer=by_id.get(job.superseded_by or "") if job else None,
            earlier=by_id.get(job.supersedes or "") if job else None,
        ),
        "stages": part(
            "stages",
            stages=stages(job, images=record.instances, events=events, deliveries=deliveries)
            if job
            else (),
        ),
        "actions": part(
            "actions",
            job=job,
            bundle="retry" in may,  # an administrator
            actions=[
                each
                for each in (action_forms(job, settings, has_results=bool(objects)) if job else ())
                if each.name in may
            ],
        ),
        "image": part("image", **_image_values(job, has_overlay=has_overlay)),
        "images": part(
            "images",
            images=[_image_row(record, each) for each in record.instances],
            retention_days=f"{settings.sweep.retention_days:g}",
        ),
        "draft": part("draft", job=job, draft=draft, **_finding_values(draft)),
        "deliveries": part(
            "deliveries",
            deliveries=[_delivery(job, each, events, situation) for each in deliveries],
            notices=[(each, notice_reason(each, situation)) for each in notices],
            destinations=settings.destinations,
        ),
        "objects": part(
            "objects",
            objects=[(each, _places(each, deliveries, settings)) for each in shown_objects],
        ),
        "attempts": part("attempts", job=job, draft=draft, attempts=attempts(events)),
        "revisions": part("revisions", job=job, jobs=record.jobs),
        "events": part("events", events=events),
    }
    return Snapshot(parts=parts)


def _image_values(job: JobWithDraft | None, *, has_overlay: bool) -> dict[str, str]:
    empty = {"image_url": "", "other_url": "", "other_text": ""}
    if job is None or not job.drafted_image:
        return {**empty, "image_text": "No image has been read for this job."}
    url = f"../jobs/{job.id}/film.png"
    if job.draft_status is DraftStatus.WITHDRAWN:
        return {
            "image_url": f"{url}?source=1",
            "image_text": "The image that was read, without the findings of the withdrawn draft",
            "other_url": f"{url}?withdrawn=1" if has_overlay else "",
            "other_text": "With the withdrawn findings",
        }
    if not has_overlay:
        return {**empty, "image_url": url, "image_text": "The image that was read"}
    return {
        "image_url": url,
        "image_text": "The image that was read, with the draft's findings drawn in",
        "other_url": f"{url}?source=1",
        "other_text": "Without findings",
    }


def _image_row(record: StudyRecord, instance: ReceivedInstance) -> _ImageRow:
    url = f"../studies/{record.uid}/films/{instance.sop_instance_uid}.png"
    verdict, reason = _read_state(record.job, instance)
    return _ImageRow(instance=instance, url=url, verdict=verdict, reason=reason)


def _read_state(job: JobWithDraft | None, instance: ReceivedInstance) -> tuple[str, str]:
    uid = instance.sop_instance_uid
    if instance.conflict:
        return "Stored separately", _of_conflict(instance)
    draft = job.draft if job else None
    if job is not None and job.drafted_image == uid:
        return "Read: the draft is about this image", ""
    if job is not None and job.draft_fault:
        return "Not known", job.draft_fault
    if draft is None:
        if job is not None and job.state is JobState.NOT_ANALYSED:
            return "Not read", job.reason
        return "Not read yet", ""
    reasons = [each.reason for each in draft.not_read if each.sop_instance_uid == uid]
    return "Not read", reasons[0] if reasons else "It arrived after this draft was made."


def _of_conflict(instance: ReceivedInstance) -> str:
    sentence = "It has the UID of another image with different content; it is never read."
    if instance.differs:
        return f"{sentence} It differs in {instance.differs}."
    return (
        f"{sentence} It differs in nothing that matters to the draft."
        if instance.compared
        else sentence
    )


def _delivery(
    job: Job | None, delivery: Delivery, events: Sequence[JobEvent], situation: SystemStatus
) -> tuple[Delivery, str, StatusReason]:
    """Return a delivery, its state, and a sentence about it."""
    if job is None or job.draft_status is not DraftStatus.WITHDRAWN:
        return delivery, delivery.state, delivery_reason(delivery, situation)
    state, sentence = withdrawal(delivery, events)
    return delivery, state, StatusReason(sentence)


def _places(
    item: ResultObject, deliveries: Sequence[Delivery], settings: Settings
) -> list[tuple[str, str]]:
    """Return the state of an object at each destination of its job, in words."""
    kinds = {each.name: each.objects for each in settings.destinations}
    return [(each.destination, _at(item, each, kinds.get(each.destination))) for each in deliveries]


def _at(item: ResultObject, delivery: Delivery, kinds: Sequence[ObjectKind] | None) -> str:
    if kinds is not None and not includes_kind(kinds, item.kind):
        return "not sent: `objects` of this destination does not have its kind"
    if delivery.state is DeliveryState.CONFIRMED:
        return _READ_BACK[delivery.read_back]
    return state_word(delivery.state).lower()


def _finding_values(draft: DraftReport | None) -> dict[str, object]:
    if draft is None:
        return {"findings": (), "silent": ()}
    listed = [each for each in draft.findings if each.presence in STATED]
    if not draft.is_coded:
        listed = phrases.listed(draft)  # only what has a score
    return {
        "findings": sorted(listed, key=_finding_rank),
        "not_coded": phrases.NOT_CODED,
        "no_silence": phrases.NOT_MENTIONED_NOTE,
        "sampled": any(each.agreement for each in draft.findings),
        "silent": [
            each.observation.value
            for each in draft.findings
            if each.presence is Presence.NOT_MENTIONED
        ],
    }


def _finding_rank(finding: Finding) -> int:
    return _PRESENCE_ORDER.get(finding.presence, len(_PRESENCE_ORDER))
