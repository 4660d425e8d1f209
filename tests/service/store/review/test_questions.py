"""Questions in the database: asked once, claimed once, answered once, removed with the images."""

from dataclasses import replace
from datetime import timedelta

import pytest

from service.audit import AuditAction, AuditEvent
from service.errors import LeaseLost, NotFound
from service.review.conflicts import CannotAsk, KeyReused, TooManyQuestions
from service.review.decision import Reviewer
from service.review.questions import (
    NewQuestion,
    QuestionAnswer,
    QuestionFault,
    QuestionKind,
    QuestionState,
)

ROENTGEN = Reviewer(id="u1", name="Röntgen^Wilhelm", organization="Klinikum")
CURIE = Reviewer(id="u2", name="Curie^Marie", organization="Klinikum")
ANSWER = QuestionAnswer(
    text="No.",
    model="Tiny",
    version="1",
    weights_sha256="0" * 64,
    prompt_sha256="1" * 64,
    earlier=0,
)


@pytest.fixture
def job(store, reviewing):
    """A drafted job."""
    return reviewing.drafted(store)


@pytest.fixture
def ask(store, job, clock):
    """A function that asks; a moment passes each time."""

    def new(text="Is there an effusion?", person=ROENTGEN, key=None, most=60, about=job):
        clock.move(1)
        asked = NewQuestion(
            job_id=about.id,
            kind=QuestionKind.QUESTION,
            text=text,
            person=person,
            key=key or f"key of {text}",
        )
        return store.ask(asked, about, most)

    return new


def claim(store, question, owner="reading@a", seconds=15):
    """Return the question in the form that a worker claims, or None."""
    return store.claim_question(question.id, owner, seconds, model=question.model_name)


def test_a_repeated_request_asks_once(store, ask):
    """The same key finds the first question; another text with it is refused."""
    first, is_new = ask()
    again, is_new_again = ask()
    assert (is_new, is_new_again, again.id) == (True, False, first.id)
    with pytest.raises(KeyReused):
        ask("Another?", key="key of Is there an effusion?")
    assert [each.id for each in store.questions(first.study_instance_uid)] == [first.id]


def test_a_person_has_one_open_question_and_a_limit_an_hour(store, ask, clock):
    """Another person may ask meanwhile; the limit says when the next question is taken."""
    first, _ = ask(most=2)
    with pytest.raises(CannotAsk, match="not answered yet"):
        ask("Second?", most=2)
    hers, _ = ask("Hers?", CURIE, most=2)
    assert store.questions_ahead(hers) == 1
    store.cancel_question(first.id, ROENTGEN.id)
    second, _ = ask("Second?", most=2)
    store.cancel_question(second.id, ROENTGEN.id)
    with pytest.raises(TooManyQuestions, match="2 questions within an hour") as refused:
        ask("Third?", most=2)
    clock.move(refused.value.retry_after + 1)
    assert ask("Third?", most=2)[1]


def test_a_question_is_answered_once(store, ask):
    """A second claim finds nothing; an answer of a claim that was lost is not written."""
    question, _ = ask()
    assert store.claim_question(question.id, "other", 15, model="another model") is None
    held = claim(store, question)
    assert claim(store, question, "reading@b") is None
    store.answer_question(held, ANSWER)
    with pytest.raises(LeaseLost):
        store.answer_question(held, replace(ANSWER, text="Yes."))
    found = store.question(question.id)
    assert (found.state, found.answer, found.person) == (
        QuestionState.ANSWERED, ANSWER, "Wilhelm Röntgen",
    )  # fmt: skip


def test_a_silent_worker_loses_the_question_and_the_next_one_answers_it(store, ask, clock):
    """Once more; if that worker is lost too, the question has no answer and a reason."""
    question, _ = ask()
    first = claim(store, question)
    clock.move(10)
    assert store.take_back_questions() == 0
    store.extend_question(first, 15)
    clock.move(16)
    assert store.take_back_questions() == 1
    assert [each.id for each in store.due_questions(clock())] == [question.id]
    with pytest.raises(LeaseLost):
        store.extend_question(first, 15)
    claim(store, question, "reading@b")
    clock.move(16)
    assert store.take_back_questions() == 1
    found = store.question(question.id)
    assert (found.state, found.fault) == (QuestionState.FAILED, QuestionFault.WORKER_LOST)
    assert found.reason.startswith("The worker was lost twice")


