"""Questions about an image through the whole service, while worker and Redis are killed."""

import json
import threading
from datetime import timedelta

import httpx
import pytest

from dicom.content.report import Observation, Side
from dicom.phantom import PhantomFinding, as_dataset, draw, write
from service.accounts import Role, SessionLimits, new_secret
from service.review.questions import QuestionState
from service.web.access.transport import SECURE_COOKIE

pytestmark = [pytest.mark.dcmtk, pytest.mark.timeout(300)]

EFFUSION = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.RIGHT)
REPORT = "Findings: The heart is enlarged. No pneumothorax.\nImpression: Cardiomegaly."
SLOW = "Yes, there is a very slow effusion."


class Radiologist:
    """A radiologist's requests to a site."""

    def __init__(self, site):
        person = site.store.add_person(
            "curie", roles=frozenset({Role.RADIOLOGIST}), password_hash="", actor="test",
            display_name="Marie Curie", dicom_name="Curie^Marie",
        ).person  # fmt: skip
        token, digest = new_secret()
        limits = SessionLimits(idle=timedelta(hours=1), absolute=timedelta(hours=1))
        assert site.store.open_session(digest, person.id, address="127.0.0.1", limits=limits)
        self.site, self.number = site, 0
        self.headers = {"Cookie": f"{SECURE_COOKIE}={token}", "Sec-Fetch-Site": "same-origin"}

    def send(self, method, path, body=None, key=""):
        """Return the answer to a request."""
        url = json.loads((self.site.settings.run_dir / "web.json").read_text())["url"].rstrip("/")
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return httpx.request(method, url + path, headers=headers, json=body, timeout=20)

    def ask(self, job, text, kind="question"):
        """Return the id of a question that was taken."""
        self.number += 1
        body = {"kind": kind, "text": text}
        answer = self.send("POST", f"/api/jobs/{job.id}/questions", body, f"key-{self.number:05}")
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def answered(self, question_id, seconds=60):
        """Return a question once it has ended."""
        store = self.site.store

        def over():
            return not store.question(question_id).is_open

        self.site.until(over, seconds=seconds, what="the end of the question")
        return store.question(question_id)


def _site(site_class, folder, port, **overrides):
    folder.mkdir()
    given = {
        "site_name": "Klinikum Süd",
        "destinations": [{"kind": "folder", "name": "pacs", "path": str(folder.parent / "pacs")}],
        "sweep": {"republish_seconds": 2},
        **overrides,
    }
    return site_class(folder, port, given)


def test_the_demo_model_answers_and_nothing_of_it_is_in_the_verified_report(
    site_class, orthanc, in_pacs, tmp_path, free_port
):
    """Redis is killed between two questions; the accepted report holds the draft's words only."""
    pacs = [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}]
    site = _site(site_class, tmp_path / "site", free_port(), destinations=pacs)
    try:
        site.start()
        dataset = as_dataset(draw(4102, rows=420, columns=400, findings=(EFFUSION,)))
        assert site.store_scu(write(dataset, tmp_path / "one.dcm")).acknowledged
        study = str(dataset.StudyInstanceUID)
        job, reader = site.completed(study), Radiologist(site)
        first = reader.answered(reader.ask(job, "Is there a pleural effusion?"))
        assert (first.state, first.answer.text[:4]) == (QuestionState.ANSWERED, "Yes,")
        assert first.answer.weights_sha256 == job.draft.model.weights_sha256
        site.kill("redis")
        second = reader.answered(reader.ask(job, "Is there a pneumothorax?"))
        assert (second.state, second.answer.text[:3]) == (QuestionState.ANSWERED, "No,")
        differential = reader.answered(reader.ask(job, "", "differential"))
        assert differential.state is QuestionState.ANSWERED
        path = f"/api/jobs/{job.id}"
        content = reader.send("GET", f"{path}/review").json()["review"]["content"]
        for each in content["sentences"]:
            each["answer"] = "agree"
        body = {
            "verdict": "accept", "base_version": 0, "acceptability": 1, "seconds": {"total": 9},
            "content": content,
        }  # fmt: skip
        made = reader.send("POST", f"{path}/decisions", body, "decision-1")
        assert made.status_code == 201, made.text

        def verified():
            return [
                each
                for each in in_pacs(study).values()
                if each.get("VerificationFlag") == "VERIFIED"
            ]

        site.until(verified, seconds=150, what="the verified report")
        (report,) = verified()
        text = " ".join(str(each.value) for each in report.iterall() if each.VR in {"UT", "LO"})
        for answer in (first, second, differential):
            assert answer.answer.text not in text
            assert answer.text == "" or answer.text not in text
        assert job.draft.findings_text[0] in text
    finally:
        site.stop()


def test_a_worker_that_is_killed_while_it_answers_leaves_one_answer(
    site_class, scripted_server, tmp_path, free_port
):
    """The next worker answers the question, once; the broker never held its text."""
    answering, killed = threading.Event(), threading.Event()

    def script(_number, body):
        if "slow" not in json.dumps(body["messages"]):
            return server.events([REPORT], model="chest")
        if killed.is_set():
            return server.events([SLOW], model="chest")
        answering.set()
        return server.events(["Yes, "] * 100, model="chest", seconds=0.3)

    server = scripted_server(script)
    reading = {
        "kind": "openai", "model": "chest", "profile": "generic", "server_url": server.url,
        "server_model": "chest", "demo_reads_patients": False,
    }  # fmt: skip
    site = _site(site_class, tmp_path / "site", free_port(), reading=reading)
    try:
        site.start()
        dataset = as_dataset(draw(4103, rows=256, columns=256))
        assert site.store_scu(write(dataset, tmp_path / "one.dcm")).acknowledged
        job, reader = site.completed(str(dataset.StudyInstanceUID)), Radiologist(site)
        question = reader.ask(job, "Is there a slow effusion?")
        assert answering.wait(30)
        killed.set()
        site.kill("worker-reading")
        found = reader.answered(question, seconds=120)
        assert (found.state, found.answer.text) == (QuestionState.ANSWERED, SLOW)
        assert found.attempts == 2
        assert "slow" not in site.log()
    finally:
        site.stop()
