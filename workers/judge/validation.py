"""`wetread judge --validate`: a judge against human raters, and the raters against each other."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from service.errors import ConfigurationError
from service.evaluation.chexprompt.raters import RaterAgreement, rater_agreement
from service.evaluation.chexprompt.reply import Counts, Rating
from service.evaluation.chexprompt.summary import Judged
from service.evaluation.values import EvaluationInputError
from workers.judge.pairs import Pair
from workers.judge.raters_file import Ratings, Sum

_COUNT: Final[dict[Sum, Callable[[Rating], int]]] = {
    Sum.TOTAL: lambda rating: _sum(rating.significant) + _sum(rating.insignificant),
    Sum.SIGNIFICANT: lambda rating: _sum(rating.significant),
    Sum.INSIGNIFICANT: lambda rating: _sum(rating.insignificant),
}


def rated_pairs(ratings: Ratings, others: Sequence[Pair] | None, path: Path) -> list[Pair]:
    """Return the rated pairs with their texts, or [] if there are no texts.

    The texts come from `others`, or from the raters' file if `others` is None.

    Raises:
        ConfigurationError: The other file lacks a rated pair.
    """
    texts = others if others is not None else (ratings.pairs.pairs if ratings.pairs else ())
    by_id = {pair.id: pair for pair in texts}
    if not by_id:
        return []
    missing = [name for name in ratings.ids if name not in by_id]
    if missing:
        raise ConfigurationError(
            f"{path}: {len(missing)} rated pairs have no texts, such as {', '.join(missing[:3])}: the "
            "pairs' file needs these ids"
        )
    return [by_id[name] for name in ratings.ids]


def agreement(ratings: Ratings, judged: Sequence[Judged]) -> dict[Sum, RaterAgreement]:
    """Return the agreement of the raters, and of the judge where `judged` is not empty.

    Raises:
        ConfigurationError: There are fewer than two pairs or raters.
    """
    outcomes = {each.id: each.outcome for each in judged}
    try:
        return {
            each: rater_agreement(
                counts,
                [_count(outcomes.get(name), each) for name in ratings.ids] if judged else None,
            )
            for each, counts in ratings.counts.items()
        }
    except EvaluationInputError as error:
        raise ConfigurationError(f"the raters' file cannot be used: {error}") from None


def _count(outcome: object, which: Sum) -> float:
    return _COUNT[which](outcome) if isinstance(outcome, Rating) else math.nan


def _sum(counts: Counts) -> int:
    return sum(counts.values())