def test_a_stopping_worker_hands_its_questions_back(store, ask):
    """The attempt does not count."""
    question, _ = ask()
    held = claim(store, question)
    store.hand_back_questions("reading@a")
    found = store.question(question.id)
    assert (found.state, found.attempts) == (QuestionState.WAITING, 0)
    with pytest.raises(LeaseLost):
        store.fail_question(held, QuestionFault.EMPTY)


def test_a_question_that_no_worker_takes_ends(store, ask, clock):
    """It is not answered hours later, when the person has left."""
    question, _ = ask()
    assert store.end_unanswered(clock() - timedelta(minutes=10)) == 0
    clock.move(601)
    assert store.end_unanswered(clock() - timedelta(minutes=10)) == 1
    assert store.question(question.id).fault is QuestionFault.NO_WORKER
    assert not store.has_open_questions()


def test_only_the_person_who_asked_cancels(store, ask):
    """A claimed question too: its worker then writes nothing. An answered one stays."""
    question, _ = ask()
    with pytest.raises(NotFound):
        store.cancel_question(question.id, CURIE.id)
    held = claim(store, question)
    assert store.cancel_question(question.id, ROENTGEN.id).state is QuestionState.CANCELED
    with pytest.raises(LeaseLost):
        store.answer_question(held, ANSWER)
    second, _ = ask("Second?")
    store.answer_question(claim(store, second), ANSWER)
    assert store.cancel_question(second.id, ROENTGEN.id).answer == ANSWER


def test_earlier_answers_are_those_of_the_same_person_about_the_same_image(store, ask, reviewing):
    """The latest ones, in order; not those of others, nor of another study."""
    other = reviewing.drafted(store, study="9.8.7")
    for number in range(3):
        question, _ = ask(f"Mine {number}?")
        store.answer_question(claim(store, question), ANSWER)
    for text, person, about in (("Hers?", CURIE, None), ("Elsewhere?", ROENTGEN, other)):
        given = {} if about is None else {"about": about}
        question, _ = ask(text, person, **given)
        store.answer_question(claim(store, question), ANSWER)
    last, _ = ask("Last?")
    assert [each.text for each in store.earlier_answers(last, 2)] == ["Mine 1?", "Mine 2?"]


def test_questions_are_removed_with_the_images(store, ask, reviewing):
    """Not before the last image of the study is gone; those of other studies stay."""
    question, _ = ask()
    other, _ = ask("Elsewhere?", about=reviewing.drafted(store, study="9.8.7"))
    store.remove_questions(question.study_instance_uid)
    assert store.questions(question.study_instance_uid)
    for each in store.spooled(question.study_instance_uid):
        store.mark_instance_removed(each)
    store.remove_questions(question.study_instance_uid)
    assert store.questions(question.study_instance_uid) == []
    assert store.question(other.id).is_open


def test_the_version_of_the_live_pages_changes_with_each_step(store, ask, clock):
    """Asked, answered: each is sent to the open pages."""
    versions = [store.version()]
    question, _ = ask()
    versions.append(store.version())
    held = claim(store, question)
    clock.move(1)
    store.answer_question(held, ANSWER)
    versions.append(store.version())
    assert len(set(versions)) == 3


def test_a_stop_of_drafting_ends_and_refuses_questions(store, ask):
    """One that is being answered loses its claim; after the start a person may ask again."""
    first, _ = ask()
    claimed = claim(store, first)
    event = AuditEvent(action=AuditAction.STOPPED_DRAFTING, actor="kim (web page)")
    store.stop_drafting("wrong side", event)
    ended = store.question(first.id)
    assert (ended.state, ended.fault) == (QuestionState.FAILED, QuestionFault.STOPPED)
    with pytest.raises(LeaseLost):
        store.answer_question(claimed, ANSWER)
    with pytest.raises(CannotAsk, match="stopped drafting"):
        ask("Another?")
    store.start_drafting(replace(event, action=AuditAction.STARTED_DRAFTING))
    second, is_new = ask("Another?")
    assert is_new
    assert claim(store, second) is not None
