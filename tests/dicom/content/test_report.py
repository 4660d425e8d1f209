"""The draft as JSON and back, and how agreement with sampled reports is shown on its page."""

import dataclasses
import json

import numpy as np
import pytest

from dicom.content import phrases
from dicom.content.report import Agreement, DraftReport, Finding, Observation, Presence
from dicom.results.report_page import page_image


@pytest.fixture
def sampled(image_header, make_draft):
    """A draft whose every finding was compared with eight samples."""
    draft = make_draft(image_header())
    agreement = Agreement(same=3, samples=8)
    findings = (dataclasses.replace(one, agreement=agreement) for one in draft.findings)
    return dataclasses.replace(draft, findings=tuple(findings))


def test_agreement_comes_back_from_json(sampled):
    """A draft with agreements is equal after its way through JSON."""
    text = json.dumps(sampled.to_json())
    assert '"agreement": {"same": 3, "samples": 8}' in text
    assert DraftReport.from_json(json.loads(text)) == sampled


def test_a_draft_without_agreement_is_written_as_before(image_header, make_draft):
    """The field is left out where there is none, so that drafts written before it existed load."""
    draft = make_draft(image_header())
    assert "agreement" not in json.dumps(draft.to_json())
    assert DraftReport.from_json(draft.to_json()) == draft


def test_agreement_is_reported_as_a_count():
    """A percentage of eight samples would suggest too much precision."""
    finding = Finding(observation=Observation.EDEMA, presence=Presence.PRESENT)
    assert phrases.agreement(finding) == ""
    with_samples = dataclasses.replace(finding, agreement=Agreement(same=3, samples=8))
    assert (phrases.agreement(with_samples), with_samples.agreement.share) == ("3 of 8", 0.375)


def test_the_report_page_has_a_column_for_agreement(image_header, sampled, make_draft, equipment):
    """It stands at the right of the table; nothing above or below the table changes."""
    header = image_header()
    drafts = (make_draft(header), sampled)
    plain, compared = (np.asarray(page_image(each, header, header, equipment)) for each in drafts)
    rows, columns = np.nonzero(plain != compared)
    assert 600 < rows.min() < rows.max() < 1300
    assert columns.max() > 84 + 1020
