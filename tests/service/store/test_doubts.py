"""Comparison of conflicts, and its effect on drafts and their notices."""

from service.jobs import DeliveryState, DraftStatus
from service.store.doubts import differs_in
from tests.service.store.records import STUDY, actions, arrive, claimed, drafted


def compare(store, differs, digest="b"):
    """Record the comparison of each conflict that is due; return the drafts in doubt."""
    due = store.conflicts_to_compare()
    assert [each.digest[0] for each in due] == [digest]
    return [job for each in due for job in store.compared(each, differs)]


def test_a_difference_puts_the_draft_in_doubt_once(store):
    """Job, history, incident and a notice for each destination; recorded by one process only."""
    job = drafted(store, claimed(store), ("A", "B"))
    arrive(store, sha="b")
    (conflict,) = store.conflicts_to_compare()
    assert (conflict.first.digest, conflict.second.digest) == ("a" * 64, "b" * 64)
    (doubted,) = store.compared(conflict, "Patient ID")
    assert doubted.doubt == "A later copy of its image differs in Patient ID."
    assert store.compared(conflict, "Patient ID") == []
    assert actions(store, job)[-1] == "draft_in_doubt"
    assert {each.destination for each in store.notices(job.id)} == {"A", "B"}
    assert store.alarm_counts()[DraftStatus.IN_DOUBT] == 1
    assert store.difference(conflict.sop_instance_uid, "b" * 64) == doubted.doubt
    assert store.conflicts_to_compare() == []


def test_no_difference_changes_nothing(store):
    """The copy counts as compared."""
    job = drafted(store, claimed(store))
    arrive(store, sha="b")
    assert compare(store, "") == []
    assert store.job(job.id).doubt == ""
    assert store.notices(job.id) == []


def test_a_withdrawn_draft_is_not_put_in_doubt(store):
    """The notice of withdrawal replaces it."""
    job = drafted(store, claimed(store))
    store.withdraw(job.id, "Ann", "It errs.")
    arrive(store, sha="b")
    assert compare(store, "Patient ID") == []
    assert store.alarm_counts() == {DraftStatus.WITHDRAWN: 1, DraftStatus.IN_DOUBT: 0}


def test_a_job_without_files_has_no_notices(store):
    """Retention removed the draft that a notice would copy from."""
    job = drafted(store, claimed(store))
    store.removed(job.id, "Old.")
    arrive(store, sha="b")
    (doubted,) = compare(store, "Patient ID")
    assert doubted.doubt
    assert store.notices(job.id) == []


def test_conflicts_are_returned_in_pieces(store):
    """After a number, at most so many."""
    claimed(store)
    for sha in "bcd":
        arrive(store, sha=sha)
    first, second = store.conflicts_to_compare(limit=2)
    (third,) = store.conflicts_to_compare(after=second.id)
    assert [each.digest[0] for each in (first, second, third)] == ["b", "c", "d"]
    assert first.study_instance_uid == STUDY


def test_a_second_copy_makes_a_second_notice(store):
    """One for each copy and destination."""
    job = drafted(store, claimed(store), ("A",))
    for sha in "bc":
        arrive(store, sha=sha)
        compare(store, "Patient ID", sha)
    notices = store.notices(job.id)
    assert [each.notice[0] for each in notices] == ["b", "c"]
    assert {each.state for each in notices} == {DeliveryState.PENDING}


def test_the_sentence_without_names():
    """The differences of a copy are not known."""
    assert differs_in("") == "A later copy of its image differs."
