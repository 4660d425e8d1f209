"""The results of a closed reader study as JSON types and as lines of CSV."""

from collections.abc import Iterator
from typing import Any, Final

from service.evaluation.clustered import ClusteredEstimate
from service.evaluation.values import Estimate, Interval, Undefined, Value
from service.reader_study.analysis import Analysis, ArmFigures, BlindingFigures, RepeatFigures
from service.reader_study.study import RatedItem
from service.reader_study.words import SCALE_NAME

PUBLISHED_WORDS: Final = (
    "Published for CXR-LLaVA v2: 72.7 % of drafts and 84.0 % of reference reports acceptable. What "
    "differs: the authors rated an external set of their own; the definition of their classes is not "
    "known here; these are this site's images, readers and reference reports, rated on the scale "
    f'"{SCALE_NAME}" as it is defined here. The figures are not comparable one to one.'
)
_DIGITS: Final = 6


def analysis_json(found: Analysis) -> dict[str, Any]:
    """Return the results as JSON types, numbers with 6 digits."""
    compared = found.comparison
    return {
        "scale": SCALE_NAME,
        "rated": found.rated,
        "missing": found.missing,
        "arms": {each.arm.value: _arm(each) for each in found.arms},
        "comparison": {
            "pairs": compared.pairs,
            "difference": _clustered(compared.difference),
            "margin": compared.margin,
            "one_sided_lower_bound_5_percent": _value(compared.lower),
            "non_inferiority": compared.verdict.value,
            "pairs_needed": compared.needed,
        },
        "repeats": _repeats(found.repeats),
        "blinding": _blinding(found.blinding),
        "readers": {
            each.reader: {
                "rated": each.n,
                "success": {arm.value: _estimate(share) for arm, share in each.success.items()},
                "blinding": _blinding(each.blinding),
                "repeats": _repeats(each.repeats),
                "median_seconds": _value(each.median_seconds),
            }
            for each in found.readers
        },
        "published": PUBLISHED_WORDS,
    }


def csv_line(item: RatedItem) -> dict[str, Any]:
    """Return one rated item as a line of the export, without texts."""
    rating, errors = item.rating, item.rating.errors if item.rating else ()
    return {
        "case": item.case_label,
        "study_instance_uid": item.study_uid,
        "reader": item.reader,
        "position": item.position,
        "arm": item.arm.value,
        "source": item.source,
        "repeat": int(item.is_repeat),
        "rating": rating.rating.value if rating else "",
        "success": int(rating.rating.is_success) if rating else "",
        "significant_errors": _listed(item, significant=True),
        "other_errors": _listed(item, significant=False),
        "errors": len(errors),
        "edited": int(rating.edited is not None) if rating else "",
        "image_seconds": rating.image_seconds if rating else "",
        "text_seconds": rating.text_seconds if rating else "",
        "author_guess": item.author.value if item.author else "",
        "opened_at": item.opened_at.isoformat(timespec="seconds") if item.opened_at else "",
        "rated_at": item.rated_at.isoformat(timespec="seconds") if item.rated_at else "",
    }


def csv_texts(item: RatedItem) -> dict[str, str]:
    """Return the texts of one rated item for the export."""
    return {"text": item.text, "edited_text": (item.rating and item.rating.edited) or ""}


def _listed(item: RatedItem, *, significant: bool) -> str:
    errors = item.rating.errors if item.rating else ()
    chosen = [each for each in errors if each.significant is significant]
    return "; ".join(
        f"{each.type.name.lower().replace('_', ' ')} {each.start}-{each.end}" for each in chosen
    )


def _arm(each: ArmFigures) -> dict[str, Any]:
    return {
        "rated": each.n,
        "classes": {rating.value: count for rating, count in each.counts.items()},
        "success": _clustered(each.success),
        "significant_errors": _value(each.significant),
        "other_errors": _value(each.insignificant),
        "ac2_linear": _value(each.ac2_linear),
        "ac2_quadratic": _value(each.ac2_quadratic),
    }


def _repeats(each: RepeatFigures) -> dict[str, Any]:
    return {"pairs": each.n, "equal": _estimate(each.equal), "ac2_linear": _value(each.ac2_linear)}


def _blinding(each: BlindingFigures) -> dict[str, Any]:
    return {
        "guesses": each.n,
        "cannot_tell": each.unsure,
        "correct": _estimate(each.correct),
        "p_against_chance": _value(each.p),
    }


def _value(value: Value) -> float | str:
    return value.reason.value if isinstance(value, Undefined) else round(value, _DIGITS)


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "n": estimate.n,
        "value": _value(estimate.value),
        "interval": list(_bounds(estimate.interval)),
    }


def _clustered(found: ClusteredEstimate) -> dict[str, Any]:
    return {
        "cases": found.clusters,
        "value": _value(found.value),
        "interval": list(_bounds(found.interval)),
    }


def _bounds(interval: Interval | Undefined) -> Iterator[float]:
    if isinstance(interval, Interval):
        yield round(interval.low, _DIGITS)
        yield round(interval.high, _DIGITS)
