"""A radiologist accepts a draft by keyboard; the PACS holds the verified report of that person."""

import json

import pytest

from dicom.phantom import as_dataset, draw, write
from service.accounts import Role
from service.passwords import hash_password
from service.review.words import ReportState

pytestmark = [
    pytest.mark.orthanc,
    pytest.mark.dcmtk,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]
PHRASE = "correct horse battery"
ANSWERED = "return document.getElementById('missing').textContent === ''"
SHOWN = "return document.getElementById('missing')?.textContent === 'Read the draft first (Space).'"


def test_keys_lead_from_login_to_a_verified_report_in_the_pacs(
    site_class, orthanc, in_pacs, tmp_path, free_port, open_browser
):
    """Login, j, Enter, Space, y for each sentence, a, 2; a minute later the PACS has it."""
    overrides = {
        "site_name": "St. Example Hospital",
        "destinations": [{"kind": "orthanc", "name": "pacs", "url": orthanc.url}],
    }
    site = site_class(tmp_path, free_port(), overrides)
    try:
        site.start()
        site.store.add_person(
            "roentgen",
            roles=frozenset({Role.RADIOLOGIST}),
            password_hash=hash_password(PHRASE),
            actor="test",
            display_name="Wilhelm Röntgen",
            dicom_name="Röntgen^Wilhelm",
        )
        dataset = as_dataset(draw(4711, rows=512, columns=512))
        assert site.store_scu(write(dataset, tmp_path / "image.dcm")).acknowledged
        job = site.completed(str(dataset.StudyInstanceUID))
        url = json.loads((site.settings.run_dir / "web.json").read_text())["url"]
        who = open_browser(f"{url.rstrip('/')}/")
        who.log_in("roentgen", PHRASE)
        row = f"return !!document.getElementById('draft-{job.id}')"
        site.until(lambda: who.run(row), seconds=30, what="the draft in the worklist")
        who.press("j", "\ue007")
        site.until(lambda: who.run(SHOWN), seconds=30, what="the image")
        who.press(" ", *["y"] * who.run("return document.querySelectorAll('.sentence').length"))
        site.until(lambda: who.run(ANSWERED), seconds=30, what="every sentence answered")
        who.press("a", "2")

        def state():
            decisions = site.store.decisions(job_id=job.id)
            return decisions and site.store.reports_of(decisions)[decisions[0].id].state

        site.until(
            lambda: state() is ReportState.READ_BACK, seconds=150, what="the report read back"
        )
        found = in_pacs(job.study_instance_uid).values()
        (report,) = [each for each in found if each.get("VerificationFlag") == "VERIFIED"]
        assert report.CompletionFlag == "COMPLETE"
        (observer,) = report.VerifyingObserverSequence
        assert str(observer.VerifyingObserverName) == "Röntgen^Wilhelm"
        assert observer.VerifyingOrganization == "St. Example Hospital"
        assert who.faults() == []
    finally:
        site.stop()
