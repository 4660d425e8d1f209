"""The flow of an evaluation from received to scored: no study is lost without a reason."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.assessment.study_rows import Outcome, StudyRow
from service.evaluation.report import FlowStep

EMPTY_TEXT = "EMPTY_TEXT"
# Outcomes that end at each step; the next step has the others.
_STEPS = (
    ("received", ()),
    ("readable", (Outcome.UNREADABLE,)),
    ("eligible", (Outcome.REFUSED,)),
    ("read", (Outcome.FAILED, Outcome.NOT_READ)),
    ("with truth, scored", (Outcome.NO_TRUTH,)),
)


def flow(rows: Sequence[StudyRow]) -> tuple[FlowStep, ...]:
    """Return the steps, each with the studies that left and why."""
    remaining = list(rows)
    steps = []
    for name, outcomes in _STEPS:
        left = Counter(
            row.reason or row.outcome.value for row in remaining if row.outcome in outcomes
        )
        if Outcome.NO_TRUTH in outcomes:
            left = Counter({"no truth": left.total()} if left else {})
        remaining = [row for row in remaining if row.outcome not in outcomes]
        steps.append(FlowStep(name, len(remaining), tuple(sorted(left.items()))))
    return tuple(steps)


def flow_as_text(steps: Sequence[FlowStep], sentences: Mapping[str, str]) -> tuple[FlowStep, ...]:
    """Return the steps with a sentence for each code that has one."""
    return tuple(
        replace(step, left=tuple((sentences.get(code, code), count) for code, count in step.left))
        for step in steps
    )


def empty_drafts(rows: Sequence[StudyRow]) -> int:
    """Return how many studies were read and have an empty draft; they are scored, as negative."""
    return sum(row.word_count == 0 for row in rows)
