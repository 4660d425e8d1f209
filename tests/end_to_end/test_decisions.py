"""`kill -9` between decision, verified report and delivery: no report twice, none without its author."""

import random
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from dicom.phantom import as_dataset, draw, write
from service.review.content import ReviewContent
from service.review.decision import UNDO_SECONDS, DecisionRequest, Reviewer, Seconds
from service.review.draft_sentences import draft_sentences
from service.review.words import Acceptability, Answer, ReportState, Verdict
from service.store import Store
from service.store.session import utc_now

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
    return store.decide(job.id, request, author, key=f"key-{number}", digest="d")


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
            words = [str(each.value) for each in report.iterall() if each.keyword == "TextValue"]
            assert set(decision.findings_text) <= set(words)
            assert (
                report.SOPInstanceUID == site.store.made_report(decision.id).object.sop_instance_uid
            )
    finally:
        deciding.close()
        site.stop()
