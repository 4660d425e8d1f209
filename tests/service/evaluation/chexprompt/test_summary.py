"""The figures of judged pairs."""

import numpy as np
import pytest

from service.evaluation.chexprompt.prompt import ErrorType
from service.evaluation.chexprompt.reply import Form, Rating, Unparsable
from service.evaluation.chexprompt.summary import Judged, summary
from service.evaluation.metrics_json import metrics_json
from service.evaluation.values import EvaluationInputError, Reason, Undefined


def rating(*significant, insignificant=(0,) * 6, form=Form.STRICT):
    """Return a rating of these counts."""
    return Rating(
        dict(zip(ErrorType, significant, strict=True)),
        dict(zip(ErrorType, insignificant, strict=True)),
        form,
    )


def test_hand_counted_figures():
    """Three parsed pairs, one without a draft; sums, SD, share with zero and means by type by hand."""
    found = summary(
        [
            Judged("a", "p1", rating(1, 0, 0, 2, 0, 0, insignificant=(0, 1, 0, 0, 0, 0))),
            Judged("b", "p2", rating(0, 0, 0, 0, 0, 0)),
            Judged("c", "p3", rating(0, 2, 0, 0, 0, 0, form=Form.TOLERANT)),
            Judged("d", "p4", None),
        ]
    )
    assert (found.pairs, found.parsed, found.no_draft, found.tolerant) == (4, 3, 1, 1)
    assert found.unparsable_share == 0
    assert found.total.mean.value == pytest.approx(2)
    assert found.headline.value == pytest.approx(2)
    assert found.headline.n == 3
    assert found.total.deviation == pytest.approx(2)
    assert found.significant.mean.value == pytest.approx(5 / 3)
    assert found.insignificant.without.value == pytest.approx(2 / 3)
    assert found.total.by_type[ErrorType.OMITTED_FINDING] == pytest.approx(1)
    assert found.significant.by_type[ErrorType.SEVERITY] == pytest.approx(2 / 3)


def test_above_five_percent_unparsable_there_is_no_headline():
    """1 of 20 unparsable is 5 %: still a figure; 2 of 20: none, and each reason is counted."""
    parsed = [Judged(str(n), str(n), rating(*(1,) * 6)) for n in range(18)]
    one = [*parsed, Judged("x", "x", rating(*(0,) * 6)), Judged("y", "y", Unparsable.CUT)]
    assert summary(one, draws=10).headline is not None
    two = [*parsed, Judged("x", "x", Unparsable.EMPTY), Judged("y", "y", Unparsable.CUT)]
    found = summary(two, draws=10)
    assert found.headline is None
    assert {reason for reason, n in found.unparsable.items() if n} == {
        Unparsable.EMPTY,
        Unparsable.CUT,
    }
    assert found.parsed + sum(found.unparsable.values()) + found.no_draft == found.pairs


def test_nothing_judged_is_undefined_not_zero():
    """Only unparsable replies: no mean, no headline, and the JSON can be written."""
    found = summary([Judged("a", "a", Unparsable.NO_HEADER)], draws=10)
    assert found.total.mean.value == Undefined(Reason.NO_CASES)
    assert found.headline is None
    assert '"undefined"' in metrics_json(found)


def test_patients_are_resampled_not_reports():
    """Ten reports of one patient give no interval; of ten patients one."""
    ratings = [rating(n % 3, 0, 0, 0, 0, 0) for n in range(10)]
    one = summary([Judged(str(n), "p", each) for n, each in enumerate(ratings)], draws=50)
    assert one.total.mean.interval == Undefined(Reason.ONE_PATIENT)
    ten = summary([Judged(str(n), str(n), each) for n, each in enumerate(ratings)], draws=500)
    means = np.array([n % 3 for n in range(10)])
    assert ten.total.mean.interval.low < means.mean() < ten.total.mean.interval.high


def test_an_id_that_stands_twice_is_refused():
    """A pair that is counted twice would change the mean."""
    with pytest.raises(EvaluationInputError, match="twice"):
        summary([Judged("a", "a", None), Judged("a", "a", None)])
