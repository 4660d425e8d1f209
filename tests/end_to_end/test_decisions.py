"""`kill -9` between decision, verified report and delivery: no report twice, none without its author."""

import contextlib
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from dicom.phantom import as_dataset, draw, write
from service.accounts import Role, SessionLimits, new_secret
from service.audit import AuditAction, AuditEvent, first_fault
from service.errors import StoreError
from service.review.content import ReviewContent
from service.review.decision import UNDO_SECONDS, DecisionRequest, Reviewer, Seconds
from service.review.draft_sentences import draft_sentences
from service.review.words import Acceptability, Answer, ReportState, Verdict
from service.store import Store
from service.store.session import utc_now
from service.web.access.transport import SECURE_COOKIE

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.slow, pytest.mark.timeout(600)]

STUDIES = 8
SEED = 20261130
AUTHORS = [
    Reviewer(id="u1", name="Röntgen^Wilhelm", organization="Klinikum Süd"),
    Reviewer(id="u2", name="Curie^Marie", organization="Klinikum Süd"),
]
KILLED = ("worker-delivery", "sweep", "worker-delivery", "redis")


def _kill_once_it_runs(site, part):
    site.until(lambda: site.pids(part), seconds=60, what=f"the start of {part}")
    site.kill(part)


def _minute_ago():
    return utc_now() - timedelta(seconds=UNDO_SECONDS)


def _decided(store, job, number):
    """Accept a draft, or edit each second one, as if a minute ago; return the decision."""
    content = ReviewContent.of_draft(draft_sentences(job.draft))
    sentences = tuple(replace(each, answer=Answer.AGREE) for each in content.sentences)
    is_edit = number % 2 == 1
    if is_edit:
        sentences = (replace(sentences[0], text=f"Edited {number}."), *sentences[1:])
    request = DecisionRequest(
        verdict=Verdict.EDIT if is_edit else Verdict.ACCEPT,
        content=replace(content, sentences=sentences),
        base_version=0,
        seconds=Seconds(total=9),
        acceptability=Acceptability.MINOR_REVISION if is_edit else Acceptability.NO_REVISION,
    )
    author = AUTHORS[number % len(AUTHORS)]
    audit = AuditEvent(action=AuditAction.DECIDED, actor=author.display_name)
    return store.decide(job.id, request, author, key=f"key-{number}", digest="d", audit=audit)


def _verified(found):
    return [each for each in found.values() if each.get("VerificationFlag") == "VERIFIED"]


