"""Figures from columns are those of `figures_by`, for every grouping and period."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from service.review.figure_table import FigureTable, KnownDecision
from service.review.figures import DecisionFacts, Grouping, figures_by
from service.review.words import Acceptability, FindingVerdict, Rejection, Verdict

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
FINDINGS = ("pleural effusion", "pneumothorax", "edema", "fracture")
READERS = {"u1": "Marie Curie", "u2": "Wilhelm Röntgen", "u3": "Marie Curie"}


def random_facts(rng, number):
    """Return the facts of a decision, any of them."""
    verdict = rng.choice(list(Verdict))
    is_rejection = verdict is Verdict.REJECT
    reviewer = rng.choice(list(READERS))
    sentences = rng.randrange(6)
    return reviewer, DecisionFacts(
        at=BEGUN + timedelta(hours=6 * number, seconds=rng.random()),
        reader=READERS[reviewer],
        device=rng.choice(("CR1", "CR2", "")),
        model=rng.choice(("Tiny 1", "Tiny 2")),
        verdict=verdict,
        rejection=rng.choice(list(Rejection)) if is_rejection else None,
        acceptability=rng.choice([None, *Acceptability]),
        distance=rng.randrange(40),
        share=rng.choice((None, rng.random())),
        sentences=sentences,
        kept=rng.randrange(sentences + 1),
        seconds=rng.random() * 100,
        positive=tuple(rng.sample(FINDINGS, rng.randrange(4))),
        verdicts={name: rng.choice(list(FindingVerdict)) for name in rng.sample(FINDINGS, 2)},
    )


@pytest.fixture(scope="module")
def decisions():
    """Five hundred decisions on two hundred drafts, and which were undone."""
    rng = random.Random(7)
    numbers = {}
    made = []
    for number in range(500):
        job_id = str(rng.randrange(200))
        numbers[job_id] = numbers.get(job_id, 0) + 1
        reviewer, facts = random_facts(rng, number)
        made.append(
            KnownDecision(
                id=str(number),
                job_id=job_id,
                number=numbers[job_id],
                reviewer_id=reviewer,
                facts=facts,
            )
        )
    return made, {each.id for each in made if rng.random() < 0.1}


@pytest.fixture(scope="module")
def table(decisions):
    """The table of these decisions; some are undone before later ones come, some twice."""
    made, undone = decisions
    filled = FigureTable()
    for each in made:
        filled.add(each)
        filled.add(each)
        if each.id in undone:
            filled.undo(each.id)
    filled.undo("unknown")
    return filled


def standing(decisions):
    """Return the decisions in force, the earliest first."""
    made, undone = decisions
    last = {}
    for each in made:
        if each.id not in undone:
            last[each.job_id] = each
    return sorted(last.values(), key=lambda each: each.facts.at)


PERIODS = [
    (None, None),
    (BEGUN + timedelta(days=30), None),
    (None, BEGUN + timedelta(days=60, hours=3)),
    (BEGUN + timedelta(days=40), BEGUN + timedelta(days=47)),
    (BEGUN + timedelta(days=4000), None),
]


@pytest.mark.parametrize("grouping", list(Grouping))
@pytest.mark.parametrize("reviewer", [None, "u1", "nobody"])
def test_figures_are_those_of_the_facts(decisions, table, grouping, reviewer):
    """Of every period, for all and for one person; empty groups are not there."""
    for since, until in PERIODS:
        facts = [
            each.facts
            for each in standing(decisions)
            if (since is None or each.facts.at >= since)
            and (until is None or each.facts.at < until)
            and (reviewer is None or each.reviewer_id == reviewer)
        ]
        found = table.figures(grouping, since=since, until=until, reviewer_id=reviewer)
        assert found == figures_by(facts, grouping)


def test_decisions_are_counted_by_verdict(decisions, table):
    """Undone ones too: a counter never falls."""
    made, undone = decisions
    assert table.undone == len(undone)
    assert sum(table.made.values()) == len(table) == len(made)
    rejected = sum(each.facts.verdict is Verdict.REJECT for each in made)
    assert table.made[Verdict.REJECT] == rejected


def test_no_decision_has_no_figures():
    """Neither groups nor an error."""
    assert [FigureTable().figures(each) for each in Grouping] == [[]] * len(Grouping)
