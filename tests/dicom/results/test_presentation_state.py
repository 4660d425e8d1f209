"""The presentation state shows the image as the image itself declares, with the regions on it."""

import pytest

from dicom.content.report import Finding, Observation, Presence, Region
from dicom.errors import DatasetMismatch, InvalidOutput
from dicom.results.presentation_state import presentation_state

TRIANGLE = ((10.0, 10.0), (50.0, 10.0), (50.0, 60.0))


def located(points=TRIANGLE):
    """Return a finding with a region."""
    return Finding(
        observation=Observation.EDEMA, presence=Presence.UNCERTAIN, region=Region(points=points)
    )


@pytest.fixture
def state(image_header, make_draft, equipment):
    """A function that returns the state of an image whose attributes are changed."""

    def make(findings=None, **attributes):
        findings = (located(),) if findings is None else findings
        header = image_header(**attributes)
        return presentation_state(make_draft(header, findings=findings), header, equipment)

    return make


@pytest.mark.parametrize(
    ("slope", "intercept"), [("2", "-1000"), ("2", "0"), ("1", "-1024"), ("0.5", "0")]
)
def test_the_rescale_is_that_of_the_image(state, slope, intercept):
    """A viewer ignores the image's own (PS3.3 A.33.1): also where its intercept is 0."""
    made = state(RescaleSlope=slope, RescaleIntercept=intercept)
    assert (made.RescaleSlope, made.RescaleIntercept) == (float(slope), float(intercept))


@pytest.mark.parametrize("attributes", [{}, {"RescaleSlope": "0", "RescaleIntercept": "5"}])
def test_without_a_usable_rescale_there_is_none(state, attributes):
    """Absent, or with slope 0, which reading ignores too."""
    assert "RescaleSlope" not in state(**attributes)


def test_the_window_is_the_first_of_the_image(state):
    """With its function."""
    made = state(WindowCenter=["100", "200"], WindowWidth=["50", "400"], VOILUTFunction="SIGMOID")
    (voi,) = made.SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction) == (100, 50, "SIGMOID")
    assert "SoftcopyVOILUTSequence" not in state(WindowCenter="100", WindowWidth="0")


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")]
)
def test_the_polarity_is_that_of_the_image(state, photometric, shape):
    """PS3.3 C.11.6."""
    assert state(PhotometricInterpretation=photometric).PresentationLUTShape == shape


def test_a_region_is_a_closed_line_with_a_label(state):
    """In pixels of the image; an uncertain finding has a question mark."""
    (annotation,) = state().GraphicAnnotationSequence
    (graphic,) = annotation.GraphicObjectSequence
    assert graphic.NumberOfGraphicPoints == 4
    assert list(graphic.GraphicData[:2]) == list(graphic.GraphicData[-2:]) == [10.0, 10.0]
    assert annotation.TextObjectSequence[0].UnformattedTextValue == "AI: Edema? (not verified)"


def test_without_regions_there_is_no_layer(state):
    """Nothing to show or hide."""
    made = state(findings=())
    assert "GraphicAnnotationSequence" not in made
    assert "GraphicLayerSequence" not in made


def test_faults_are_typed_errors(state, image_header, make_draft, equipment):
    """A coordinate that is no number, and the header of another image, raise an error."""
    with pytest.raises(InvalidOutput):
        state(findings=(located(((float("nan"), 1.0), (5.0, 1.0), (5.0, 5.0))),))
    with pytest.raises(DatasetMismatch):
        presentation_state(make_draft(image_header()), image_header(StudyID="2"), equipment)