def test_each_decision_makes_one_report_of_its_author_whatever_is_killed(
    site_class, orthanc, in_pacs, tmp_path, free_port
):
    """Delivery worker, sweeper and Redis are killed while eight reports are built and sent."""
    overrides = {
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}],
        "reading": {"lease_seconds": 5},
        "delivery": {"lease_seconds": 5, "retry_seconds": 0.5},
        "sweep": {"republish_seconds": 3},
    }
    site = site_class(tmp_path, free_port(), overrides)
    moments = random.Random(SEED)
    deciding = Store(site.settings.database_url, clock=_minute_ago)
    try:
        site.start()
        studies = []
        for number in range(STUDIES):
            dataset = as_dataset(draw(3000 + number, rows=256, columns=256))
            path = write(dataset, tmp_path / f"{number}.dcm")
            assert site.store_scu(path).acknowledged
            studies.append(str(dataset.StudyInstanceUID))
        jobs = [site.completed(study) for study in studies]
        decisions = []
        for number, job in enumerate(jobs):
            decisions.append(_decided(deciding, job, number))
            time.sleep(moments.uniform(0, 0.4))
            if number % 2 == 0:
                _kill_once_it_runs(site, KILLED[number // 2])

        def all_there():
            states = {each.state for each in site.store.reports_of(decisions).values()}
            return states == {ReportState.READ_BACK}

        site.until(all_there, seconds=120, what="all verified reports read back")
        for study, decision in zip(studies, decisions, strict=True):
            (report,) = _verified(in_pacs(study))
            observer = report.VerifyingObserverSequence[0]
            assert str(observer.VerifyingObserverName) == decision.reviewer.name
            texts = [str(each.value) for each in report.iterall() if each.keyword == "TextValue"]
            assert set(decision.findings_text) <= set(texts)
            assert (
                report.SOPInstanceUID == site.store.made_report(decision.id).object.sop_instance_uid
            )
    finally:
        deciding.close()
        site.stop()


class _Browser:
    """A radiologist's browser, which asks again while the web process is down."""

    def __init__(self, site):
        self.site = site
        account = site.store.add_person(
            "curie",
            roles=frozenset({Role.RADIOLOGIST}),
            password_hash="",
            actor="test",
            display_name="Marie Curie",
            dicom_name="Curie^Marie",
        )
        token, digest = new_secret()
        limits = SessionLimits(idle=timedelta(hours=1), absolute=timedelta(hours=1))
        person = account.person.id
        assert site.store.open_session(digest, person, address="127.0.0.1", limits=limits)
        self.headers = {"Cookie": f"{SECURE_COOKIE}={token}", "Sec-Fetch-Site": "same-origin"}

    def ask(self, method, path, *, headers=None, body=None):
        """Return the answer, or None if the connection was lost."""
        try:
            found = json.loads((self.site.settings.run_dir / "web.json").read_text())
            return httpx.request(
                method,
                found["url"].rstrip("/") + path,
                headers={**self.headers, **(headers or {})},
                json=body,
                timeout=20,
            )
        except (httpx.TransportError, FileNotFoundError):
            return None

    def insist(self, method, path, **options):
        """Return the answer, after as many tries as the restart of the process takes."""
        answers = []

        def answered():
            answers.append(self.ask(method, path, **options))
            return answers[-1] is not None

        self.site.until(answered, seconds=60, what=f"an answer to {method} {path}")
        return answers[-1]


def test_nothing_that_was_typed_is_lost_and_a_decision_is_made_once(
    site_class, orthanc, tmp_path, free_port
):
    """The web process is killed after the autosave and again after the decision was sent."""
    overrides = {
        "site_name": "Klinikum Süd",
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}],
    }
    site = site_class(tmp_path, free_port(), overrides)
    try:
        site.start()
        dataset = as_dataset(draw(3900, rows=256, columns=256))
        assert site.store_scu(write(dataset, tmp_path / "one.dcm")).acknowledged
        job = site.completed(str(dataset.StudyInstanceUID))
        browser = _Browser(site)
        path = f"/api/jobs/{job.id}/review"
        content = browser.insist("GET", path).json()["review"]["content"]
        for each in content["sentences"]:
            each["answer"] = "agree"
        content["sentences"][0]["text"] = "Typed before the power failed."
        saved = browser.insist("PUT", path, headers={"If-Match": '"0"'}, body=content)
        assert saved.status_code == 200
        _kill_once_it_runs(site, "web")
        review = browser.insist("GET", path).json()["review"]
        assert (review["version"], review["content"]) == (1, content)
        decision = {
            "verdict": "edit",
            "base_version": 1,
            "acceptability": 2,
            "seconds": {"total": 12},
        }
        key = {"Idempotency-Key": "the-first-decision"}
        made = browser.insist("POST", f"/api/jobs/{job.id}/decisions", headers=key, body=decision)
        _kill_once_it_runs(site, "web")
        again = browser.insist("POST", f"/api/jobs/{job.id}/decisions", headers=key, body=decision)
        assert again.status_code == 200
        assert again.json()["id"] == made.json()["id"]
        (found,) = site.store.decisions(job_id=job.id)
        assert found.findings_text[0] == "Typed before the power failed."
        assert found.reviewer.name == "Curie^Marie"
        assert found.reviewer.organization == "Klinikum Süd"
        assert len(site.store.report_deliveries(found.id)) == 1
    finally:
        site.stop()


class _Killer:
    """Kills the database after a delay, and restarts it a second later, while the test continues.

    One thread for all: the kernel kills the server at the end of the thread that started it.
    """

    def __init__(self, database):
        self._database = database
        self._thread = ThreadPoolExecutor(1)
        self._running = None

    def after(self, seconds):
        """Kill the database in this many seconds."""
        self.join()
        self._running = self._thread.submit(self._run, seconds)

    def _run(self, seconds):
        time.sleep(seconds)
        self._database.kill()
        time.sleep(1)
        self._database.start()

    def join(self):
        """Return once the database runs again."""
        if self._running is not None:
            self._running.result()
            self._running = None

    def close(self):
        """End the thread, and the database with it."""
        self._thread.shutdown()


