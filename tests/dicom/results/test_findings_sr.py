"""The findings document: which finding becomes a group, which an evaluation, and where it lies."""

import math
from io import BytesIO

import highdicom
import pytest

from dicom.content.report import Finding, Observation, Presence, Region, Side
from dicom.errors import InvalidOutput
from dicom.results.findings_sr import findings_report
from dicom.results.outputs import Output, as_file, encode

ATELECTASIS = Finding(observation=Observation.ATELECTASIS, presence=Presence.PRESENT, score=0.7)


@pytest.fixture
def findings(image_header, make_draft, equipment):
    """A function that returns the SR of a draft with changes."""

    def build(header=None, **changes):
        header = header or image_header()
        return findings_report(make_draft(header, **changes), header, equipment)

    return build


def named(items, value):
    """Return the items whose concept name has the Code Value `value`."""
    return [item for item in items if item.ConceptNameCodeSequence[0].CodeValue == value]


def groups(document, content_items):
    """Return the Measurement Groups."""
    return named(content_items(document), "125007")


def graphic(group, content_items):
    """Return the points of a group's region as (column, row) pairs."""
    (region,) = [item for item in content_items(group) if item.ValueType == "SCOORD"]
    values = [float(value) for value in region.GraphicData]
    return list(zip(values[::2], values[1::2], strict=True))


def test_located_findings_become_groups_with_a_region_each(findings, content_items):
    """A finding with a region is a TID 1410 group with finding, presence, certainty and polygon."""
    first, second = groups(findings(), content_items)
    codes = [
        named(content_items(g), "121071")[0].ConceptCodeSequence[0].CodeValue
        for g in (first, second)
    ]
    assert codes == ["8186001", "95436008"]
    assert graphic(first, content_items) == [
        (72, 150),
        (168, 150),
        (168, 240),
        (72, 240),
        (72, 150),
    ]
    (certainty,) = named(content_items(first), "111012")
    assert certainty.MeasuredValueSequence[0].NumericValue == 91
    assert certainty.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "%"
    (presence,) = named(content_items(second), "705057003")
    assert presence.ConceptCodeSequence[0].CodeMeaning == "Undetermined"


def test_every_group_has_one_region_selected_from_the_image(findings, content_items):
    """A group without coordinates crashes OHIF; each has a POLYLINE on the image."""
    document = findings()
    for group in groups(document, content_items):
        (region,) = [item for item in content_items(group) if item.ValueType == "SCOORD"]
        assert region.GraphicType == "POLYLINE"
        (selected,) = region.ContentSequence
        assert selected.RelationshipType == "SELECTED FROM"
        assert selected.ReferencedSOPSequence[0].ReferencedSOPInstanceUID


@pytest.mark.parametrize("found", [(), (ATELECTASIS,)])
def test_without_a_located_finding_the_analyzed_region_is_the_group(findings, content_items, found):
    """There is always one group: when nothing is located it outlines the whole image."""
    (group,) = groups(findings(findings=found), content_items)
    (finding,) = named(content_items(group), "121071")
    assert finding.ConceptCodeSequence[0].CodeMeaning == "Selected region"
    assert graphic(group, content_items)[0] == (0.5, 0.5)
    assert graphic(group, content_items)[2] == (239.5, 299.5)


def test_the_rest_becomes_evaluations_in_words_and_coded(findings, content_items):
    """Absent and unlocated findings are a sentence, and a code where there is a reviewed one."""
    (evaluations,) = named(content_items(findings()), "C0034375")
    sentence, coded, text = evaluations.ContentSequence
    assert sentence.TextValue == "Pneumothorax: absent; model score 2 %, not calibrated."
    assert coded.ConceptNameCodeSequence[0].CodeValue == "36118008"
    assert coded.ConceptCodeSequence[0].CodeMeaning == "Absent"
    assert text.TextValue == "Fracture (right): present."


def test_findings_that_are_not_mentioned_are_not_written(findings, content_items):
    """A finding that is not mentioned has no code; if none is mentioned that is reported."""
    silent = Finding(observation=Observation.EDEMA, presence=Presence.NOT_MENTIONED)
    absent = Finding(observation=Observation.PNEUMOTHORAX, presence=Presence.ABSENT)
    (one,) = named(content_items(findings(findings=(silent, absent))), "C0034375")
    coded = [row for row in one.ContentSequence if row.ValueType == "CODE"]
    assert [row.ConceptNameCodeSequence[0].CodeValue for row in coded] == ["36118008"]
    assert [row.TextValue for row in one.ContentSequence if row not in coded] == [
        "Pneumothorax: absent."
    ]
    (none,) = named(content_items(findings(findings=(silent,))), "C0034375")
    (sentence,) = none.ContentSequence
    assert sentence.TextValue.startswith("No finding is coded, neither present nor absent.")


