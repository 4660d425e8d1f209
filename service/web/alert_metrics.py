"""The metrics of alerts about incidents, of the balance and of the end-to-end check."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from service.monitoring.alert_rules import AlertLevel, rule_of
from service.monitoring.probe_health import probe_health
from service.records.probes import ProbeOutcome, ProbeStage
from service.settings.config import Settings
from service.store import Store

_MOST_ALERTS: Final = 1000


def alert_metrics(store: Store) -> Metric:
    """Return the number of open alerts by level and by whether a person has acknowledged them.

    Raises:
        StoreError: The database does not answer.
    """
    family = GaugeMetricFamily(
        "wetread_alerts", "Open alerts about incidents.", labels=["level", "acknowledged"]
    )
    found = Counter(
        (rule_of(each.kind).level, each.acknowledged_at is not None)
        for each in store.open_incident_alerts(limit=_MOST_ALERTS)
    )
    for level in AlertLevel:
        for acknowledged in (False, True):
            family.add_metric([level.word, str(acknowledged).lower()], found[level, acknowledged])
    return family


def balance_metrics(store: Store) -> Metric:
    """Return the number of studies for which the balance does not hold.

    Raises:
        StoreError: The database does not answer.
    """
    return _gauge(
        "wetread_unaccounted_studies",
        "Studies with an image and no job that wait for none: the balance does not hold.",
        float(len(store.unaccounted_now())),
    )


def probe_metrics(store: Store, settings: Settings) -> Iterator[Metric]:
    """Yield the metrics of the end-to-end check; none while it is off.

    Raises:
        StoreError: The database does not answer.
    """
    if not settings.probe.enabled:
        return
    health = probe_health(store, settings)
    latest = health.latest
    passed = health.passed_at.timestamp() if health.passed_at else 0.0
    yield _gauge(
        "wetread_probe_ok",
        "1 if the latest end-to-end check passed and none is late, or none has been made yet.",
        float(not health.fault),
    )
    yield _gauge(
        "wetread_probe_late", "1 if no end-to-end check ended in time.", float(health.is_late)
    )
    yield _gauge(
        "wetread_probe_last_success_timestamp_seconds",
        "When an end-to-end check last passed, Unix time; 0: never.",
        passed,
    )
    if latest is not None and latest.duration is not None:
        yield _gauge(
            "wetread_probe_duration_seconds",
            "Duration of the latest end-to-end check until its outcome.",
            latest.duration.total_seconds(),
        )
    failed = GaugeMetricFamily(
        "wetread_probe_failed_stage",
        "1 for the stage at which the latest end-to-end check failed.",
        labels=["stage"],
    )
    at = latest.stage if latest and latest.outcome is ProbeOutcome.FAILED else None
    for stage in ProbeStage:
        failed.add_metric([stage.value], float(stage is at))
    yield failed


def _gauge(name: str, description: str, value: float) -> Metric:
    return GaugeMetricFamily(name, description, value=value)
