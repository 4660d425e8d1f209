"""The errors of drafts, and their dependence on size, pattern and side of the findings."""

import dataclasses

import pytest

from service.assessment.mistakes import Kind, Trait, error_analysis, mistakes, mistakes_csv
from service.assessment.mistakes_page import chosen, mistakes_section
from service.assessment.study_rows import Detail, Outcome, StudyRow
from service.evaluation.labels import Label
from service.evaluation.subgroups import TooFew

YES, NO = Label.POSITIVE, Label.NEGATIVE


def row(number, truth, predicted, **detail):
    """Return a study about a pneumothorax."""
    return StudyRow(
        id=f"s{number:03d}",
        patient=f"p{number}",
        outcome=Outcome.SCORED,
        truth={"pneumothorax": truth},
        predicted={} if predicted is None else {"pneumothorax": predicted},
        details={"pneumothorax": Detail(**detail)} if detail else {},
    )


def analysis(rows):
    """Return the error analysis with few draws."""
    return error_analysis(rows, draws=200, seed=0)


def test_each_kind_of_mistake_is_named():
    """Missed as absent, not mentioned or uncertain; invented; on the wrong side. The rest is right."""
    rows = [
        row(1, YES, NO, truth_side="left"),
        row(2, YES, None),
        row(3, YES, Label.UNCERTAIN),
        row(4, NO, YES, draft_side="right"),
        row(5, YES, YES, truth_side="left", draft_side="right"),
        row(6, YES, YES, truth_side="left", draft_side="left"),
        row(7, YES, YES, truth_side="left"),
        row(8, NO, None),
        row(9, Label.UNCERTAIN, YES),
    ]
    found = [(one.study, one.kind) for one in mistakes(rows)]
    assert found == [
        ("s001", Kind.MISSED),
        ("s002", Kind.MISSED),
        ("s003", Kind.MISSED),
        ("s004", Kind.INVENTED),
        ("s005", Kind.WRONG_SIDE),
    ]
    assert mistakes(rows)[3].traits == {Trait.SIDE: "right"}
    assert mistakes_csv(rows).splitlines()[1].startswith("s001,pneumothorax,missed,,,left")


def test_small_findings_are_distinguished_from_large_ones():
    """Small: below the median of the positives; the small ones are missed here."""
    rows = [row(n, YES, NO if n < 20 else YES, size=0.01 * n) for n in range(40)]
    found = analysis(rows)
    by_size = found.sensitivity[Trait.SIZE]
    assert by_size["small"]["pneumothorax"].value == 0
    assert by_size["large"]["pneumothorax"].value == 1
    assert found.contrasts[Trait.SIZE].value == pytest.approx(-1)


def test_focal_findings_are_distinguished_from_diffuse_ones():
    """The difference has an interval by patients."""
    rows = [
        row(n, YES, YES if n % 4 else NO, pattern="focal" if n % 2 else "diffuse")
        for n in range(60)
    ]
    found = analysis(rows)
    assert found.contrasts[Trait.PATTERN].value == pytest.approx(0.5)
    assert found.contrasts[Trait.PATTERN].interval.low > 0.2


def test_few_positives_give_no_rate():
    """Ten positive studies are needed."""
    rows = [row(n, YES, NO, size=0.1 * n) for n in range(12)]
    found = analysis(rows)
    assert isinstance(found.sensitivity[Trait.SIZE]["small"]["pneumothorax"], TooFew)
    assert isinstance(found.contrasts[Trait.SIZE], TooFew)


def test_groups_count_every_mistake_and_the_page_shows_the_first(rows_of):
    """The numbers add up to those of the list."""
    rows = rows_of(4)
    found, every = analysis(rows), mistakes(rows)
    assert sum(group.n for group in found.groups) == len(every)
    assert found.studies == len({one.study for one in every})
    shown = chosen(every, most=2)
    assert len(shown) == sum(min(2, group.n) for group in found.groups)
    section = mistakes_section(found, {})
    assert len(section.tables[0].rows) == len(found.groups)


def test_a_column_that_states_the_same_everywhere_is_left_out(rows_of):
    """Three devices make a column, one prompt makes none."""
    header = mistakes_section(analysis(rows_of(4)), {}).tables[0].header
    assert "Device" in header
    assert "Prompt" not in header


def test_nothing_wrong_is_nothing_to_show():
    """A perfect model has an empty analysis."""
    rows = [dataclasses.replace(row(1, YES, YES))]
    assert analysis(rows).groups == ()
