"""Menus of rows in headless Chromium: closed by Escape, by a click outside, by another one."""

import pytest

from service.review.decision import Reviewer

pytestmark = [pytest.mark.browser, pytest.mark.serial]

ESCAPE, TAB, ENTER = "\ue00c", "\ue004", "\ue007"
OPEN = "return [...document.querySelectorAll('details.menu[open]')].map((each) => each.id)"
FOCUS = "return document.activeElement.id"


@pytest.fixture
def reading_site(make_site):
    """A site with two viewers, and therefore a menu in each row of the worklist."""
    viewers = [
        {"label": "OHIF", "kind": "ohif", "url": "https://ohif.example"},
        {"label": "Weasis", "kind": "weasis", "url": "https://pacs.example/dicom-web"},
    ]
    return make_site(site_name="St. Example Hospital", web={"port": 0, "viewers": viewers})


@pytest.fixture
def rows(reading_site, seeder_of):
    """The ids of the menus of two rows, and of their summaries."""
    seeder = seeder_of(reading_site)
    jobs = [seeder.drafted(number).id for number in (1, 2)]
    return [(f"viewers-{job}", f"viewers-of-{job}") for job in jobs]


def test_a_menu_closes_by_escape_by_a_click_outside_and_by_another_one(rows, person, eventually):
    """Escape returns the focus to the summary."""
    (first, first_summary), (second, second_summary) = rows
    who = person()

    def opens(*menus):
        eventually(lambda: who.run(OPEN) == list(menus), seconds=10, what=f"open menus: {menus}")

    who.click(f"#{first_summary}")
    opens(first)
    who.press(TAB)
    assert who.run("return document.activeElement.textContent").startswith("OHIF")
    who.press(ESCAPE)
    opens()
    assert who.run(FOCUS) == first_summary

    who.press(ENTER)
    opens(first)
    who.click("h1")
    opens()

    who.click(f"#{second_summary}")
    opens(second)
    who.run(f"document.getElementById('{first}').open = true")  # the click outside is not needed
    opens(first)
    who.run("document.getElementById('search').focus()")
    opens()

    who.click(f"#{first_summary}")
    opens(first)
    who.run(f"document.querySelector('#{first} ul').click()")  # inside
    opens(first)
    who.click(f"#{first_summary}")
    opens()
    assert who.faults() == []


def test_a_replaced_row_keeps_the_focus_of_its_menu(reading_site, rows, person, eventually):
    """A live update of the row leaves the menu open, the focus on its summary, and Escape works."""
    menu, summary = rows[0]
    who = person()
    who.run(f"document.getElementById('{summary}').focus()")
    who.press(ENTER)
    eventually(lambda: who.run(OPEN) == [menu], seconds=10, what="the menu")
    job = menu.removeprefix("viewers-")
    store = reading_site.store
    who.run(f"document.getElementById('draft-{job}').dataset.old = '1'")
    store.note_open(job, Reviewer(id="p2", name="Curie^Marie", organization="St. Example Hospital"))
    eventually(
        lambda: who.run(f"return !document.getElementById('draft-{job}').dataset.old"),
        seconds=20,
        what="the replaced row",
    )
    assert who.run(OPEN) == [menu]
    assert who.run(FOCUS) == summary
    who.press(ESCAPE)
    eventually(lambda: who.run(OPEN) == [], seconds=10, what="the closed menu")
    assert who.run(FOCUS) == summary
