"""One site with studies and people, and one run of Playwright against it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from starlette.routing import Route

from dicom.content.report import Observation, Side
from dicom.phantom import Demographics, PhantomFinding, as_dataset, draw, draw_lateral, write
from service.accounts import Role
from service.passwords import hash_password
from service.web.access.roles import access_declared_by
from service.web.app import ROUTES
from tests.npm import installed_packages
from tests.servers import find_program, take_free_port

HERE = Path(__file__).parent
BUILD = HERE.parents[2] / "build" / "playwright"
REPORT = BUILD / "report.json"
PASSWORD = "correct horse battery"  # noqa: S105 - of accounts of this test's own site
PEOPLE = {
    "admin": (Role.ADMIN, "Amy Admin", ""),
    "roentgen": (Role.RADIOLOGIST, "Wilhelm Röntgen", "Röntgen^Wilhelm"),
    "curie": (Role.RADIOLOGIST, "Marie Curie", "Curie^Marie"),
    "viewer": (Role.VIEWER, "Vera Viewer", ""),
}
# Calling AEs: of the second the archive gets the drafts at an address where it refuses them.
MODALITY = "MODALITY"  # the site's own echo
ROOM, REFUSED, EMERGENCY = "CR_ROOM_1", "OLD_ROOM", "ER_PORTABLE"
EFFUSION = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.RIGHT)
PNEUMOTHORAX = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.LEFT)
ENLARGED = PhantomFinding(observation=Observation.CARDIOMEGALY)
# "=" and "^" separate the parts of a PN.
MARKUP = "<script>Object.assign(window, {ran: 1})</script>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A study to draw: a spec that changes a study has one of its own.

    Attributes:
        patient: A PN value.
        during: Whether a spec sends it.
    """

    patient: str
    findings: tuple[PhantomFinding, ...] = ()
    calling: str = ROOM
    during: bool = False


