"""Every page by axe-core, light and dark, on a phone and on a desk: no serious finding (WCAG 2.2 AA)."""

from datetime import timedelta
from pathlib import Path

import pytest

from service.accounts import Role, digest_of
from service.audit import AuditAction, AuditEvent
from service.reader_study.study import CaseText, NewReaderStudy, StudyCase
from service.reader_study.words import Arm
from tests.npm import installed_packages
from tests.servers import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDTHS, SCHEMES = (390, 1400), ("light", "dark")
LINK = "A" * 43
_SEND = """
const form = document.querySelector("form.entry.pad");
for (const [name, value] of Object.entries(arguments[0]))
  form.elements.namedItem(name).value = value;
form.querySelector(`input[value="${arguments[1]}"]`).checked = true;
form.requestSubmit();
"""
_SET_UP = """
const form = document.querySelector("main form");
for (const [name, value] of Object.entries({name: "root", password: "short", again: "short"}))
  form.elements.namedItem(name).value = value;
form.noValidate = true;
form.requestSubmit();
"""
_FAULT = "return document.body.textContent.includes('The password is too short')"
_SHOWN_ONCE = "return !!document.querySelector('.secret')"
_FORMS = (
    ("people", ({"login": "new"}, "viewer")),
    ("tokens", ({"name": "scanner", "ae_title": "OTHER"}, "stow")),
)
# Closed parts are examined too.
_OPEN = "for (const each of document.querySelectorAll('details')) each.open = true;"
_EXAMINE = """
const done = arguments[arguments.length - 1];
const rules = {"target-size": {enabled: true}};
axe.run(document, {rules, resultTypes: ["violations"]}).then(
  (result) => done(result.violations
    .filter((each) => each.impact === "serious" || each.impact === "critical")
    .map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)),
  (error) => done([`axe failed: ${error}`]));
"""
_SIDEWAYS = "return document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="session")
def axe():
    """The script of axe-core."""
    folder = installed_packages(Path(__file__).parent, "axe")
    return (folder / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def examine(axe):
    """A function that returns the serious findings in a page, by width and color scheme."""

    def found(browser):
        browser.run(_OPEN)
        browser.run(axe)
        findings = {}
        for width in WIDTHS:
            for scheme in SCHEMES:
                show(browser, width, scheme)
                faults = browser.wait(_EXAMINE)
                faults += ["scrolls sideways"] * browser.run(_SIDEWAYS)
                findings |= {(width, scheme): faults} if faults else {}
        return findings

    return found


def show(browser, width, scheme):
    """Give the page a width and a color scheme."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.call("goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=size)
    feature = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"features": feature})


def fill(site, seeder, cookie_of):
    """Put jobs of several states, accounts and tokens into the store; return the paths of the pages."""
    waiting = seeder.waiting(1)
    seeder.reading(2)
    seeder.completed(3)
    seeder.deliver(seeder.drafted(5), error="The archive is full.", refused=True)
    drafted = seeder.drafted(4, urgent=True)
    seeder.deliver(drafted, error="The archive does not answer.")
    seeder.beat("web")
    cookie_of(site.store, Role.RADIOLOGIST, login="kim", display_name="Dr. Kim")
    site.store.disable_person("kim")
    cookie_of(site.store, Role.VIEWER, login="vic")
    later = site.store.now() + timedelta(hours=1)
    event = AuditEvent(action=AuditAction.CHANGED_ACCOUNT, actor="test", detail="link")
    site.store.add_password_link("vic", digest_of(LINK), later, event)
    site.post("/tokens", data={"name": "monitor", "scope": "read", "expires": "90d"})
    study = f"studies/{drafted.study_instance_uid}"
    opened, closed = (add_reader_study(site.store, drafted) for _ in range(2))
    site.store.close_reader_study(closed, "test", None)
    return [
        *("reader-studies", f"reader-studies/{closed}"),
        *(f"reader-studies/{opened}", f"reader-studies/{opened}/read"),
        *(
            "",
            "queue?state=FAILED&older_than=1m&cause=NOT_DELIVERED",
            "queue/batch?action=retry&scope=filter&state=FAILED",
            "jobs/again?action=resend&state=COMPLETED",
            "read",
            f"read/{drafted.id}",
            f"read/by-study?study={waiting.study_instance_uid}",
            "read/by-accession?accession=none",
            "mine",
            study,
            "monitor",
            "monitor/acceptability",
            "evaluations",
            "models",
            "network",
            "search",
            "search?q=effusion",
            f"{study}/similar",
            "alerts",
            "heartbeat",
        ),
        *(
            "admin",
            "admin?range=month",
            "admin/audit",
            "people",
            "tokens",
            "account",
            "people?changed=vic",
            "nothing-here",
        ),
    ]


def add_reader_study(store, job):
    """Return the id of a study of one case, with the site's first person as its reader."""
    draft = store.job(job.id).draft
    texts = tuple(CaseText(arm=arm, source="list", text=f"Clear lungs, {arm}.") for arm in Arm)
    case = StudyCase(
        label="1",
        study_uid=job.study_instance_uid,
        sop_instance_uid=draft.source.sop_instance_uid,
        texts=texts,
    )
    new = NewReaderStudy(
        name="Spring reading",
        seed=1,
        margin=0.1,
        repeat_share=0.1,
        readers=(store.account_of("ann").person,),
        cases=(case,),
    )
    event = AuditEvent(action=AuditAction.CREATED_READER_STUDY, actor="test")
    return store.create_reader_study(new, "test", event)


def test_the_checker_finds_what_is_wrong(site, open_browser, examine):
    """An image without a text, and grey on grey in the dark scheme only."""
    browser = open_browser(site.url)
    browser.open("login")
    browser.run("""
        document.querySelector("h1").append(document.createElement("img"));
        document.querySelector("label").style.color = "#566268";
    """)
    found = examine(browser)
    rules = {where: [each.split(":")[0] for each in faults] for where, faults in found.items()}
    assert rules == {
        (width, scheme): [*["color-contrast"] * (scheme == "dark"), "image-alt"]
        for width in WIDTHS
        for scheme in SCHEMES
    }


def test_the_page_of_the_first_account_has_no_serious_finding(make_site, open_browser, examine):
    """The login before it, the form, the form with a fault, and the page of a link that is over."""
    site = make_site(logged_in=False)
    site.store.add_setup_link(digest_of(LINK), site.store.now() + timedelta(hours=1))
    browser, findings = open_browser(site.url), {}
    for path in ("login", f"setup/{LINK}", f"setup/{LINK[:-1]}B"):
        browser.open(path)
        findings |= {path: found} if (found := examine(browser)) else {}
    browser.open(f"setup/{LINK}")
    browser.run(_SET_UP)
    wait_until(lambda: browser.run(_FAULT), seconds=20, what="the page with the fault")
    findings |= {"setup with a fault": found} if (found := examine(browser)) else {}
    assert findings == {}


def test_no_page_has_a_serious_finding(site, seeder, cookie_of, open_browser, examine):
    """Nor scrolls sideways; those without a login, those that show a secret once, and errors too."""
    paths = fill(site, seeder, cookie_of)
    browser, findings = open_browser(site.url), {}

    def look(path):
        browser.open(path)
        findings.update({path: found} if (found := examine(browser)) else {})

    for path in ("login", f"password/{LINK}", "password/over"):
        look(path)
    browser.log_in("ann", "correct horse battery", "/account")
    at = "return location.pathname"
    wait_until(lambda: browser.run(at) == "/account", seconds=20, what="the login")
    for path in paths:
        look(path)
    for path, form in _FORMS:
        browser.open(path)
        browser.run(_SEND, *form)
        wait_until(lambda: browser.run(_SHOWN_ONCE), seconds=20, what="the page with the secret")
        findings |= {f"result of {path}": found} if (found := examine(browser)) else {}
    listed = [f"{path}: {found}" for path, found in findings.items()]
    assert listed == [], "\n".join(listed)
    missing = "status of 404"
    assert [each for each in browser.faults() if missing not in each] == []
