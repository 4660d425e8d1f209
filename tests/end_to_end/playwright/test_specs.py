"""People at the pages of a real site, in Chromium by Playwright: each file of specs is a test here.

The specs are `*.spec.mjs` beside this file. Playwright runs once for all of them; its output is
`build/playwright/output.txt`, and pictures of the pages are in `build/playwright/seen`.
"""

import subprocess
from pathlib import Path

import pytest

from service.review.words import ReportState, Verdict

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.browser, pytest.mark.slow]
pytestmark.append(pytest.mark.timeout(900))

SPECS = sorted(path.name for path in Path(__file__).parent.glob("*.spec.mjs"))


@pytest.mark.parametrize("spec", SPECS)
def test_specs_pass(outcome, spec):
    """Each test of the file passed, and no page had an error or a policy violation."""
    assert outcome.counts[spec] > 0
    failed = [f"{title}\n{message}" for title, message in outcome.failures[spec].items()]
    assert not failed, "\n\n".join(failed)


@pytest.mark.validators
def test_the_report_that_was_accepted_by_keys_is_verified_in_the_archive(
    outcome, in_pacs, program, tmp_path
):
    """It names the radiologist, holds the text of the draft, and validators find no error."""
    site, study = outcome.site, outcome.studies["accepted"]
    (decision,) = site.store.decisions(job_id=study.job)
    assert decision.request.verdict is Verdict.ACCEPT
    assert decision.reviewer.display_name == "Wilhelm Röntgen"
    seconds = decision.request.seconds
    assert 0 < seconds.draft <= seconds.image <= seconds.total

    def is_read_back():
        return site.store.reports_of([decision])[decision.id].state is ReportState.READ_BACK

    site.until(is_read_back, seconds=120, what="the verified report in the archive")
    found = in_pacs(study.uid).values()
    (report,) = [each for each in found if each.get("VerificationFlag") == "VERIFIED"]
    assert (report.CompletionFlag, report.PreliminaryFlag) == ("COMPLETE", "FINAL")
    (observer,) = report.VerifyingObserverSequence
    assert str(observer.VerifyingObserverName) == "Röntgen^Wilhelm"
    assert observer.VerifyingOrganization == "St. Example Hospital"
    text = "\n".join(str(each.value) for each in report.iterall() if each.keyword == "TextValue")
    draft = site.store.job(study.job).draft
    assert [
        each for each in (*draft.findings_text, *draft.impression_text) if each not in text
    ] == []
    path = tmp_path / "verified.dcm"
    report.save_as(path)
    assert "Error" not in _output(program("dciodvfy"), "-new", path)
    page = _output(program("dsr2html"), path)
    assert "Röntgen" in page
    assert draft.findings_text[0] in page


def _output(*command) -> str:
    """Return what a program writes on both channels; it must succeed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
