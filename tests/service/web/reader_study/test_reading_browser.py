"""A reader at the reading page, in headless Chromium: keys alone, one item after the other, blind."""

import re

import pytest

from service.evaluation.chexprompt.prompt import ErrorType

pytestmark = [pytest.mark.browser, pytest.mark.serial]

ENTER, TAB = "\ue007", "\ue004"
READY = "return document.getElementById('show')?.disabled === false"
SHOWN = "return document.getElementById('text').children.length > 0"
ASKED = "return document.getElementById('author-dialog').open"
TIMED = "return Object.values(sessionStorage).some((each) => JSON.parse(each).text > 0)"
NUMBERS = re.compile(r"[0-9a-f]{32}|\d+(\.\d+)?")
OTHER = "return document.getElementById('reading')?.dataset.item"


@pytest.fixture
def reader(make_study, open_browser, eventually):
    """A study, its reader at the reading page, and a wait for a script there."""
    study = make_study(cases=2, readers=("kim",))
    browser = open_browser(study.site.url, "1400,900")
    browser.log_in("kim", "correct horse battery", f"/reader-studies/{study.study_id}/read")

    def until(script, what):
        eventually(lambda: browser.run(script), seconds=20, what=what)

    until(READY, "the image")
    return study, browser, until


def test_keys_alone_lead_through_an_item_and_a_reload_loses_nothing(reader):
    """Image, Space, e for an error, t to edit, c, Enter, 3; then the next item is there."""
    study, browser, until = reader
    first = study.current()
    assert browser.text("#shown .sentence") == ""  # the text is not in the page before its request
    browser.press("a", ENTER, " ")
    until(SHOWN, "the text")
    assert browser.run(
        "return document.getElementById('send').disabled"
    )  # "a" came before the text
    browser.press("j", "e")
    until("return document.getElementById('error-dialog').open", "the dialog")
    browser.press(" ", TAB, " ", ENTER)
    until("return document.getElementById('errors').children.length === 1", "the error")
    browser.press("t")
    browser.press(*" More.")
    browser.call("refresh")
    until(READY, "the image again")
    browser.press(" ")
    until(SHOWN, "the text again")
    assert browser.run("return document.getElementById('errors').children.length") == 1
    browser.run("document.activeElement.blur()")
    until(TIMED, "time with the text")
    browser.press("c", ENTER)
    until(ASKED, "the question for the author")
    browser.press("\ue00c")  # Escape does not leave it
    assert browser.run(ASKED)
    browser.call("refresh")
    until(ASKED, "the question after a reload")
    browser.press("3", "3", "3")
    until(f"{OTHER} !== {first.id!r} && {READY[7:]}", "the next item")
    assert study.current().position == 2
    assert browser.faults() == []
    study.store.close_reader_study(study.study_id, "ann", None)
    rated = study.store.reader_study_results(study.study_id)[0]
    assert (rated.rating.rating, rated.author) == ("C", "cannot tell")
    (error,) = rated.rating.errors
    sentence = rated.text.split("\n")[1]
    assert rated.text[error.start : error.end] == sentence
    assert (error.type, error.significant) == (ErrorType.FALSE_FINDING, True)
    assert rated.rating.edited.endswith(" More.")
    assert rated.rating.text_seconds > 0


def test_the_keys_of_the_image_are_listed_and_act(reader):
    """Rotate, flip and reset as in a reading; nothing can be marked, because no mark is recorded."""
    _, browser, until = reader
    browser.press("?")
    until("return document.getElementById('keys-dialog').open", "the list of keys")
    rows = browser.run(
        "return [...document.querySelectorAll('#keys-list dt')]"
        ".map((each) => [each.textContent, each.nextElementSibling.textContent])"
    )
    listed = dict(rows)
    assert listed["v V"] == "rotate the image 90° right, left"
    assert {"i", "0 1", "+ -", "w", "z", "f F", "x", "Space", "a", "d", "Enter", "p"} <= set(listed)
    assert listed["a"].startswith("A ")
    assert not {"m", "o", "h", "y", "u"} & set(listed)
    turned = "return document.querySelector('.viewer-turned').textContent"
    browser.press("\ue00c")
    until("return document.querySelector('dialog[open]') === null", "the list closed")
    browser.press("v")
    assert browser.run(turned).startswith("Rotated 90° right")
    browser.press("V", "f")
    assert browser.run(turned).startswith("Flipped left–right")
    browser.press("x", "m")
    assert browser.run(turned) == ""
    tools = browser.run(
        "return [...document.querySelectorAll('.viewer-tools button')].map((e) => e.textContent)"
    )
    assert "Rotate" in tools
    assert not [each for each in tools if each.startswith("Mark")]
    assert browser.run("return document.querySelector('.viewer-draws')") is None
    browser.press("?")
    browser.run("document.getElementById('single-keys').click()")
    browser.press("\ue00c", "v")
    assert browser.run(turned) == ""
    assert browser.faults() == []


def test_nothing_in_the_browser_shows_the_arm(reader):
    """Addresses, cookies, stored values and the page of every item have one form for both arms."""
    study, browser, until = reader
    seen = []
    for _ in range(study.current().items):
        item = study.current()
        browser.press(" ")
        until(SHOWN, "the text")
        browser.press("a")
        text = browser.run("return document.getElementById('text').innerText")
        addresses = browser.run(
            "return performance.getEntriesByType('resource').map((each) => each.name)"
        )
        here = browser.run("return location.pathname + document.title + document.cookie")
        stored = browser.run("return JSON.stringify({...sessionStorage, ...localStorage})")
        page = browser.run(
            "document.getElementById('text').replaceChildren();"
            "document.getElementById('clock').replaceChildren();"
            "return document.documentElement.outerHTML"
        )
        assert item.study_uid not in "".join((here, stored, page, *addresses))
        assert item.sop_instance_uid not in "".join((here, stored, page, *addresses))
        # Without the files of the site, which the browser keeps.
        names = {re.sub(r"[0-9a-f]{32}", "#", each) for each in addresses if "/static/" not in each}
        form = re.sub(r'\sstyle="[^"]*"', "", NUMBERS.sub("#", page))
        seen.append((names, NUMBERS.sub("#", stored), form, text))
        browser.press(ENTER)
        until(ASKED, "the question")
        browser.press("2")
        until(
            f"{OTHER} !== {item.id!r} && document.readyState === 'complete'",
            "the next page",
        )
        if study.current() is not None:
            until(READY, "the next image")
    assert browser.run("return location.pathname") == f"/reader-studies/{study.study_id}"
    names, stored, form, _ = seen[0]
    for each in seen[1:]:
        assert each[:3] == (names, stored, form)
    assert len({each[3] for each in seen}) == 3  # the drafts of both cases are equal
    assert browser.faults() == []
