"""A radiologist at the pages, in headless Chromium: edits, places of sentences, single keys.

What needs several people, a login or the archive is in `tests/end_to_end/playwright`.
"""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dicom.content.report import Observation, Region
from service.database.review_tables import DecisionRow
from service.database.tables import DeliveryRow
from service.jobs import VERIFIED, DeliveryState
from service.review.words import ReportState, Verdict

pytestmark = [pytest.mark.browser, pytest.mark.serial]

ENTER, ESCAPE, CONTROL = "\ue007", "\ue00c", "\ue009"
SHOWN = "return document.getElementById('missing')?.textContent !== 'The image is not shown yet.'"
FIRST = '.sentence[data-id="f1"]'


@pytest.fixture
def seeder(reading_site, seeder_of):
    """The object that fills the site's store."""
    return seeder_of(reading_site)


@pytest.fixture
def until(eventually):
    """A function that waits until a script returns something true in a person's page."""

    def wait(who, script, what, seconds=15):
        eventually(lambda: who.run(script), seconds=seconds, what=what)

    return wait


def saved(text):
    """Return the script that returns whether the page reports the text as stored."""
    return f"return document.getElementById('saved')?.textContent === {text!r}"


def edit_first(who, text):
    """Reveal the draft and write at the end of the first sentence, by keys."""
    who.press(" ", "e")
    who.press(*text)


# What the page has fetched, by path without its beginning.
FETCHED = """return performance.getEntriesByType("resource").map(({ name, startTime, responseEnd }) =>
  ({ name: new URL(name).pathname, begun: startTime, ended: responseEnd }))"""


def test_the_study_page_fetches_side_by_side_what_its_first_picture_needs(seeder, person, until):
    """Scripts, description and quarter level wait for no other script, and each is fetched once."""
    job = seeder.drafted(1)
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    fetched = who.run(FETCHED)
    names = [each["name"] for each in fetched]
    needed = [each for each in names if each.endswith((".js", "/voi.json", "/levels/2"))]
    assert sorted(set(needed)) == sorted(needed)
    assert {each.rpartition("/")[2] for each in needed} >= {"viewer-view.js", "voi.json", "2"}
    first_script = min(each["ended"] for each in fetched if each["name"].endswith("/draft.js"))
    late = [each["name"] for each in fetched if each["begun"] > first_script]
    assert [each for each in late if each in needed] == []


def test_no_picture_for_browsers_without_scripts_is_fetched(seeder, person, until):
    """The service would draw it at full size: neither for the first study nor for the next one."""
    jobs = [seeder.drafted(1), seeder.drafted(2)]
    who = person(then=f"/read/{jobs[0].id}")
    until(who, SHOWN, "the image")
    other = who.run("return document.getElementById('study').dataset.after")
    who.press("j" if other else "k")
    until(who, f"return !location.pathname.endsWith({jobs[0].id!r})", "the other study")
    until(who, SHOWN, "the image of the other study")
    assert [each for each in who.run(FETCHED) if "film.png" in each["name"]] == []


def test_an_edited_sentence_is_stored_and_accepted_with_ctrl_enter(
    reading_site, seeder, person, until
):
    """The page shows the draft's text; the decision is an edit with the person's text."""
    job = seeder.drafted(1)
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    edit_first(who, " Mildly.")
    until(who, saved("Stored"), "the autosave")
    stored = reading_site.store.review(job.id)
    assert stored.content.sentences[0].text == "The cardiac silhouette is enlarged. Mildly."
    who.press(ESCAPE)
    assert who.text(f"{FIRST} .text") == "The cardiac silhouette is enlarged. Mildly."
    assert "The cardiac silhouette is enlarged." in who.text(f"{FIRST} .drafted")
    assert who.text("#missing") == "4 sentences need your answer."
    who.press(" ", "y", "y", "y", "y")
    until(who, "return document.getElementById('missing').textContent === ''", "all answered")
    assert who.text("#accept-label") == "Accept the edited report"
    who.run(f"document.querySelector('{FIRST} .sentence-text').focus()")
    who.press("e")
    who.press(ENTER, held=CONTROL)
    until(who, "return document.getElementById('accept-dialog').open", "the four steps")
    who.press("2")
    until(who, "return location.pathname === '/read'", "the worklist")
    (made,) = reading_site.store.decisions(job_id=job.id)
    assert (made.request.verdict, made.edits.distance) == (Verdict.EDIT, 1)
    assert made.findings_text[0] == "The cardiac silhouette is enlarged. Mildly."
    assert who.faults() == []


def test_a_sentence_shows_its_place_and_a_place_its_sentence(reading_site, seeder, person, until):
    """By keyboard focus, both ways; no region is drawn before."""
    job = seeder.reading(1)
    draft = seeder.draft_of(job)
    square = ((10.0, 10.0), (40.0, 10.0), (40.0, 40.0), (10.0, 40.0), (10.0, 10.0))
    found = tuple(
        replace(each, sentence=draft.findings_text[0], region=Region(points=square))
        if each.observation is Observation.CARDIOMEGALY
        else each
        for each in draft.findings
    )
    draft = replace(draft, findings=found)
    reading_site.store.draft(job.id, job.fence, draft, [seeder.result_object(job)], ("orthanc",))
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    region = "document.querySelector('#viewer g[data-finding=cardiomegaly]')"
    assert who.run(f"return getComputedStyle({region}).visibility") == "hidden"
    who.press(" ")
    until(who, f"return {region}.classList.contains('finding-on')", "the place of the sentence")
    assert who.run(f"return getComputedStyle({region}).visibility") == "visible"
    lit = f"return document.querySelector('{FIRST}').classList.contains('finding-on')"
    who.press(" ")
    assert who.run(lit) is False
    who.press("o")
    who.run(f"{region}.focus()")
    until(who, lit, "the sentence of the place")
    assert who.faults() == []


