"""What the page and the API show of one end-to-end check."""

from datetime import timedelta
from typing import Any

from service.records.probes import Probe, ProbeStage


def probe_json(probe: Probe) -> dict[str, Any]:
    """Return a check as JSON types."""
    return {
        "id": probe.id,
        "outcome": probe.outcome.value,
        "stage": probe.stage.value,
        "reason": probe.reason,
        "started_at": probe.started_at.isoformat(),
        "ended_at": probe.ended_at.isoformat() if probe.ended_at else None,
        "seconds": probe.duration.total_seconds() if probe.duration else None,
        "stages": {stage.value: at.isoformat() for stage, at in probe.reached.items()},
        "removed": probe.cleaned_at is not None,
        "left_at": list(probe.left_at),
    }


def stage_times(probe: Probe) -> list[tuple[str, timedelta]]:
    """Return each stage that a check has left, as text, with the time that it took."""
    begun = [(stage, probe.reached[stage]) for stage in ProbeStage if stage in probe.reached]
    following = [at for _, at in begun[1:]]
    pairs = zip(begun, following, strict=False)
    return [(stage.text, later - at) for (stage, at), later in pairs]