def test_side_belongs_to_paired_organs_only(findings, content_items):
    """Laterality stands under lung and pleura, never under the heart."""
    region = Region(points=((1, 1), (9, 1), (9, 9), (1, 9), (1, 1)))
    both = tuple(
        Finding(observation=o, presence=Presence.PRESENT, side=Side.LEFT, region=region)
        for o in (Observation.CARDIOMEGALY, Observation.PLEURAL_EFFUSION)
    )
    heart, pleura = groups(findings(findings=both), content_items)
    assert not named(content_items(heart), "272741003")
    (side,) = named(content_items(pleura), "272741003")
    assert side.ConceptCodeSequence[0].CodeMeaning == "Left"


def test_algorithm_is_identified_with_weights_and_caveat(findings, content_items):
    """Each group names algorithm, version, weights and what its certainty is (TID 4019)."""
    group = groups(findings(), content_items)[0]
    assert named(content_items(group), "111001")[0].TextValue == "CXR-LLaVA v2"
    assert named(content_items(group), "111003")[0].TextValue == "2024-07"
    parameters = [item.TextValue for item in named(content_items(group), "111002")]
    assert f"Weights SHA-256: {'ab' * 32}" in parameters
    assert "Certainty is the model's own score, not calibrated." in parameters


def test_regions_are_closed_and_held_inside_the_matrix(findings, content_items):
    """An open polygon that leaves the image is closed and moved to its border."""
    region = Region(points=((-3.0, 10.0), (241.5, 10.0), (100.0, 400.0)))
    found = Finding(observation=Observation.EDEMA, presence=Presence.PRESENT, region=region)
    (group,) = groups(findings(findings=(found,)), content_items)
    points = graphic(group, content_items)
    assert points == [(0, 10), (240, 10), (100, 300), (0, 10)]


def test_a_region_outside_the_image_counts_as_none(findings, content_items):
    """A finding whose region has no area on the image is an evaluation, not a group."""
    region = Region(points=((-9, -9), (-1, -9), (-1, -1), (-9, -1), (-9, -9)))
    found = Finding(observation=Observation.EDEMA, presence=Presence.PRESENT, region=region)
    document = findings(findings=(found,))
    (group,) = groups(document, content_items)
    assert graphic(group, content_items)[0] == (0.5, 0.5)
    assert named(content_items(document), "19242006")


def test_a_coordinate_that_is_no_number_is_refused(findings):
    """NaN in a region is an error, not a polygon."""
    region = Region(points=((0, 0), (math.nan, 5), (5, 5), (0, 0)))
    found = Finding(observation=Observation.EDEMA, presence=Presence.PRESENT, region=region)
    with pytest.raises(InvalidOutput, match="not a number"):
        findings(findings=(found,))


def test_highdicom_reads_back_what_went_in(findings):
    """An independent reader finds the groups with their regions and tracking identifiers."""
    data = encode(Output(kind="findings", dataset=as_file(findings())))
    document = highdicom.sr.srread(BytesIO(data))
    read = document.content.get_planar_roi_measurement_groups()
    assert [group.tracking_identifier for group in read] == [
        "Wetread 1 cardiomegaly",
        "Wetread 2 consolidation",
    ]
    boxes = [group.roi.value.tolist() for group in read]
    # The image has 300 rows and 240 columns; corners are (column, row), closed.
    assert boxes == [
        [[72, 150], [168, 150], [168, 240], [72, 240], [72, 150]],
        [[144, 180], [216, 180], [216, 240], [144, 240], [144, 180]],
    ]
    assert [group.finding_type.value for group in read] == ["8186001", "95436008"]
    assert [group.get_measurements()[0].value for group in read] == [91, 52]
    assert read[0].roi.value.tolist()[0] == [72, 150]
    assert read[1].finding_sites[0].laterality.meaning == "Left"


def test_flags_state_complete_and_unverified(findings):
    """The computation is complete, its statement unverified, the document preliminary."""
    document = findings()
    flags = (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag)
    assert flags == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_a_normal_draft_states_it(findings, content_items):
    """A draft of "no finding" has no code of its own; when the draft states it, a sentence does."""
    normal = Finding(observation=Observation.NO_FINDING, presence=Presence.PRESENT)
    abnormal = Finding(observation=Observation.NO_FINDING, presence=Presence.ABSENT)
    (evaluations,) = named(content_items(findings(findings=(normal,))), "C0034375")
    assert evaluations.ContentSequence[0].TextValue == "The draft describes no abnormal finding."
    assert not named(content_items(findings(findings=(abnormal,))), "C0034375")