def test_single_keys_are_off_while_a_person_types_and_when_switched_off(seeder, person, until):
    """`a` in the editor is a letter; with the switch off, no single key acts."""
    job = seeder.drafted(1)
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    edit_first(who, " raj?")
    assert who.run("return document.activeElement.value").endswith("enlarged. raj?")
    assert who.run("return document.querySelector('dialog[open]')") is None
    who.press(ESCAPE, "?")
    until(who, "return document.getElementById('keys-dialog').open", "the list of keys")
    who.run("document.getElementById('single-keys').click()")
    who.press(ESCAPE, "r")
    assert who.run("return document.querySelector('dialog[open]')") is None
    assert who.faults() == []


def accept_by_keys(who, until):
    """Reveal the draft, agree with its sentences, and accept it without revision."""
    until(who, SHOWN, "the image")
    who.press(" ", "y", "y", "y", "y", "y")
    until(who, "return document.getElementById('missing').textContent === ''", "all answered")
    until(who, saved("Stored"), "the autosave")
    who.press("a")
    until(who, "return document.getElementById('accept-dialog').open", "the four steps")
    who.press("1")
    until(who, "return location.pathname === '/read'", "the worklist")
    until(who, "return !document.getElementById('undo').hidden", "the offer to undo")


def let_the_minute_pass(store):
    """Move the decisions of the store two minutes into the past."""
    with store._writing() as session:
        past = store.now() - timedelta(minutes=2)
        over = past + timedelta(minutes=1)
        session.execute(update(DecisionRow).values(at=past, undo_until=over))
        reports = update(DeliveryRow).where(DeliveryRow.notice.startswith(VERIFIED))
        session.execute(reports.values(not_before=over))


def test_an_acceptance_is_undone_by_a_key_and_its_report_is_not_sent(
    reading_site, seeder, person, until
):
    """Within the minute: the draft awaits a decision again, and no delivery of a report is left."""
    job = seeder.completed(1)
    store = reading_site.store
    who = person(then=f"/read/{job.id}")
    accept_by_keys(who, until)
    assert who.text("#undo").startswith("The draft was accepted.")
    assert who.run("return document.querySelectorAll('#rows tr').length") == 0
    (made,) = store.decisions(job_id=job.id)
    assert made.request.verdict is Verdict.ACCEPT
    assert store.reports_of([made])[made.id].state is ReportState.WAITING
    who.press("u")
    until(who, f"return location.pathname === '/read/{job.id}'", "the study")
    until(who, SHOWN, "the image again")
    assert who.run("return document.getElementById('decided')") is None
    assert who.run("return document.getElementById('accept').getAttribute('aria-disabled')")
    who.open("/read")
    assert who.run("return document.querySelector('#rows tr').id") == f"draft-{job.id}"
    (undone,) = store.decisions(job_id=job.id)
    assert undone.undone_at is not None
    assert store.standing_decisions([job.id]) == {}
    let_the_minute_pass(store)
    assert store.reports_of([undone])[undone.id].state is ReportState.UNDONE
    with store._reading() as session:
        reports = select(DeliveryRow.state).where(DeliveryRow.notice.startswith(VERIFIED))
        assert session.scalars(reports).all() == [DeliveryState.CANCELED.value]
    assert store.claim_delivery(job.id, "delivery@front", 60, {}) is None
    assert who.faults() == []


def test_after_the_minute_the_undo_is_refused_and_an_amendment_is_offered(
    reading_site, seeder, person, until
):
    """The page states why and leads to the amendment, which then replaces the report."""
    job = seeder.completed(1)
    store = reading_site.store
    who = person(then=f"/read/{job.id}")
    accept_by_keys(who, until)
    let_the_minute_pass(store)
    who.press("u")
    until(who, "return document.querySelector('#undo a') !== null", "the refusal")
    assert who.text("#undo").startswith("The time to undo is over: amend the report instead.")
    assert who.text("#undo a") == "Amend the report"
    assert all("409" in each for each in who.faults())  # the refused request
    (standing,) = store.decisions(job_id=job.id)
    assert standing.undone_at is None
    who.click("#undo a")
    until(who, f"return location.pathname + location.search === '/read/{job.id}?amend'", "the page")
    until(who, SHOWN, "the image")
    assert who.text("#decided .buttons span").startswith("You are amending this report.")
    assert who.text("#accept-label") == "Send the amended report"
    who.open(f"/read/{job.id}")
    assert who.text("#amend") == "Amend the report"
    assert who.run("return document.getElementById('undo-here').hidden")
    assert who.faults() == []
