"""What the pages of reader studies show. Only `results_values` knows the arms, after closing."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from service.accounts import Person, Role
from service.evaluation.clustered import ClusteredEstimate
from service.evaluation.values import Estimate, Interval, Undefined, Value
from service.reader_study.study import CurrentItem, ReaderStudy
from service.reader_study.words import AUTHOR_TEXT, ERROR_TEXT, RATING_TEXT, SCALE_NAME, Arm
from service.store import Store

_ARM_WORDS: Final[Mapping[Arm, str]] = {
    Arm.DRAFT: "AI drafts",
    Arm.REFERENCE: "Reference reports",
}


def visible_studies(store: Store, person: Person) -> list[ReaderStudy]:
    """Return the studies that a person may see: an admin all, a reader the own ones."""
    return store.reader_studies(person_id=None if person.has(Role.ADMIN) else person.id)


def definitions() -> dict[str, Any]:
    """Return the words of the scale, of the error types and of the guesses."""
    return {
        "scale": SCALE_NAME,
        "classes": [(rating.value, text) for rating, text in RATING_TEXT.items()],
        "error_types": [(kind.value, text) for kind, text in ERROR_TEXT.items()],
        "authors": [(author.value, text) for author, text in AUTHOR_TEXT.items()],
    }


def reading_values(store: Store, study: ReaderStudy, item: CurrentItem) -> dict[str, Any]:
    """Return what the reading page shows."""
    return {
        "study": study,
        "item": item,
        "image_base": f"items/{item.id}/film/",
        "is_rated": store.shown_rating(item.id) is not None,
        **definitions(),
    }


def results_values(store: Store, study: ReaderStudy) -> dict[str, Any]:
    """Return the results of a closed study."""
    # Loaded here: no page but this one needs the statistics.
    from service.reader_study.analysis import analysis_of  # noqa: PLC0415
    from service.reader_study.results import PUBLISHED_WORDS  # noqa: PLC0415

    found = analysis_of(store.reader_study_results(study.id), margin=study.margin)
    return {
        "analysis": found,
        "arms": [
            {
                "name": _ARM_WORDS[each.arm],
                "n": each.n,
                "counts": list(each.counts.values()),
                "success": _clustered(each.success),
                "significant": _number(each.significant),
                "other": _number(each.insignificant),
                "linear": _number(each.ac2_linear),
                "quadratic": _number(each.ac2_quadratic),
            }
            for each in found.arms
        ],
        "difference": _clustered(found.comparison.difference, signed=True),
        "lower": _points(found.comparison.lower),
        "margin": f"{100 * study.margin:.0f} points",
        "repeats": (_estimate(found.repeats.equal), _number(found.repeats.ac2_linear)),
        "guessed": _estimate(found.blinding.correct),
        "guess_p": _number(found.blinding.p, digits=3),
        "readers": [
            {
                "name": each.reader,
                "n": each.n,
                "shares": [_estimate(each.success[arm]) for arm in Arm],
                "guessed": _estimate(each.blinding.correct),
                "equal": _estimate(each.repeats.equal),
                "seconds": _number(each.median_seconds, digits=0),
            }
            for each in found.readers
        ],
        "arm_words": list(_ARM_WORDS.values()),
        "published_words": PUBLISHED_WORDS,
    }


def _number(value: Value, digits: int = 2) -> str:
    return "–" if isinstance(value, Undefined) else f"{value:.{digits}f}"


def _points(value: Value) -> str:
    return value.reason.value if isinstance(value, Undefined) else f"{100 * value:+.1f} points"


def _estimate(estimate: Estimate) -> str:
    if isinstance(estimate.value, Undefined):
        return "–"
    return f"{_percent([estimate.value])}{_bounds(estimate.interval)}, n = {estimate.n}"


def _clustered(found: ClusteredEstimate, *, signed: bool = False) -> str:
    if isinstance(found.value, Undefined):
        return f"– ({found.value.reason})"
    unit = "points" if signed else "%"
    share = f"{100 * found.value:+.1f} points" if signed else _percent([found.value])
    return f"{share}{_bounds(found.interval, unit)}, {found.clusters} cases"


def _bounds(interval: Interval | Undefined, unit: str = "%") -> str:
    if isinstance(interval, Undefined):
        return f" (no interval: {interval.reason})"
    return f" ({_percent([interval.low, interval.high], unit)})"


def _percent(shares: Sequence[float], unit: str = "%") -> str:
    return " to ".join(f"{100 * each:.1f}" for each in shares) + f" {unit}"
