"""A person's own decisions: what was agreed with, and where person and draft differed."""

from collections import Counter
from datetime import timedelta
from typing import Any, Final

from service.accounts import Person
from service.evaluation.edits import Edit
from service.review.decision import Decision
from service.review.words import ACCEPTABILITY_TEXT, Answer, Verdict
from service.store import Store
from service.web.review.patients import Patient, patient_of

_DAYS: Final = 30
_MOST: Final = 1000
_MOST_SHOWN: Final = 50


def mine_values(store: Store, person: Person) -> dict[str, Any]:
    """Return what the template shows: decisions of the last 30 days, undone ones left out."""
    since = store.now() - timedelta(days=_DAYS)
    made = store.decisions(reviewer_id=person.id, since=since, limit=_MOST)
    standing = [each for each in made if each.undone_at is None]
    shown = [each for each in standing if differs(each)][:_MOST_SHOWN]
    notices = store.author_notices(person.id, unseen=True, limit=20)
    return {
        "days": _DAYS,
        "total": len(standing),
        "verdicts": _verdicts(standing),
        "steps": _steps(standing),
        "kept": sum(each.edits.kept for each in standing),
        "sentences": sum(each.edits.sentences for each in standing),
        "answers": Counter(
            answer.value
            for each in standing
            for answer in (sentence.answer for sentence in each.request.content.sentences)
            if answer is not Answer.NONE
        ),
        "disagreements": [(each, _patient(store, each), _changes(each)) for each in shown],
        "latest": [(each, _patient(store, each)) for each in standing[:_MOST_SHOWN]],
        "notices": notices,
    }


def differs(decision: Decision) -> bool:
    """Return whether the person differed from the draft in text, in an answer or in a finding."""
    content = decision.request.content
    answers = {each.answer for each in content.sentences}
    return (
        decision.request.verdict is Verdict.REJECT
        or decision.edits.distance > 0
        or Answer.DISAGREE in answers
        or any(each.verdict.value != Answer.AGREE.value for each in content.findings)
    )


def _verdicts(decisions: list[Decision]) -> list[tuple[str, int]]:
    count = Counter(each.request.verdict for each in decisions)
    names = {
        Verdict.ACCEPT: "accepted unchanged",
        Verdict.EDIT: "edited and accepted",
        Verdict.REJECT: "rejected",
    }
    return [(word, count[verdict]) for verdict, word in names.items()]


def _steps(decisions: list[Decision]) -> list[tuple[int, str, int]]:
    count = Counter(each.request.acceptability for each in decisions)
    return [(step.value, text, count[step]) for step, text in ACCEPTABILITY_TEXT.items()]


def _changes(decision: Decision) -> list[dict[str, Any]]:
    """Return the edited sentences as runs of words, and the draft's sentences disagreed with."""
    changes = [each for each in decision.edits.opcodes if each["edit"] != Edit.EQUAL.value]
    texts = {each["before"] for each in changes}
    refused = [
        {"edit": Answer.DISAGREE.value, "before": each.text, "after": ""}
        for each in decision.request.content.sentences
        if each.answer is Answer.DISAGREE and each.text and each.text not in texts
    ]
    return [*changes, *refused]


def _patient(store: Store, decision: Decision) -> Patient:
    return patient_of(store, decision.study_instance_uid)
