"""The analysis of a closed study, against counts made by hand and the published statistics."""

import json

import numpy as np
import pytest

from service.evaluation.chexprompt.prompt import ErrorType
from service.reader_study.analysis import NonInferiority, analysis_of
from service.reader_study.ratings import RatingEntry, TextError
from service.reader_study.results import analysis_json
from service.reader_study.study import RatedItem
from service.reader_study.words import Arm, Author, Rating


def item(reader, case, arm, grade, *, author=Author.UNSURE, repeat=False, errors=()):
    """Return one rated item; grade "" for one without a rating."""
    rating = None
    if grade:
        rating = RatingEntry(
            rating=Rating(grade), errors=errors, edited=None, image_seconds=4.0, text_seconds=6.0
        )
    return RatedItem(
        reader=reader,
        position=1,
        case_label=case,
        study_uid="1.2.3",
        arm=arm,
        source="demo 1",
        text_id=f"{case}-{arm}",
        text="Clear.",
        is_repeat=repeat,
        opened_at=None,
        rated_at=None,
        rating=rating,
        author=author if grade else None,
    )


def test_ac2_of_the_published_table_comes_out_to_the_printed_digits():
    """Ten cases, three readers: AC2 linear .7542 and quadratic .8849 (irrCAC)."""
    table = ["112", "111", "221", "122", "333", "433", "111", "222", "444", "112"]
    items = [
        item(f"r{reader}", f"c{case}", Arm.DRAFT, "ABCD"[int(grade) - 1])
        for case, grades in enumerate(table)
        for reader, grade in enumerate(grades)
    ]
    found = analysis_of(items, margin=0.1)
    draft, reference = found.arms
    assert round(draft.ac2_linear, 4) == 0.7542
    assert round(draft.ac2_quadratic, 4) == 0.8849
    assert draft.counts == {Rating.A: 12, Rating.B: 9, Rating.C: 5, Rating.D: 4}
    assert draft.success.value == pytest.approx(21 / 30)
    assert reference.n == 0
    assert found.comparison.verdict is NonInferiority.NOT_ESTIMATED


def test_pairs_repeats_guesses_and_errors_are_counted():
    """Repeats count for the own agreement only; unrated items are missing, not failed."""
    wrong = TextError(start=0, end=5, type=ErrorType.LOCATION, significant=True)
    items = [
        item("kim", "1", Arm.DRAFT, "C", author=Author.SOFTWARE, errors=(wrong,)),
        item("kim", "1", Arm.REFERENCE, "A", author=Author.RADIOLOGIST),
        item("kim", "2", Arm.DRAFT, "B", author=Author.RADIOLOGIST),
        item("kim", "2", Arm.REFERENCE, "B"),
        item("kim", "2", Arm.REFERENCE, "C", repeat=True, author=Author.SOFTWARE),
        item("lee", "1", Arm.DRAFT, "A", author=Author.SOFTWARE),
        item("lee", "1", Arm.REFERENCE, ""),
    ]
    found = analysis_of(items, margin=0.1)
    assert (found.rated, found.missing) == (6, 1)
    draft, reference = found.arms
    assert (draft.n, draft.success.value, draft.significant) == (3, pytest.approx(2 / 3), 1 / 3)
    assert (reference.n, reference.success.value) == (2, 1.0)
    assert (found.comparison.pairs, found.comparison.difference.value) == (2, -0.5)
    assert (found.repeats.n, found.repeats.equal.value) == (1, 0.0)
    blinding = found.blinding
    assert (blinding.n, blinding.unsure, blinding.correct.value) == (4, 1, 0.75)
    assert blinding.p == pytest.approx(0.625)
    kim, lee = found.readers
    assert (kim.n, lee.n, kim.median_seconds) == (4, 1, 10.0)
    assert json.loads(json.dumps(analysis_json(found)))["arms"]["draft"]["classes"]["C"] == 1


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.84, NonInferiority.SHOWN), (0.6, NonInferiority.NOT_SHOWN)]
)
def test_non_inferiority_is_the_lower_bound_against_the_margin(share, verdict):
    """300 cases, equal arms or 24 points apart, margin 10 points; resampling is by case."""
    draw = np.random.default_rng(7)
    items = []
    for case in range(300):
        for arm, rate in ((Arm.DRAFT, share), (Arm.REFERENCE, 0.84)):
            # Two readers rate one text alike: the number of cases stays 300.
            grade = "A" if draw.random() < rate else "D"
            items += [item(reader, str(case), arm, grade) for reader in ("kim", "lee")]
    found = analysis_of(items, margin=0.1).comparison
    assert found.verdict is verdict
    assert found.needed == 186
    assert found.difference.clusters == 300
    low, high = found.difference.interval.low, found.difference.interval.high
    # As wide as of 300 independent pairs, not of 600.
    expected = 2 * 1.96 * np.sqrt((share * (1 - share) + 0.84 * 0.16) / 300)
    assert high - low == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize(
    ("cases", "verdict"), [(5, NonInferiority.NOT_SHOWN), (29, NonInferiority.SHOWN)]
)
def test_equal_ratings_of_few_cases_show_nothing(cases, verdict):
    """All draws are equal; the exact bound, 1 - 0.05^(1/n), is below 10 points from 29 cases on."""
    items = [
        item("kim", f"{case}", arm, "A")
        for case in range(cases)
        for arm in (Arm.DRAFT, Arm.REFERENCE)
    ]
    found = analysis_of(items, margin=0.1).comparison
    assert found.verdict is verdict
    assert found.lower == pytest.approx(0.05 ** (1 / cases) - 1)


def test_an_open_study_without_ratings_has_no_figures():
    """Each states the reason, and none is 0."""
    found = analysis_json(analysis_of([item("kim", "1", Arm.DRAFT, "")], margin=0.1))
    assert found["arms"]["draft"]["success"]["value"] == "no cases"
    assert found["comparison"]["non_inferiority"] == "not estimated"
    assert found["blinding"]["p_against_chance"] == "no cases"
