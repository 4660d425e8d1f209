"""The content of a study's page without patient attributes; `service.web.identity` reads those."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from dicom.content import phrases
from dicom.content.output_kind import OutputKind
from dicom.content.report import STATED, DraftReport, Finding, Presence
from service.errors import NotFound
from service.jobs import Action, DraftStatus, JobState, allowed
from service.monitoring.draft_warnings import alarm, withdrawal
from service.records import Delivery, Job, JobEvent, JobWithDraft, ReceivedInstance
from service.settings.config import Settings
from service.store import Store
from service.web.render import Snapshot, part
from service.web.status.status_text import (
    StatusReason,
    SystemStatus,
    delivery_reason,
    notice_reason,
    state_reason,
)

_PRESENCE_ORDER = {Presence.PRESENT: 0, Presence.UNCERTAIN: 1, Presence.ABSENT: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageRow:
    instance: ReceivedInstance
    url: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _ActionForm:
    name: str
    title: str
    effect: str
    confirm: str
    asks: bool = False
    field: str = ""
    label: str = ""
    choices: Sequence[str] = ()
    whole: str = ""


_RETRY = _ActionForm(
    name="retry",
    title="Retry",
    effect="Continues this job: a draft that was not delivered is sent; without a draft the study is "
    "read again, in this revision.",
    confirm="Try again",
)
_URGENT = _ActionForm(
    name="urgent",
    title="Make urgent",
    effect="The study is read before all waiting routine studies.",
    confirm="Make urgent",
)
_RESEND = _ActionForm(
    name="resend",
    title="Send again",
    effect="The same results are sent again. Objects that a PACS already holds are not changed.",
    confirm="Send again",
    field="destination",
    label="To",
    whole="every destination of this study",
)
_REREAD = _ActionForm(
    name="reread",
    title="Read again",
    effect="Starts a new job: the study is read as a new revision, and this job is not changed. "
    "A new draft by the same model supersedes an earlier one.",
    confirm="Read again",
    field="model",
    label="By the model",
    whole="the same model",
)
_CANCEL = _ActionForm(
    name="cancel",
    title="Cancel",
    effect=(
        "Nothing more is read or sent for this study. Objects that a PACS already holds remain "
        "there."
    ),
    confirm="Cancel this job",
    asks=True,
)


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
    kinds = {each.kind for each in objects}
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
        "actions": part(
            "actions",
            job=job,
            actions=[
                each
                for each in (_actions(job, settings, has_results=bool(objects)) if job else ())
                if each.name in may
            ],
        ),
        "film": part("film", **_image_values(job, has_overlay=OutputKind.OVERLAY in kinds)),
        "films": part(
            "films",
            films=[_image_row(record, each) for each in record.instances],
            retention_days=f"{settings.sweep.retention_days:g}",
        ),
        "draft": part("draft", job=job, draft=draft, **_finding_values(draft)),
        "deliveries": part(
            "deliveries",
            deliveries=[_delivery(job, each, events, situation) for each in deliveries],
            notices=[(each, notice_reason(each, situation)) for each in notices],
            destinations=settings.destinations,
        ),
        "objects": part("objects", objects=objects),
        "revisions": part("revisions", job=job, jobs=record.jobs),
        "events": part("events", events=events),
    }
    return Snapshot(parts=parts)


def _actions(job: Job, settings: Settings, *, has_results: bool) -> list[_ActionForm]:
    possible = allowed(job.state)
    forms = []
    if Action.RETRY in possible or Action.REDELIVER in possible:
        forms.append(_RETRY)
    if job.state is JobState.SCHEDULED and not job.urgent:
        forms.append(_URGENT)
    # The store refuses to send a withdrawn or a superseded draft again.
    is_sendable = job.draft_status not in (DraftStatus.WITHDRAWN, DraftStatus.SUPERSEDED)
    if Action.RESEND in possible and has_results and job.removed_at is None and is_sendable:
        forms.append(replace(_RESEND, choices=[each.name for each in settings.destinations]))
    if job.state is not JobState.SCHEDULED:
        models = settings.readings()
        forms.append(replace(_REREAD, choices=list(models) if len(models) > 1 else []))
    if Action.CANCEL in possible:
        forms.append(_CANCEL)
    return forms


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
