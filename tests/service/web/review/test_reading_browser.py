"""A radiologist at the pages, in headless Chromium: edits, places of sentences, single keys.

What needs several people, a login or the archive is in `tests/end_to_end/playwright`.
"""

from dataclasses import replace

import pytest

from dicom.content.report import Observation, Region
from service.review.words import Verdict

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
