"""Reader studies in the database: each entry once, also for simultaneous requests."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from service.accounts import Role
from service.audit import AuditAction, AuditEvent
from service.errors import NotFound
from service.reader_study.errors import ReaderStudyConflict
from service.reader_study.ratings import RatingEntry
from service.reader_study.study import CaseText, NewReaderStudy, StudyCase
from service.reader_study.words import Arm, Author, Rating, Stage

HASH = "no login"
ROOT = Path(__file__).resolve().parents[4]
KILLED = """
import os, signal, sys
from service.reader_study.ratings import RatingEntry
from service.store import Store
url, *where = sys.argv[1:]
body = {"rating": "C", "image_seconds": 1, "text_seconds": 1}
assert Store(url).rate(*where, RatingEntry.from_json(body, length=20))
os.kill(os.getpid(), signal.SIGKILL)
"""


def entry(grade, seconds=1.0):
    """Return a rating."""
    return RatingEntry(
        rating=Rating(grade), errors=(), edited=None, image_seconds=seconds, text_seconds=1.0
    )


@pytest.fixture
def study(store):
    """The id of a study of two cases, and of its reader."""
    kim = store.add_person(
        "kim", roles=frozenset({Role.RADIOLOGIST}), password_hash=HASH, actor="test"
    ).person
    cases = tuple(
        StudyCase(
            label=f"case {number}",
            study_uid=f"1.2.{number}",
            sop_instance_uid=f"1.3.{number}",
            texts=tuple(
                CaseText(arm=arm, source="list", text=f"Case {number} {arm}.") for arm in Arm
            ),
        )
        for number in (1, 2)
    )
    new = NewReaderStudy(
        name="one", seed=1, margin=0.1, repeat_share=0.1, readers=(kim,), cases=cases
    )
    audit = AuditEvent(action=AuditAction.CREATED_READER_STUDY, actor="test")
    return store.create_reader_study(new, "test", audit), kim.id


def test_of_requests_at_the_same_time_one_is_recorded(store, study):
    """Eight equal ones: one is new, all succeed; eight different ones: one counts, seven conflict."""
    item = store.current_item(*study)
    assert item.stage is None
    store.show_text(*study, item.id)
    begin = threading.Barrier(8)

    def send(number):
        begin.wait()
        return store.rate(*study, item.id, entry("A", float(number)))

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(send, range(8))) == [False] * 7 + [True]
    assert store.current_item(*study).stage is Stage.RATED

    def guess(number):
        begin.wait()
        try:
            return store.guess_author(*study, item.id, list(Author)[number % 3])
        except ReaderStudyConflict:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(8)))
    assert answers.count(True) == 1
    assert answers.count("refused") >= 5
    assert store.current_item(*study).position == 2


def test_a_rating_of_a_process_that_was_killed_counts_once(database_url, store, study):
    """SIGKILL right after the commit; the page sends the rating again, and then continues."""
    item = store.current_item(*study)
    store.show_text(*study, item.id)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, database_url, *study, item.id],
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == -signal.SIGKILL
    assert store.current_item(*study).stage is Stage.RATED
    assert store.rate(*study, item.id, entry("C", 9.0)) is False
    with pytest.raises(ReaderStudyConflict, match="already rated"):
        store.rate(*study, item.id, entry("A"))
    assert store.guess_author(*study, item.id, Author.UNSURE) is True


def test_a_study_is_closed_once_and_then_holds_what_was_recorded(store, study):
    """Results before and entries after are refused; unknown ids are not found."""
    item = store.current_item(*study)
    store.show_text(*study, item.id)
    store.rate(*study, item.id, entry("B"))
    with pytest.raises(ReaderStudyConflict, match="open"):
        store.reader_study_results(study[0])
    store.close_reader_study(study[0], "ann", None)
    with pytest.raises(ReaderStudyConflict, match="closed"):
        store.guess_author(*study, item.id, Author.SOFTWARE)
    with pytest.raises(ReaderStudyConflict, match="closed already"):
        store.close_reader_study(study[0], "ann", None)
    assert store.current_item(*study) is None
    results = store.reader_study_results(study[0])
    assert len(results) == 5
    assert [each.rating is not None for each in results] == [True, False, False, False, False]
    assert results[0].text == f"{results[0].case_label.capitalize()} {results[0].arm}."
    (progress,) = store.reader_study(study[0]).readers
    assert (progress.items, progress.done, progress.login) == (5, 0, "kim")
    for call in (store.reader_study, store.reader_study_results):
        with pytest.raises(NotFound):
            call("0" * 32)


def test_the_texts_of_a_removed_study_become_illegible(store, study):
    """Retention: also what a reader edited; class, marked places and other studies stay."""
    study_id, person = study
    item = store.current_item(study_id, person)
    other = next(f"1.2.{number}" for number in (1, 2) if item.study_uid != f"1.2.{number}")
    shown = store.show_text(study_id, person, item.id)
    edited = replace(entry("C"), edited="Mr. Smith:\nno edema.")
    store.rate(study_id, person, item.id, edited)
    store.close_reader_study(study_id, "test", None)
    store.forget_reader_study_texts(item.study_uid)
    found = store.reader_study_results(study_id)
    [rated] = [each for each in found if each.rating is not None]
    assert (rated.rating.rating, rated.rating.edited) == (Rating.C, "xxx xxxxxx\nxx xxxxxx")
    assert (len(rated.text), set(rated.text)) == (len(shown), {"x", " "})
    assert all("Case" in each.text for each in found if each.study_uid == other)