STUDIES = {
    "shown": Drawn(patient="Doe^Jane", findings=(EFFUSION, ENLARGED)),
    "accepted": Drawn(patient="Garcia^Mateo", findings=(EFFUSION,)),
    "rejected": Drawn(patient="Okafor^Ngozi"),
    "edited": Drawn(patient="Tanaka^Kenji", findings=(ENLARGED,)),
    "decided": Drawn(patient="Novak^Ivana", findings=(PNEUMOTHORAX,)),
    "typed": Drawn(patient="Smith^John", calling=EMERGENCY),
    "unsent": Drawn(patient="Silva^Joana"),
    "markup": Drawn(patient=MARKUP),
    "refused-1": Drawn(patient="Rossi^Anna", calling=REFUSED),
    "refused-2": Drawn(patient="Hansen^Lars", calling=REFUSED),
    "lateral": Drawn(patient="Dubois^Claire"),
    "arriving": Drawn(patient="Meyer^Paul", findings=(PNEUMOTHORAX,), during=True),
    "waiting": Drawn(patient="Khan^Amina", during=True),
}
MARKUP_TEXTS = {
    "name": MARKUP,
    "patient_id": '"><img src=x onerror=window.ran=1>',
    "accession": "<b id=evil>A-1",
    "description": "<img src=x onerror='window.ran=1'>",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentStudy:
    """A study of the specs.

    Attributes:
        job: The id of its job; "" if a spec sends it.
        texts: The markup in its header.
    """

    uid: str
    path: str
    job: str
    texts: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What Playwright reported, and the site that it ran against, which still runs.

    Attributes:
        failures: The messages of the tests that did not pass, by file of specs and title.
        counts: The number of tests by file of specs.
    """

    failures: dict[str, dict[str, str]]
    counts: dict[str, int]
    site: object
    studies: dict[str, SentStudy]


def drawn(number: int, name: str, folder: Path):
    """Return the image of a study as a data set, and its file."""
    study = STUDIES[name]
    size = {"rows": 1024, "columns": 900} if name == "shown" else {"rows": 320, "columns": 288}
    if name == "lateral":
        phantom = draw_lateral(8000 + number, **size)
    else:
        phantom = draw(8000 + number, findings=study.findings, **size)
    is_markup = name == "markup"
    patient = Demographics(
        patient_name=study.patient,
        patient_id=MARKUP_TEXTS["patient_id"] if is_markup else f"MRN-{40310 + number}",
        age=34 + 5 * number,
        sex="FM"[number % 2],
        accession_number=MARKUP_TEXTS["accession"] if is_markup else f"A-2026-{1180 + number}",
    )
    dataset = as_dataset(phantom, patient=patient)
    if is_markup:
        dataset.StudyDescription = dataset.SeriesDescription = MARKUP_TEXTS["description"]
    return dataset, write(dataset, folder / f"{name}.dcm")


def sent_studies(site, folder: Path) -> dict[str, SentStudy]:
    """Draw all studies, send those that are there from the start, and return them with their jobs."""
    drawings = {name: drawn(number, name, folder) for number, name in enumerate(STUDIES)}
    for name, (_, path) in drawings.items():
        if not STUDIES[name].during:
            assert site.store_scu(path, calling=STUDIES[name].calling).acknowledged
    assert not site.store_scu(drawings["shown"][1], calling="STRANGER").acknowledged  # an alert
    return {
        name: SentStudy(
            uid=str(dataset.StudyInstanceUID),
            path=str(path),
            job="" if STUDIES[name].during else site.settled(str(dataset.StudyInstanceUID)).id,
            texts=MARKUP_TEXTS if name == "markup" else {},
        )
        for name, (dataset, path) in drawings.items()
    }


def pages(studies: dict[str, SentStudy], role: Role | None = None) -> list[str]:
    """Return the paths of all pages; with a role, of those that only this role may open."""
    shown = studies["shown"]
    values = {"{job_id}": shown.job, "{study_uid}": shown.uid}
    # These need a query.
    values["/queue/batch"] = "/queue/batch?action=retry&scope=chosen"
    values["/read/by-accession"] = "/read/by-accession?accession=A-2026-1180"
    values["/read/by-study"] = f"/read/by-study?study={shown.uid}"
    found = []
    for route in ROUTES:
        access = access_declared_by(route)
        is_page = isinstance(route, Route) and "GET" in route.methods and access.roles
        path = route.path
        for name, value in values.items():
            path = path.replace(name, value)
        # The other paths answer with JSON, a picture or a file.
        if not is_page or "{" in path or path.startswith(("/api/", "/live")) or "." in route.path:
            continue
        if path == "/metrics" or (role and access.roles != {role}):
            continue
        found.append(path)
    return sorted(set(found))


@pytest.fixture(scope="session")
def busy_site(site_class, orthanc, tmp_path_factory) -> Iterator[tuple]:
    """A site with people and drafts, and its studies by name."""
    refusing = {"kind": "stow", "name": "vna", "url": f"{orthanc.url}/patients"}
    folder, port = tmp_path_factory.mktemp("playwright"), take_free_port()
    callers = [
        {"ae_title": MODALITY},
        {"ae_title": ROOM, "destinations": ["archive"]},
        {"ae_title": EMERGENCY, "destinations": ["archive"], "priority": "urgent"},
        {"ae_title": REFUSED, "destinations": ["vna"]},
    ]
    overrides = {
        "site_name": "St. Example Hospital",
        "destinations": [{"kind": "orthanc", "name": "archive", "url": orthanc.url}, refusing],
        "receiver": {"host": "127.0.0.1", "port": port, "callers": callers, "min_free_bytes": 0},
        "web": {"port": take_free_port()},
        "reading": {"demo_reads_patients": False},
    }
    site = site_class(folder, port, overrides)
    try:
        site.start()
        for login, (role, shown, in_dicom) in PEOPLE.items():
            site.store.add_person(
                login,
                roles=frozenset({role}),
                password_hash=hash_password(PASSWORD),
                actor="test",
                display_name=shown,
                dicom_name=in_dicom,
            )
        yield site, sent_studies(site, folder)
    finally:
        site.stop()


@pytest.fixture(scope="session")
def site_file(busy_site) -> Path:
    """A file that tells the specs of the site: addresses, accounts, studies, commands."""
    site, studies = busy_site
    own = {key: value for key, value in site.environment.items() if key.startswith("WETREAD")}
    called = ["-aet", ROOM, "-aec", "WETREAD", "127.0.0.1", str(site.port)]
    BUILD.mkdir(parents=True, exist_ok=True)
    file = BUILD / "site.json"
    told = {
        "url": f"http://127.0.0.1:{site.settings.web.port}",
        "chromium": find_program("chromium", "google-chrome"),
        "report": str(REPORT),
        "seen": str(BUILD / "seen"),
        "password": PASSWORD,
        "studies": {name: asdict(each) for name, each in studies.items()},
        "pages": pages(studies),
        "admin_pages": pages(studies, Role.ADMIN),
        "wetread": [sys.executable, "-m", "service.cli"],
        "environment": own,
        "store_scu": [find_program("storescu"), "-R", "-xe", *called],
    }
    file.write_text(json.dumps(told))
    return file


@pytest.fixture(scope="session")
def outcome(busy_site, site_file) -> Outcome:
    """The result of all specs."""
    packages = installed_packages(HERE, "playwright")
    for file in HERE.glob("*.mjs"):
        shutil.copy(file, BUILD)  # where node finds the packages
    REPORT.unlink(missing_ok=True)
    done = subprocess.run(
        [find_program("node"), packages / ".bin" / "playwright", "test"],
        cwd=BUILD,
        env={**os.environ, "PLAYWRIGHT_SITE": str(site_file), "FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    (BUILD / "output.txt").write_text(done.stdout + done.stderr)
    assert REPORT.exists(), done.stdout + done.stderr
    failures, counts = _read(json.loads(REPORT.read_text()))
    site, studies = busy_site
    return Outcome(failures=failures, counts=counts, site=site, studies=studies)


def _read(report: dict) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    """Return the failures and the number of tests of each file, from Playwright's JSON report."""
    failures, counts = {}, {}
    for suite in report["suites"]:
        specs = suite["specs"]
        counts[suite["file"]] = len(specs)
        failures[suite["file"]] = {
            each["title"]: "\n".join(
                error["message"]
                for test in each["tests"]
                for result in test["results"]
                for error in result["errors"]
            )
            for each in specs
            if not each["ok"]
        }
    return failures, counts