def _typed(browser, path, content, moments, killer):
    """Save fifteen versions of a text while the database is killed; return the last acknowledged one."""
    killer.after(moments.uniform(0.1, 0.5))
    version, deadline = 0, time.monotonic() + 120
    for number in range(15):
        content["sentences"][0]["text"] = f"Typed {number} times."
        while True:
            answer = browser.ask("PUT", path, headers={"If-Match": f'"{version}"'}, body=content)
            if answer is not None and answer.status_code == 200:
                version = answer.json()["version"]
                break
            if answer is not None and answer.status_code == 412:
                # The lost answer was a success: the page gets its own stored text.
                stored = browser.insist("GET", path).json()["review"]
                assert stored["content"]["sentences"][0]["text"] == f"Typed {number} times."
                version = stored["version"]
                break
            assert answer is None or answer.status_code >= 500, answer.text
            assert time.monotonic() < deadline, "the text is not stored"
            time.sleep(0.1)
    killer.join()
    return version


def _answered(site, browser, path, **options):
    """Return the answer to a POST, repeated while the database is down."""
    answers = []

    def done():
        answers.append(browser.ask("POST", path, **options))
        return answers[-1] is not None and answers[-1].status_code < 500

    site.until(done, seconds=60, what=f"an answer to {path}")
    return answers[-1]


def _typed_and_decided(site, browser, job_id, moments, killer):
    """Type a text and decide on it, with a kill of the database in each; return the decision's id."""
    path = f"/api/jobs/{job_id}/review"
    content = browser.insist("GET", path).json()["review"]["content"]
    for each in content["sentences"]:
        each["answer"] = "agree"
    version = _typed(browser, path, content, moments, killer)
    killer.after(moments.uniform(0, 0.15))
    body = {
        "verdict": "edit",
        "base_version": version,
        "acceptability": 2,
        "seconds": {"total": 12},
    }
    key = {"Idempotency-Key": f"the-decision-{job_id}"}
    made = _answered(site, browser, f"/api/jobs/{job_id}/decisions", headers=key, body=body)
    assert made.status_code in {200, 201}, made.text
    killer.join()
    return made.json()["id"]


@pytest.mark.postgres
def test_a_killed_database_loses_nothing_that_was_typed_or_decided(
    site_class, orthanc, in_pacs, tmp_path, free_port, postgres_server_class, postgres_folder
):
    """PostgreSQL is killed while a person types, decides, and while the reports are built and sent."""
    database = postgres_server_class(postgres_folder)
    database.start()
    overrides = {
        "site_name": "Klinikum Süd",
        "database": {"url": database.new_database()},
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}],
        "reading": {"lease_seconds": 5},
        "delivery": {"lease_seconds": 5, "retry_seconds": 0.5, "retry_max_seconds": 2},
        "sweep": {"republish_seconds": 3},
    }
    site = site_class(tmp_path, free_port(), overrides)
    killer, moments = _Killer(database), random.Random(SEED)
    try:
        site.start()
        studies = []
        for number in range(3):
            dataset = as_dataset(draw(4200 + number, rows=256, columns=256))
            assert site.store_scu(write(dataset, tmp_path / f"{number}.dcm")).acknowledged
            studies.append(str(dataset.StudyInstanceUID))
        jobs = [site.completed(study) for study in studies]
        browser = _Browser(site)
        decided = [_typed_and_decided(site, browser, job.id, moments, killer) for job in jobs]
        found = [site.store.decisions(job_id=job.id) for job in jobs]
        assert [[each.id for each in one] for one in found] == [[each] for each in decided]
        assert {one[0].findings_text[0] for one in found} == {"Typed 14 times."}
        records = [each.event for each in site.store.whole_audit()]
        audited = [each.job_id for each in records if each.action is AuditAction.DECIDED]
        assert sorted(audited) == sorted(job.id for job in jobs)
        assert first_fault(site.store.whole_audit()) == ""

        decisions = [one[0] for one in found]
        killer.after(UNDO_SECONDS + 1)  # about when the reports are due

        def all_there():
            with contextlib.suppress(StoreError):
                states = {each.state for each in site.store.reports_of(decisions).values()}
                return states == {ReportState.READ_BACK}
            return False

        site.until(all_there, seconds=UNDO_SECONDS + 90, what="all verified reports read back")
        killer.join()
        for study in studies:
            (report,) = _verified(in_pacs(study))
            observer = report.VerifyingObserverSequence[0]
            assert str(observer.VerifyingObserverName) == "Curie^Marie"
            texts = [str(each.value) for each in report.iterall() if each.keyword == "TextValue"]
            assert "Typed 14 times." in texts
    finally:
        killer.join()
        site.stop()
        database.stop()
        killer.close()
