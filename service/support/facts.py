"""The facts of a support bundle: built field by field, so that no text of a study or a person is in it.

Enums, numbers and times are kept as they are. Identifiers and sentences are hashed by the key of the
installation: equal ones can be recognized, and nothing can be read.
"""

import platform
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from typing import Any, Final

from pydicom.uid import UID

from dicom.reasons import Reason
from service.database import schema
from service.jobs import Action, Event, JobState, ReasonCode
from service.monitoring.destination_incidents import backlogs
from service.monitoring.job_stages import attempts, stages
from service.records import Delivery, IncidentKind, JobEvent, ProcessRole, ReceivedInstance
from service.settings.config import Settings
from service.store import Store
from service.support.pseudonyms import Pseudonyms

_MOST_INCIDENTS: Final = 200
_LIBRARIES: Final = (
    *("wetread", "pydicom", "pynetdicom", "highdicom", "sqlalchemy", "celery", "redis"),
    *("starlette", "uvicorn", "numpy", "pillow", "torch", "transformers"),
)
_OTHER: Final = "other"
_ACTIONS: Final = frozenset({*Action, *Event})


def version(settings: Settings) -> dict[str, Any]:
    """Return the versions of program, schema, Python, system and libraries."""
    return {
        "libraries": {name: _installed(name) for name in _LIBRARIES},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "schema": {"needed": schema.head(), "found": schema.current(settings.database_url)},
    }


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def processes(store: Store, pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    """Return the heartbeats of the processes."""
    return [
        {
            "role": _role(each.role, pseudonyms),
            "host": pseudonyms.of(each.host),
            "pid": each.pid,
            "started_at": _time(each.started_at),
            "seen_at": _time(each.seen_at),
            "restarts": each.restarts,
            "status": each.status.value,
            "reason": pseudonyms.of(each.reason),
        }
        for each in store.processes()
    ]


def _role(role: str, pseudonyms: Pseudonyms) -> str:
    kind, _, model = role.partition(".")
    known = kind if kind in set(ProcessRole) else _OTHER
    return f"{known}.{pseudonyms.of(model)}" if model else known


def queue(store: Store) -> dict[str, Any]:
    """Return the numbers of jobs and deliveries by state, and the age of the oldest job."""
    deliveries: Counter[str] = Counter()
    for (_, state), count in store.delivery_counts().items():
        deliveries[str(state)] += count
    counts, oldest = store.counts(), store.oldest_waiting()
    return {
        "jobs": {state.value: counts.get(state, 0) for state in JobState},
        "deliveries": dict(deliveries),
        "drafting_is_stopped": store.drafting_stop() is not None,
        "oldest_waiting_since": _time(oldest.created_at) if oldest else None,
    }


def incidents(store: Store, pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    """Return the latest incidents."""
    return [
        {
            "at": _time(each.at),
            "kind": each.kind if each.kind in set(IncidentKind) else _OTHER,
            "subject": pseudonyms.of(each.subject),
            "detail": pseudonyms.of(each.detail),
        }
        for each in store.incidents(_MOST_INCIDENTS)
    ]


def network(store: Store, settings: Settings, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """Return the state of the destinations, and the figures of the calling AEs."""
    kinds = {each.name: each.kind for each in settings.destinations}
    return {
        "destinations": [
            {
                "name": pseudonyms.of(each.destination),
                "kind": kinds.get(each.destination, ""),
                "state": each.state.value,
                "waiting": each.waiting,
                "oldest_at": _time(each.oldest_at),
                "succeeded_at": _time(each.succeeded_at),
                "failed_at": _time(each.failed_at),
                "last_error": pseudonyms.of(each.last_error),
                "paused_at": _time(each.pause.paused_at) if each.pause else None,
            }
            for each in backlogs(store, settings)
        ],
        "calling_aes": [
            {
                "ae_title": pseudonyms.of(each.ae_title),
                "associations": each.associations,
                "instances": each.instances,
                "studies": each.studies,
                "seen_at": _time(each.seen_at),
            }
            for each in store.calling_aes()
        ],
        "refusals": [
            {
                "cause": each.refused.cause.value,
                "calling_ae": pseudonyms.of(each.refused.calling_ae),
                "sop_class": _class_name(each.refused.sop_class_uid, pseudonyms),
                "count": each.count,
                "last_at": _time(each.last_at),
            }
            for each in store.refusals()
        ],
    }


def job(store: Store, job_id: str, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """Return the facts of one job: stages, attempts, images, deliveries, objects, events.

    Raises:
        NotFound: There is no such job.
    """
    found = store.job(job_id)
    images = store.instances(found.study_instance_uid)
    events, deliveries = store.events(found.id), store.deliveries(found.id)
    lines = stages(found, images=images, events=events, deliveries=deliveries)
    return {
        "job": pseudonyms.of(found.id),
        "study": pseudonyms.of(found.study_instance_uid),
        "state": found.state.value,
        "draft_status": found.draft_status.value,
        "reason_code": _reason_code(found.reason_code),
        "reason": pseudonyms.of(found.reason),
        "model": pseudonyms.of(found.model_name),
        "revision": found.revision,
        "urgent": found.urgent,
        "attempts": len(attempts(events)),
        "stages": [
            {"stage": each.stage.value, "state": each.state.value, "at": _time(each.at)}
            for each in lines
        ],
        "timings_ms": _timings(found.draft.timings_ms) if found.draft else {},
        "images": [_image(each, pseudonyms) for each in images],
        "deliveries": [_delivery(each, pseudonyms) for each in deliveries],
        "objects": [
            {
                "sop_class": _class_name(each.sop_class_uid, pseudonyms),
                "sop_instance": pseudonyms.of(each.sop_instance_uid),
                "content": pseudonyms.of(each.sha256),
            }
            for each in store.objects(found.id)
        ],
        "events": _events(events, pseudonyms),
    }


def _events(events: Sequence[JobEvent], pseudonyms: Pseudonyms) -> list[dict[str, Any]]:
    return [
        {
            "at": _time(each.at),
            "action": each.action if each.action in _ACTIONS else _OTHER,
            "from": each.from_state.value if each.from_state else None,
            "to": each.to_state.value,
            "actor": pseudonyms.of(each.actor),
            "reason": pseudonyms.of(each.reason),
        }
        for each in events
    ]


def _image(image: ReceivedInstance, pseudonyms: Pseudonyms) -> dict[str, Any]:
    return {
        "sop_class": _class_name(image.sop_class_uid, pseudonyms),
        "sop_instance": pseudonyms.of(image.sop_instance_uid),
        "transfer_syntax": _class_name(image.transfer_syntax_uid, pseudonyms),
        "calling_ae": pseudonyms.of(image.calling_ae),
        "bytes": image.size,
        "received_at": _time(image.received_at),
        "conflict": image.conflict,
    }


def _delivery(delivery: Delivery, pseudonyms: Pseudonyms) -> dict[str, Any]:
    return {
        "destination": pseudonyms.of(delivery.destination),
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "confirmed_at": _time(delivery.confirmed_at),
        "read_back": delivery.read_back,
        "first_error": pseudonyms.of(delivery.first_error),
        "last_error": pseudonyms.of(delivery.last_error),
    }


_TIMINGS: Final = frozenset({"decode", "pixels", "select", "model", "regions", "outputs", "total"})


def _timings(timings: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in timings.items() if name in _TIMINGS}


def _reason_code(code: str) -> str:
    return code if code in {"", *ReasonCode, *Reason} else _OTHER


def _class_name(uid: str, pseudonyms: Pseudonyms) -> str:
    """Return the name of a UID in the Standard; the hash of any other UID."""
    name = UID(uid).name if uid else ""
    return name if name != uid else pseudonyms.of(uid)


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
