"""Volume: studies received and where they stand, latencies, and why studies were not analyzed."""

from collections.abc import Mapping
from typing import Any, Final

from dicom.reasons import Reason
from service.jobs import ReasonCode
from service.quality.document import Facts, Section, Table, counted, not_recorded
from service.quality.inputs import Inputs
from service.quality.period import Period, moment
from service.throughput.balance import StudyClass
from service.throughput.hours import HOUR, HourFigures, hour_of, hours_between, together

_STUDY_WORDS: Final = {
    StudyClass.DRAFTED: "with a draft",
    StudyClass.WAITING: "waiting",
    StudyClass.FAILED: "failed",
    StudyClass.NOT_ANALYZED: "not analyzed, with a reason",
    StudyClass.CANCELED: "canceled",
    StudyClass.WITHDRAWN: "draft withdrawn",
    StudyClass.NO_IMAGE: "without an image to read",
    StudyClass.UNACCOUNTED: "unaccounted: nothing will read them",
}
_CODES: Final = {
    **{reason.value: reason.sentence for reason in Reason},
    ReasonCode.DRAFTING_STOPPED.value: "Drafting was stopped by a person.",
    ReasonCode.NOT_DELIVERED.value: "The result was not delivered.",
    ReasonCode.WORKER_LOST.value: "The worker was lost too often.",
}


def volume(inputs: Inputs) -> tuple[list[Section], dict[str, Any]]:
    """Return the sections on volume, and the same as values."""
    begin, end = inputs.period.begin, inputs.period.end
    hours = [each for each in inputs.store.hourly_figures(begin) if begin <= each.hour < end]
    whole = together(hour_of(begin), hours)
    missing = _missing_hours(inputs, hours)
    refused = inputs.store.not_analyzed(begin, end)
    failed = inputs.store.failed(begin, end)
    studies = Section(
        title="Volume",
        facts=_facts(inputs.period, whole, missing),
        tables=(
            counted(("Studies received, by what became of them", "Studies"), _standing(whole)),
            counted(("Calling AE", "Jobs"), sorted(whole.callers.items()), "Jobs by calling AE"),
            counted(("Model and version", "Jobs"), sorted(whole.models.items()), "Jobs by model"),
        ),
    )
    return [studies, _reasons(refused, failed)], {
        "studies_received": whole.balance.received,
        "studies": {each.value: n for each, n in whole.balance.studies.items()},
        "jobs": {each.value: n for each, n in whole.balance.jobs.items()},
        "jobs_by_calling_ae": dict(whole.callers),
        "jobs_by_model": dict(whole.models),
        "latency_seconds": {
            "p50": whole.latency.percentile(0.5),
            "p95": whole.latency.percentile(0.95),
            "n": whole.latency.n,
        },
        "hours_without_figures": missing,
        "not_analyzed": refused,
        "failed": failed,
    }


def _missing_hours(inputs: Inputs, hours: list[HourFigures]) -> int:
    """Return how many hours of the period since the first study have no figures."""
    first = inputs.store.first_hour()
    if first is None:
        return 0
    last = min(inputs.period.end - HOUR, inputs.store.now())
    wanted = {
        each
        for each in hours_between(inputs.period.begin, last)
        if each >= first and each >= inputs.period.begin
    }
    return len(wanted - {each.hour for each in hours})


def _facts(period: Period, whole: HourFigures, missing: int) -> tuple[tuple[str, str], ...]:
    facts = Facts()
    if period.begin != hour_of(period.begin):
        # In zones with half hours the figures of a day are those of the hours that begin in it.
        counted_in = (f"{moment(hour_of(at) + HOUR)}" for at in (period.begin, period.end))
        facts.add("Figures of whole hours (UTC)", " to ".join(counted_in))
    facts.add("Studies received", str(whole.balance.received))
    facts.add("Jobs made", str(whole.balance.made))
    for name, share in (("median", 0.5), ("95th percentile", 0.95)):
        seconds = whole.latency.percentile(share)
        facts.add(
            f"Last image to confirmed draft, {name}",
            "" if seconds is None else f"{seconds:.1f} s (n = {whole.latency.n})",
            missing="times from the last image to the confirmed draft",
        )
    facts.add(
        "Hours without figures",
        not_recorded(f"figures of {missing} hours of the period") if missing else "none",
    )
    return facts.all()


def _standing(whole: HourFigures) -> list[tuple[str, int]]:
    return [(words, whole.balance.studies.get(each, 0)) for each, words in _STUDY_WORDS.items()]


def _reasons(refused: Mapping[str, int], failed: Mapping[str, int]) -> Section:
    return Section(
        title="Not analyzed, and why",
        sentences=(
            (
                "A study that was not analyzed has no draft; its notice states the reason to the "
                "radiologist. Jobs that were made in the period, by their state now."
            ),
        ),
        tables=(
            _by_reason("Not analyzed", refused),
            _by_reason("Failed", failed),
        ),
    )


def _by_reason(caption: str, counts: Mapping[str, int]) -> Table:
    rows = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return Table(
        ("Code", "Reason", "Jobs"),
        tuple((code or "–", reason_words(code), str(count)) for code, count in rows),
        caption,
        numeric=frozenset({2}),
    )


def reason_words(code: str) -> str:
    """Return the sentence for the code of a reason, or its words."""
    return _CODES.get(code) or f"{code.replace('_', ' ').capitalize()}."
