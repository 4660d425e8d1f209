"""The settings that a support bundle has: only those listed here, and a digest over all."""

from typing import Any, Final

from service.settings.config import Settings
from service.support.pseudonyms import Pseudonyms

# Numbers, switches and words of a fixed choice. No address, path, name, title or secret.
ALLOWED: Final = (
    "receiver.port",
    "receiver.open",
    "receiver.quiet_time",
    "receiver.fast",
    "receiver.processes",
    "receiver.tls_port",
    "receiver.max_associations",
    "receiver.max_object_bytes",
    "receiver.min_free_bytes",
    "receiver.stop_seconds",
    "receiver.commitment_give_up_hours",
    "reading.kind",
    "reading.demo_reads_patients",
    "reading.dtype",
    "reading.quantisation",
    "reading.compile",
    "reading.max_new_tokens",
    "reading.temperature",
    "reading.scores",
    "reading.samples",
    "reading.where",
    "reading.minimum_age_years",
    "reading.read_children",
    "reading.max_pixels",
    "reading.decode_seconds",
    "reading.concurrency",
    "reading.lease_seconds",
    "reading.max_attempts",
    "reading.hang_seconds",
    "delivery.concurrency",
    "delivery.lease_seconds",
    "delivery.retry_seconds",
    "delivery.retry_max_seconds",
    "delivery.give_up_hours",
    "delivery.alert_minutes",
    "delivery.pause_alert_hours",
    "outputs.completion",
    "outputs.compression",
    "outputs.comprehensive_3d",
    "outputs.extras",
    "sweep.republish_seconds",
    "sweep.retention_days",
    "sweep.undecided_days",
    "sweep.warn_free_bytes",
    "sweep.early_free_bytes",
    "database.busy_seconds",
    "log.level",
    "log.format",
    "web.port",
)
# Of each table of a list.
ALLOWED_OF_LISTS: Final = {
    "destinations": ("kind", "max_in_flight", "timeout", "objects", "not_analysed"),
    "receiver.callers": ("quiet_time", "priority", "films_per_minute", "stated_only"),
    "models": ("kind", "shadow"),
    "reconcile": ("hours", "every_seconds", "after_seconds", "fetch", "retrieval"),
}


def allowed_settings(settings: Settings, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """Return the digest over all settings, secrets left out, and the values that are allowed."""
    lists = {
        name: [
            {key: _plain(getattr(table, key)) for key in keys} for table in _value(settings, name)
        ]
        for name, keys in ALLOWED_OF_LISTS.items()
    }
    return {
        "digest": pseudonyms.digest(settings.model_dump_json().encode()),
        "values": {name: _plain(_value(settings, name)) for name in ALLOWED},
        "tables": lists,
    }


def _value(settings: Settings, name: str) -> Any:  # noqa: ANN401 - any setting
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _plain(value: Any) -> Any:  # noqa: ANN401 - any setting
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | None) else str(value)
