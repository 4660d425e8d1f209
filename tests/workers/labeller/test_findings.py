"""What report sentences mean: presence, side, site, sentence."""

import pytest

from dicom.content.report import CODED_OBSERVATIONS, Observation, Presence, Side
from workers.labeller.findings import label

PRESENT, ABSENT, UNCERTAIN = Presence.PRESENT, Presence.ABSENT, Presence.UNCERTAIN
SILENT = Presence.NOT_MENTIONED
CARDIOMEGALY, EDEMA = Observation.CARDIOMEGALY, Observation.EDEMA
EFFUSION, PNEUMOTHORAX = Observation.PLEURAL_EFFUSION, Observation.PNEUMOTHORAX
ATELECTASIS, CONSOLIDATION = Observation.ATELECTASIS, Observation.CONSOLIDATION


def findings_of(text):
    """The findings of a text by observation."""
    return {finding.observation: finding for finding in label(text)}


@pytest.mark.parametrize(
    ("text", "observation", "presence"),
    [
        ("There is a small left pleural effusion.", EFFUSION, PRESENT),
        ("No pleural effusion or pneumothorax.", EFFUSION, ABSENT),
        ("No pleural effusion or pneumothorax.", PNEUMOTHORAX, ABSENT),
        (
            "There is no focal consolidation, pleural effusion, or pneumothorax.",
            PNEUMOTHORAX,
            ABSENT,
        ),
        ("No consolidation, but there is a pneumothorax on the right.", PNEUMOTHORAX, PRESENT),
        ("No consolidation, but there is a pneumothorax on the right.", CONSOLIDATION, ABSENT),
        ("The lungs are clear without evidence of consolidation.", CONSOLIDATION, ABSENT),
        ("A pneumothorax is not seen.", PNEUMOTHORAX, ABSENT),
        ("The left pneumothorax has resolved.", PNEUMOTHORAX, ABSENT),
        ("Possible small pleural effusion.", EFFUSION, UNCERTAIN),
        ("Opacity at the left base may represent atelectasis.", ATELECTASIS, UNCERTAIN),
        ("Atelectasis versus scarring at the left base.", ATELECTASIS, UNCERTAIN),
        ("A small effusion cannot be excluded.", EFFUSION, UNCERTAIN),
        ("Probable bilateral pleural effusions.", EFFUSION, PRESENT),
        ("The heart is enlarged.", CARDIOMEGALY, PRESENT),
        ("Mildly enlarged cardiac silhouette.", CARDIOMEGALY, PRESENT),
        ("Heart size is normal.", CARDIOMEGALY, ABSENT),
        ("The heart is not significantly enlarged.", CARDIOMEGALY, ABSENT),
        ("The cardiomediastinal silhouette is within normal limits.", CARDIOMEGALY, ABSENT),
        ("Heart size is upper limits of normal.", CARDIOMEGALY, ABSENT),
        ("Borderline heart size.", CARDIOMEGALY, UNCERTAIN),
        ("No change in the mild pulmonary edema.", EDEMA, PRESENT),
        ("Soft tissue edema of the neck.", EDEMA, SILENT),
        ("Large pericardial effusion.", EFFUSION, SILENT),
        ("Hydropneumothorax on the left.", PNEUMOTHORAX, PRESENT),
        ("Bibasilar atelectatic changes.", ATELECTASIS, PRESENT),
        ("The bones are intact.", PNEUMOTHORAX, SILENT),
    ],
)
def test_a_sentence_states_whether_it_is_there(text, observation, presence):
    """Negation, doubt and their scopes are understood as a radiologist means them."""
    assert findings_of(text)[observation].presence is presence


@pytest.mark.parametrize(
    ("text", "side", "site"),
    [
        ("Consolidation in the right upper lobe.", Side.RIGHT, "upper lobe"),
        ("Left lower lobe consolidation.", Side.LEFT, "lower lobe"),
        ("Bilateral consolidation.", Side.BILATERAL, None),
        ("Right greater than left consolidation.", Side.BILATERAL, None),
        ("Retrocardiac consolidation.", None, "retrocardiac"),
        ("Consolidation.", None, None),
        ("No consolidation in the left lung.", None, None),
        ("Consolidation on the left; clear right lung.", Side.LEFT, None),
    ],
)
def test_side_and_site_come_from_the_same_clause(text, side, site):
    """What is present has the side and place that its own clause gives, what is absent has none."""
    finding = findings_of(text)[CONSOLIDATION]
    assert (finding.side, finding.site) == (side, site)


def test_the_heart_has_no_side():
    """A side in a sentence about the heart is not the heart's."""
    assert findings_of("Cardiomegaly with left ventricular contour.")[CARDIOMEGALY].side is None


def test_the_strongest_sentence_is_quoted():
    """Present beats uncertain beats absent over a report, and the sentence that says it is kept."""
    text = "No pneumothorax. Possible effusion at the base. There is a small left effusion. No effusion."
    finding = findings_of(text)[EFFUSION]
    assert finding.presence is PRESENT
    assert finding.sentence == "There is a small left effusion."
    assert finding.side is Side.LEFT


def test_every_observation_is_answered_once_in_order():
    """All fourteen come back in their order, also for an empty text."""
    assert [finding.observation for finding in label("")] == list(Observation)
    assert {finding.presence for finding in label("")} == {SILENT}


def test_no_finding_is_what_a_clear_report_states():
    """A report that only denies has no finding; one that affirms has; silence states nothing."""
    clear = "The lungs are clear. Heart size is normal. No pleural effusion or pneumothorax."
    assert findings_of(clear)[Observation.NO_FINDING].presence is PRESENT
    assert findings_of(clear + " Small nodule.")[Observation.NO_FINDING].presence is ABSENT
    assert findings_of("")[Observation.NO_FINDING].presence is SILENT


def test_a_long_text_is_labelled_quickly():
    """A hostile repetition costs no more than its length."""
    found = label("heart " * 5000 + "no " * 5000 + "effusion of the " * 5000)
    assert {finding.observation for finding in found} >= set(CODED_OBSERVATIONS)
