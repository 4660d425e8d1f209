"""Jobs as JSON, the same in the API and on the command line; docs/api.md describes each key."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from service.jobs import DraftStatus, JobState
from service.monitoring.draft_warnings import alarm, withdrawal
from service.monitoring.job_stages import attempts, stages, timeline_json
from service.records import Delivery, Job, JobEvent, JobWithDraft, ResultObject
from service.store import Store
from service.web.status.status_text import SystemStatus, why


def jobs_json(store: Store, jobs: Sequence[Job], situation: SystemStatus) -> list[dict[str, Any]]:
    """Return jobs as a list has them; the number of SQL statements does not grow with the jobs."""
    deliveries = store.deliveries_of(job for job in jobs if job.state is JobState.DRAFTED)
    return [_job_json(job, deliveries.get(job.id, ()), situation) for job in jobs]


def job_in_full(store: Store, job: JobWithDraft, situation: SystemStatus) -> dict[str, Any]:
    """Return one job with its draft, stages, attempts, deliveries, notices, objects and history."""
    events, deliveries = store.events(job.id), store.deliveries(job.id)
    return {
        **_job_json(job, deliveries, situation),
        **timeline_json(
            stages(
                job,
                images=store.instances(job.study_instance_uid),
                events=events,
                deliveries=deliveries,
            ),
            attempts(events),
        ),
        "alarm": _alarm_json(job, events),
        "draft": job.draft.to_json() if job.draft else None,
        "draft_fault": job.draft_fault,
        "deliveries": [
            {**_withdrawal_json(job, each, events), **_delivery_json(each)} for each in deliveries
        ],
        "notices": [_delivery_json(each) for each in store.notices(job.id)],
        # Their kinds tell what was found: an overlay is made of located findings.
        "objects": [] if job.hides_draft else [_object_json(o) for o in store.objects(job.id)],
        "events": [_event_json(each) for each in events],
    }


def _job_json(job: Job, deliveries: Sequence[Delivery], situation: SystemStatus) -> dict[str, Any]:
    return {
        "id": job.id,
        "study_instance_uid": job.study_instance_uid,
        "state": job.state.value,
        "why": why(job, deliveries, situation).plain(),
        "draft_status": job.draft_status.value,
        "withheld": job.hides_draft,
        "reason_code": job.reason_code,
        "reason": job.reason,
        "urgent": job.urgent,
        "calling_ae": job.calling_ae,
        "model": {"name": job.model_name, "version": job.model_version},
        "revision": job.revision,
        "created_at": job.created_at.isoformat(),
        "updated_at": job.updated_at.isoformat(),
        "not_before": _time_json(job.not_before),
        "attempts": job.attempts,
        "first_error": job.first_error,
        "last_error": job.last_error,
        "supersedes": job.supersedes,
        "superseded_by": job.superseded_by,
    }


def _alarm_json(job: Job, events: Sequence[JobEvent]) -> dict[str, Any] | None:
    """Return the warning about a draft, or None."""
    known = alarm(job, events)
    if known is None:
        return None
    return {
        "status": known.status.value,
        "sentence": known.sentence,
        "by": known.by,
        "at": _time_json(known.at),
    }


def _withdrawal_json(job: Job, delivery: Delivery, events: Sequence[JobEvent]) -> dict[str, str]:
    """Return the state of a withdrawn draft's recall at a destination; {} for other drafts."""
    if job.draft_status is not DraftStatus.WITHDRAWN:
        return {}
    state, sentence = withdrawal(delivery, events)
    return {"withdrawal": state.value, "withdrawal_why": sentence}


def _delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "destination": delivery.destination,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "not_before": _time_json(delivery.not_before),
        "first_error": delivery.first_error,
        "last_error": delivery.last_error,
        "confirmed_at": _time_json(delivery.confirmed_at),
        "read_back": delivery.read_back,
    }


def _object_json(item: ResultObject) -> dict[str, str]:
    return {
        "kind": item.kind,
        "sop_class_uid": item.sop_class_uid,
        "sop_instance_uid": item.sop_instance_uid,
        "series_instance_uid": item.series_instance_uid,
        "sha256": item.sha256,
    }


def _event_json(event: JobEvent) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        "actor": event.actor,
        "action": event.action,
        "from_state": event.from_state.value if event.from_state else None,
        "to_state": event.to_state.value,
        "reason": event.reason,
    }


def _time_json(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
