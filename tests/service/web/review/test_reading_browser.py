"""A radiologist at the pages, in headless Chromium: keys, conflicts, no typed text is lost."""

from dataclasses import replace

import pytest

from dicom.content.report import Observation, Region
from service.review.words import Acceptability, Rejection, Verdict

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


def test_keys_alone_lead_from_login_to_an_accepted_report(reading_site, seeder, person, until):
    """j, Enter, Space, y for each sentence, a, 1; the next study is there, and nothing was clicked."""
    second, first = seeder.drafted(1), seeder.drafted(2, urgent=True)
    who = person()
    until(who, "return document.querySelectorAll('#rows tr').length === 2", "the worklist")
    who.press("j", ENTER)
    until(who, f"return location.pathname === '/read/{first.id}'", "the study")
    until(who, SHOWN, "the image")
    assert who.run("return document.getElementById('draft').open") is False
    who.press("a")
    assert who.text("#missing") == "Read the draft first (Space)."
    who.press(" ")
    until(who, "return document.getElementById('draft').open", "the draft")
    assert who.text("#missing") == "5 sentences need your answer."
    who.press("y", "y", "y", "y", "y")
    until(who, "return document.getElementById('missing').textContent === ''", "all answered")
    until(who, saved("Stored"), "the answers stored")
    who.press("a")
    until(who, "return document.getElementById('accept-dialog').open", "the four steps")
    who.press("1")
    until(who, f"return location.pathname === '/read/{second.id}'", "the next study")
    (made,) = reading_site.store.decisions(job_id=first.id)
    assert made.request.verdict is Verdict.ACCEPT
    assert made.request.acceptability is Acceptability.NO_REVISION
    assert made.reviewer.display_name == "Wilhelm Röntgen"
    seconds = made.request.seconds
    assert 0 < seconds.draft <= seconds.image <= seconds.total
    assert "The draft was accepted." in who.text("#undo")
    who.press("u")
    until(who, f"return location.pathname === '/read/{first.id}'", "the study again")
    assert reading_site.store.decisions(job_id=first.id)[0].undone_at is not None
    assert who.faults() == []


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


def test_nothing_typed_is_lost_on_reload_and_when_the_login_ends(
    reading_site, seeder, person, until
):
    """Before the autosave the page is loaded anew; then the session ends while a person types."""
    job = seeder.drafted(1)
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    # No request leaves the browser any more, as without a network.
    who.run("window.fetch = () => Promise.reject(new TypeError('away'))")
    edit_first(who, " One.")
    until(
        who,
        "return document.getElementById('saved').textContent.includes('kept in this tab')",
        "the fault",
    )
    assert reading_site.store.review(job.id) is None
    who.open(f"/read/{job.id}")
    until(who, saved("Stored"), "the restored text stored")
    text = "The cardiac silhouette is enlarged. One."
    assert reading_site.store.review(job.id).content.sentences[0].text == text
    until(who, SHOWN, "the image")
    with reading_site.store._writing() as session:
        session.connection().exec_driver_sql("DELETE FROM sessions")
    edit_first(who, " Two.")
    until(who, "return document.getElementById('login-dialog').open", "the login dialog")
    assert who.run("return sessionStorage.length") > 0
    who.press(*"correct horse battery", ENTER)
    until(who, saved("Stored"), "the text stored after the login")
    assert reading_site.store.review(job.id).content.sentences[0].text == f"{text} Two."
    assert [each for each in who.faults() if "401" not in each] == []


def test_two_persons_see_both_texts_and_nothing_is_overwritten(reading_site, seeder, person, until):
    """The second gets 412, both texts and the name; only the person's choice stores a text."""
    job = seeder.drafted(1)
    his = person(then=f"/read/{job.id}")
    hers = person("curie", "Marie Curie", then=f"/read/{job.id}")
    for who in (his, hers):
        until(who, SHOWN, "the image")
    edit_first(his, " His.")
    until(his, saved("Stored"), "his text")
    edit_first(hers, " Hers.")
    until(hers, "return document.getElementById('conflict-dialog').open", "both texts")
    assert "Wilhelm Röntgen" in hers.text("#conflict-who")
    assert "enlarged. His." in hers.text("#conflict-theirs")
    assert "enlarged. Hers." in hers.text("#conflict-mine")
    assert reading_site.store.review(job.id).content.sentences[0].text.endswith("His.")
    hers.press(ESCAPE)
    assert hers.run("return document.getElementById('conflict-dialog').open")
    hers.click("#keep-mine")
    until(hers, saved("Stored"), "her text")
    stored = reading_site.store.review(job.id)
    assert stored.content.sentences[0].text.endswith("Hers.")
    assert stored.version == 2
    until(
        his,
        "return document.getElementById('alert').textContent.includes('Marie Curie changed')",
        "his notice",
        30,
    )
    assert "Also open: Marie Curie" in his.text("#others")
    assert [each for each in (*his.faults(), *hers.faults()) if "412" not in each] == []


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


def test_a_rejection_has_a_reason(reading_site, seeder, person, until):
    """r, the digit of the reason, Enter; Enter alone rejects nothing."""
    job = seeder.drafted(1)
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    who.press("r")
    until(who, "return document.getElementById('reject-dialog').open", "the reasons")
    who.press(ENTER)
    assert who.run("return document.getElementById('reject-dialog').open")
    who.press("3", ENTER)
    until(who, "return location.pathname === '/read'", "the worklist")
    (made,) = reading_site.store.decisions(job_id=job.id)
    assert made.request.verdict is Verdict.REJECT
    assert made.request.rejection is Rejection.WRONG_SIDE
    assert "The draft was rejected." in who.text("#undo")
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


@pytest.mark.parametrize(("width", "decides"), [(390, False), (1366, True), (2560, True)])
def test_no_page_scrolls_sideways_and_a_phone_does_not_decide(seeder, person, width, decides):
    """A phone is no diagnostic display: image and draft, no decision."""
    job = seeder.drafted(1)
    who = person(then="/read", size=f"{width},900")
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    who.call("goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=metrics)
    sideways = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    for path in ("/read", f"/read/{job.id}", "/mine"):
        who.open(path)
        assert who.run(sideways) is False, path
        if path == f"/read/{job.id}":
            who.press(" ", "a")
            bar = "return !!document.querySelector('#decision')?.getClientRects().length"
            assert who.run(bar) is decides
    small = """return [...document.querySelectorAll('main button, main input')]
        .filter((each) => !each.closest('.viewer-tools'))
        .filter((each) => each.getClientRects().length && each.type !== 'checkbox')
        .filter((each) => each.getBoundingClientRect().height < 44).map((each) => each.outerHTML)"""
    who.open(f"/read/{job.id}")
    who.press(" ")
    assert who.run(small) == []
    assert who.faults() == []
