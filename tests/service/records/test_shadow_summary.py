"""The figures of a shadow model over its readings."""

from datetime import UTC, datetime

from service.records.shadow import ShadowComparison, ShadowReading, ShadowState
from service.records.shadow_summary import summary


def reading(state, comparison=None, reason=""):
    """Return a reading."""
    return ShadowReading(
        id=1,
        job_id="j",
        study_instance_uid="1.2",
        model_name="s",
        model_version="1",
        state=state,
        attempts=1,
        claimed_at=datetime(2026, 3, 1, tzinfo=UTC),
        ended_at=None,
        seconds=None,
        prompt_sha256="",
        reason=reason,
        draft=None,
        comparison=comparison,
    )


def pair(**values):
    """Return a reading with a comparison."""
    return reading(ShadowState.DRAFTED, ShadowComparison(**{"same_image": True, **values}))


def test_readings_and_findings_are_counted():
    """Of pairs about the same image; the finding with most differences comes first."""
    found = summary(
        [
            pair(both=("edema",), seconds_shadow=1.0),
            pair(both=("edema",), sides_differ=("edema",), seconds_shadow=3.0),
            pair(only_in_use=("pneumothorax",)),
            pair(same_image=False, coded_shadow=False),
            reading(ShadowState.FAILED, reason="latest"),
            reading(ShadowState.FAILED, reason="earlier"),
            reading(ShadowState.REFUSED),
            reading(ShadowState.READING),
        ]
    )
    assert (found.read, found.drafted, found.refused, found.failed) == (7, 4, 1, 2)
    assert (found.compared, found.identical, found.other_image) == (3, 1, 1)
    assert (found.uncoded_shadow, found.seconds_shadow, found.seconds_in_use) == (1, 2.0, None)
    assert [each.finding for each in found.findings] == ["pneumothorax", "edema"]
    edema = found.findings[1]
    assert (edema.both, edema.neither, edema.sides_differ, edema.same) == (2, 1, 1, 3)
    assert found.last_error == "latest"


def test_without_readings_there_are_no_medians():
    """Nor an error."""
    found = summary([])
    assert (found.read, found.seconds_shadow, found.findings, found.last_error) == (0, None, (), "")
