"""Decisions in the database: one for each request, one at a time, undone or amended."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text

from service.audit import AuditAction, AuditEvent
from service.errors import InvalidReview, NotFound
from service.jobs import DeliveryState, Event
from service.review.conflicts import (
    AlreadyDecided,
    CannotDecide,
    CannotUndo,
    KeyReused,
    ReviewConflict,
    VersionConflict,
)
from service.review.decision import UNDO_SECONDS
from service.review.words import Obstacle


@pytest.fixture
def job(store, reviewing):
    """A drafted job with one destination."""
    return reviewing.drafted(store)


def decide(store, job, request, reviewer, key="k1", digest="d1"):
    """Record a decision."""
    audit = AuditEvent(action=AuditAction.DECIDED, actor=reviewer.display_name)
    return store.decide(job.id, request, reviewer, key=key, digest=digest, audit=audit)


def due(store):
    """Return the deliveries of verified reports of a job: decision and state."""
    with store._reading() as session:
        rows = session.execute(
            text("SELECT notice, state FROM deliveries WHERE notice LIKE 'verified-%' ORDER BY id")
        ).all()
    return [(notice.removeprefix("verified-"), state) for notice, state in rows]


def test_a_decision_is_kept_with_both_texts_and_what_was_changed(store, job, reviewing):
    """Person, time, verdict, distance, opcodes, seconds, model and draft."""
    made = decide(store, job, reviewing.edit(), reviewing.roentgen)
    found = store.decision(made.id)
    assert found == made
    assert found.reviewer == reviewing.roentgen
    assert (found.at, found.number) == (store.now(), 1)
    assert found.draft_findings[0] == reviewing.heart
    assert found.findings_text[0] == "The heart is not enlarged."
    assert (found.edits.distance, found.edits.kept, found.edits.sentences) == (1, 4, 5)
    assert found.edits.opcodes[0]["edit"] == "replace"
    assert found.request.seconds.total == 12.5
    assert found.positive == ("cardiomegaly", "pleural effusion", "pneumothorax")
    assert (found.device, found.model_name, found.model_version) == ("CR1", "Tiny", "1")
    assert found.draft_uid == store.predecessor(store.job(job.id)).sop_instance_uid
    event = store.events(job.id)[-1]
    assert (event.action, event.actor) == (Event.DECIDED, "Wilhelm Röntgen")
    assert store.standing_decisions([job.id]) == {job.id: made}


def test_a_repeated_request_makes_one_decision(store, job, reviewing):
    """The second answer is the first decision; another request may not use its key."""
    made = decide(store, job, reviewing.request(), reviewing.roentgen)
    assert decide(store, job, reviewing.request(), reviewing.roentgen) == made
    with pytest.raises(KeyReused):
        decide(store, job, reviewing.edit(), reviewing.roentgen, digest="d2")
    assert len(store.decisions(job_id=job.id)) == 1
    assert len(due(store)) == 1


def test_of_two_persons_who_decide_at_once_one_is_refused(store, job, reviewing):
    """One decision, one report, and a refusal that names the other person."""
    ready, outcomes = threading.Barrier(2), []

    def run(reviewer):
        ready.wait()
        try:
            outcomes.append(decide(store, job, reviewing.request(), reviewer, key=reviewer.id))
        except ReviewConflict as error:
            outcomes.append(error)

    threads = [
        threading.Thread(target=run, args=(each,)) for each in (reviewing.roentgen, reviewing.curie)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    (refused,) = [each for each in outcomes if isinstance(each, AlreadyDecided)]
    (made,) = [each for each in outcomes if each is not refused]
    assert refused.standing == made
    assert str(refused).startswith(f"{made.reviewer.display_name} has accepted this draft at ")
    assert due(store) == [(made.id, "PENDING")]


def test_the_report_is_due_at_every_destination_after_the_time_to_undo(store, reviewing, clock):
    """Not earlier, and not for a rejection."""
    job = reviewing.drafted(store, destinations=("a", "b"))
    made = decide(store, job, reviewing.request(), reviewing.roentgen)
    assert due(store) == [(made.id, "PENDING")] * 2
    while store.claim_delivery(job.id, "w", 60, {}) is not None:
        pass  # the draft's own deliveries, which the report follows
    for each in store.deliveries(job.id):
        store.confirm_delivery(each.id, each.fence)
    clock.move(UNDO_SECONDS - 1)
    assert store.claim_delivery(job.id, "w", 600, {}) is None
    clock.move(1)
    claimed = [store.claim_delivery(job.id, "w", 600, {})[0] for _ in "ab"]
    assert {each.destination for each in claimed} == {"a", "b"}
    assert {each.decision_id for each in claimed} == {made.id}
    assert [each.state for each in store.deliveries(job.id)] == [DeliveryState.CONFIRMED] * 2
    assert store.notices(job.id) == []


def test_a_rejection_makes_no_report(store, job, reviewing):
    """It is kept with its reason."""
    made = decide(store, job, reviewing.rejection(), reviewing.roentgen)
    assert due(store) == []
    assert store.decision(made.id).request.rejection == "wrong side"


def test_a_decision_is_undone_by_its_author_within_a_minute(store, job, reviewing, clock):
    """Nothing is sent, and another person may decide."""
    made = decide(store, job, reviewing.request(), reviewing.roentgen)
    clock.move(UNDO_SECONDS - 1)
    with pytest.raises(CannotUndo, match="Wilhelm Röntgen"):
        store.undo(made.id, reviewing.curie, reviewing.audit)
    undone = store.undo(made.id, reviewing.roentgen, reviewing.audit)
    assert undone.undone_at == store.now()
    assert store.undo(made.id, reviewing.roentgen, reviewing.audit) == undone
    assert due(store) == [(made.id, "CANCELED")]
    assert store.standing_decisions([job.id]) == {}
    other = decide(store, job, reviewing.rejection(), reviewing.curie)
    assert [each.number for each in store.decisions(job_id=job.id)] == [2, 1]
    assert store.standing_decisions([job.id]) == {job.id: other}


def test_a_late_undo_of_a_rejection_is_refused_without_advice_to_amend(
    store, job, reviewing, clock
):
    """A rejection has no report that could be amended."""
    made = decide(store, job, reviewing.rejection(), reviewing.roentgen)
    clock.move(UNDO_SECONDS)
    with pytest.raises(CannotUndo, match="over: the rejection stands, and no report is sent"):
        store.undo(made.id, reviewing.roentgen, reviewing.audit)


def test_it_cannot_be_undone_when_it_may_have_been_sent(store, job, reviewing, clock):
    """After the minute, and after a worker has claimed the report, at any time of the clock."""
    made = decide(store, job, reviewing.request(), reviewing.roentgen)
    clock.move(UNDO_SECONDS)
    with pytest.raises(CannotUndo, match="time to undo is over"):
        store.undo(made.id, reviewing.roentgen, reviewing.audit)
    delivery, _ = store.claim_delivery(job.id, "w", 600, {})
    store.confirm_delivery(delivery.id, delivery.fence)
    assert store.claim_delivery(job.id, "w", 600, {})[0].decision_id == made.id
    clock.move(-UNDO_SECONDS)
    with pytest.raises(CannotUndo, match="time to undo is over"):
        store.undo(made.id, reviewing.roentgen, reviewing.audit)
    assert due(store) == [(made.id, "SENDING")]


def test_a_report_that_has_been_sent_is_amended(store, job, reviewing, clock):
    """By a decision that names the one in force; a rejection can no longer replace it."""
    first = decide(store, job, reviewing.request(), reviewing.roentgen)
    amendment = reviewing.edit(amends=first.id)
    with pytest.raises(AlreadyDecided, match="can be undone by its author"):
        decide(store, job, amendment, reviewing.curie, key="k2")
    clock.move(UNDO_SECONDS)
    with pytest.raises(AlreadyDecided, match="amend that decision"):
        decide(store, job, reviewing.edit(), reviewing.curie, key="k2")
    with pytest.raises(AlreadyDecided, match="amend the report instead"):
        decide(store, job, reviewing.rejection(amends=first.id), reviewing.curie, key="k2")
    second = decide(store, job, amendment, reviewing.curie, key="k2")
    assert store.standing_decisions([job.id]) == {job.id: second}
    assert [name for name, _ in due(store)] == [first.id, second.id]
    with pytest.raises(AlreadyDecided):
        decide(store, job, amendment, reviewing.roentgen, key="k3")


def test_a_rejection_may_be_amended_to_a_report(store, job, reviewing, clock):
    """The person or a colleague changes the decision."""
    first = decide(store, job, reviewing.rejection(), reviewing.roentgen)
    clock.move(UNDO_SECONDS)
    second = decide(store, job, reviewing.edit(amends=first.id), reviewing.curie)
    assert [name for name, _ in due(store)] == [second.id]


def test_an_amendment_of_an_undone_decision_is_refused(store, job, reviewing):
    """There is no report that it could amend."""
    first = decide(store, job, reviewing.request(), reviewing.roentgen)
    store.undo(first.id, reviewing.roentgen, reviewing.audit)
    with pytest.raises(AlreadyDecided, match="no longer stands"):
        decide(store, job, reviewing.edit(amends=first.id), reviewing.curie)


def test_a_withdrawn_draft_cannot_be_accepted_but_rejected(store, job, reviewing):
    """The refusal states the reason."""
    store.withdraw(job.id, "admin", "Bad weights.")
    with pytest.raises(CannotDecide, match=r"was withdrawn .* Bad weights") as refused:
        decide(store, job, reviewing.request(), reviewing.roentgen)
    assert refused.value.obstacle is Obstacle.WITHDRAWN
    decide(store, job, reviewing.rejection(), reviewing.roentgen)


def test_a_superseded_draft_cannot_be_accepted(store, job, reviewing):
    """The newer one can."""
    newer = reviewing.drafted(store, number=2)
    with pytest.raises(CannotDecide) as refused:
        decide(store, job, reviewing.request(), reviewing.roentgen)
    assert refused.value.obstacle is Obstacle.SUPERSEDED
    decide(store, newer, reviewing.request(), reviewing.roentgen)


def test_a_draft_whose_image_came_again_with_other_content_cannot_be_accepted(
    store, job, reviewing
):
    """Not before the two are compared, nor if they differ; if they do not, it can."""
    image = replace(store.study("1.2.3").instances[0], digest="f" * 64)
    store.add_instance(image, calling_ae="CR1", association_id="b", eligible=True)
    with pytest.raises(CannotDecide) as refused:
        decide(store, job, reviewing.request(), reviewing.roentgen)
    assert refused.value.obstacle is Obstacle.NOT_COMPARED
    (conflict,) = store.conflicts_to_compare()
    store.compared(conflict, "Patient ID")
    with pytest.raises(CannotDecide, match="differs in Patient ID") as refused:
        decide(store, job, reviewing.edit(), reviewing.roentgen)
    assert refused.value.obstacle is Obstacle.IN_DOUBT
    decide(store, job, reviewing.rejection(), reviewing.roentgen)


def test_a_harmless_copy_does_not_prevent_a_decision(store, job, reviewing):
    """It was compared and has no relevant difference."""
    image = replace(store.study("1.2.3").instances[0], digest="f" * 64)
    store.add_instance(image, calling_ae="CR1", association_id="b", eligible=True)
    store.compared(store.conflicts_to_compare()[0], "")
    decide(store, job, reviewing.request(), reviewing.roentgen)
    assert len(due(store)) == 1


def test_a_draft_whose_files_were_removed_cannot_be_accepted(store, job, reviewing):
    """The report could not be built."""
    store.removed(job.id, "Old.")
    with pytest.raises(CannotDecide) as refused:
        decide(store, job, reviewing.request(), reviewing.roentgen)
    assert refused.value.obstacle is Obstacle.REMOVED


def test_an_incomplete_decision_is_refused_and_nothing_is_kept(store, job, reviewing):
    """The rules of `service.review.decision` hold here too."""
    with pytest.raises(InvalidReview, match="must be answered"):
        decide(store, job, reviewing.request(answers={}), reviewing.roentgen)
    assert store.decisions() == []


def test_a_decision_on_another_text_than_the_stored_one_is_refused(store, job, reviewing):
    """Another editor stored a text meanwhile: the refusal has that text."""
    stored = store.save_review(job.id, reviewing.content(texts={"f1": "x"}), 0, reviewing.curie)
    with pytest.raises(VersionConflict, match="Marie Curie stored another text") as refused:
        decide(store, job, reviewing.request(), reviewing.roentgen)
    assert refused.value.current == stored
    decide(store, job, reviewing.request(base_version=1), reviewing.roentgen)


def test_a_text_is_stored_if_no_other_was_stored(store, job, reviewing, clock):
    """The version counts up; an outdated one gets the other text, which stays."""
    assert store.review(job.id) is None
    first = store.save_review(job.id, reviewing.content(), 0, reviewing.roentgen)
    assert (first.version, first.reviewer.display_name) == (1, "Wilhelm Röntgen")
    clock.move(5)
    second = store.save_review(
        job.id, reviewing.content(texts={"f1": "Mine."}), 1, reviewing.roentgen
    )
    assert (second.version, second.at) == (2, store.now())
    with pytest.raises(VersionConflict) as refused:
        store.save_review(job.id, reviewing.content(texts={"f1": "Other."}), 1, reviewing.curie)
    assert refused.value.current == second == store.review(job.id)


def test_who_has_a_draft_open_is_known_for_a_while(store, job, reviewing, clock):
    """Until the page stops reporting, or reports that it is closed."""
    store.note_open(job.id, reviewing.roentgen)
    clock.move(60)
    assert [each.name for each in store.note_open(job.id, reviewing.curie)] == [
        "Marie Curie",
        "Wilhelm Röntgen",
    ]
    clock.move(40)
    assert [each.name for each in store.open_reviews([job.id])[job.id]] == ["Marie Curie"]
    store.forget_opens()
    store.note_closed(job.id, reviewing.curie.id)
    assert store.open_reviews([job.id]) == {}


def test_decisions_are_listed_page_by_page(store, reviewing, clock):
    """The latest first, of a person, in a period."""
    made = []
    for number in range(1, 6):
        job = reviewing.drafted(store, study=f"1.2.{number}")
        reviewer = reviewing.roentgen if number % 2 else reviewing.curie
        made.append(decide(store, job, reviewing.request(), reviewer, key=f"k{number}").id)
        clock.move(10)
    seen, before = [], None
    while page := store.decisions(limit=2, before=before):
        seen += [each.id for each in page]
        before = page[-1].id
    assert seen == made[::-1]
    hers = [each.id for each in store.decisions(reviewer_id=reviewing.curie.id)]
    assert hers == [made[3], made[1]]
    since = store.decision(made[3]).at
    assert [each.id for each in store.decisions(since=since)] == [made[4], made[3]]
    assert [each.id for each in store.decisions(until=since)] == made[2::-1]


def test_what_is_not_there_is_not_found(store, reviewing):
    """Job and decision."""
    with pytest.raises(NotFound):
        store.decide(
            "0" * 32,
            reviewing.request(),
            reviewing.curie,
            key="k",
            digest="d",
            audit=reviewing.audit,
        )
    with pytest.raises(NotFound):
        store.undo("0" * 32, reviewing.curie, reviewing.audit)
    with pytest.raises(NotFound):
        store.decision("0" * 32)


def test_facts_are_of_the_decisions_that_stand(store, reviewing, clock):
    """Undone and amended ones do not count; a period and a person can be chosen."""
    first = reviewing.drafted(store, study="1.2.1")
    earlier = decide(store, first, reviewing.request(), reviewing.roentgen)
    clock.move(UNDO_SECONDS)
    decide(store, first, reviewing.edit(amends=earlier.id), reviewing.curie)
    second = reviewing.drafted(store, study="1.2.2")
    undone = decide(store, second, reviewing.request(), reviewing.curie, key="k2")
    store.undo(undone.id, reviewing.curie, reviewing.audit)
    assert [each.verdict for each in store.decision_facts()] == ["edit"]
    clock.move(10)
    begun = store.now()
    decide(store, second, reviewing.rejection(), reviewing.roentgen, key="k3")
    assert [each.reader for each in store.decision_facts()] == ["Marie Curie", "Wilhelm Röntgen"]
    assert [each.verdict for each in store.decision_facts(since=begun)] == ["reject"]
    assert [each.verdict for each in store.decision_facts(until=begun)] == ["edit"]
    hers = store.decision_facts(reviewer_id=reviewing.curie.id)
    assert [each.verdicts["pneumothorax"] for each in hers] == ["agree"]
    assert hers[0].positive == ("cardiomegaly", "pleural effusion", "pneumothorax")
