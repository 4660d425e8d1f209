"""What the latest end-to-end checks say about the service."""

from typing import Any

from service.errors import StoreError
from service.records.probes import ProbeHealth, ProbeOutcome
from service.settings.config import Settings
from service.store import Store


def probe_health(store: Store, settings: Settings) -> ProbeHealth:
    """Return what the latest checks say.

    Raises:
        StoreError: The database does not answer.
    """
    return store.probe_health(settings.probe.period, settings.probe.limit)


def readiness_of_probe(store: Store, settings: Settings) -> dict[str, Any]:
    """Return the state of the check for `/readyz`; {} if the database does not answer.

    A failed check does not make `/readyz` 503: images are accepted nevertheless. No address is named.
    """
    if not settings.probe.enabled:
        return {"enabled": False}
    try:
        health = probe_health(store, settings)
    except StoreError:
        return {}
    latest = health.latest
    failed = latest is not None and latest.outcome is ProbeOutcome.FAILED
    return {
        "enabled": True,
        "ok": not health.fault,
        "late": health.is_late,
        "failed_stage": latest.stage.value if failed and latest else "",
        "last_success": health.passed_at.isoformat() if health.passed_at else None,
    }
