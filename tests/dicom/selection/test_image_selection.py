"""Which image of a study is read, and why not the others: tags, order, ages, pixels."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
)

from dicom import phantom
from dicom.parsing.header import read_header
from dicom.pixels.frame import PixelLimits
from dicom.selection.image_selection import Eligibility, Reason, Rules, choose, triage
from dicom.study import Instance, Study

LIMITS = PixelLimits(max_pixels=64 * 2**20, max_bytes=256 * 2**20)
ADULTS = Rules(minimum_age_years=18, read_children=False)
EVERYBODY = Rules(minimum_age_years=18, read_children=True)


def study_of(*paths):
    """Return a study of the images at `paths`."""
    instances = tuple(
        Instance(
            sop_instance_uid=f"1.2.{number}",
            sop_class_uid=DigitalXRayImageStorageForPresentation,
            series_instance_uid="1.3",
            study_instance_uid="1.1",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=Path(path),
            digest="",
            size=0,
        )
        for number, path in enumerate(paths)
    )
    return Study(study_instance_uid="1.1", instances=instances)


@pytest.fixture
def image(tmp_path):
    """A function that writes a synthetic image with tags put over its own, and returns its path."""
    number = 0

    def write(*, view="PA", change=None, wrap=None, **attributes):
        nonlocal number
        number += 1
        if view == "LL":
            drawn = phantom.draw_lateral(1, rows=256, columns=256)
        else:
            drawn = phantom.draw(1, rows=256, columns=256, view=view)
        dataset = phantom.as_dataset(change(drawn) if change else drawn, **(wrap or {}))
        for keyword, value in attributes.items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)
        return phantom.write(dataset, tmp_path / f"{number}.dcm")

    return write


@pytest.mark.parametrize(
    "name",
    [
        "barre_CR-MONO1-10_pa_headless-nometa.dcm",
        "barre_cxr_deflated.dcm",
        "canon_dx_pa_mono1_12bit_j2k-lossless.dcm",
        "nema_RG1_pa_mono1_15bit_j2k-lossy.dcm",
        "nih_gcp_nofinding_patient-covid0000_implicitLE.dcm",
        "nih_google_00000001_000_cardiomegaly_implicitLE.dcm",
        "rsna_pa_mono2_jpegbaseline8.dcm",
        "udacity_nih_test2.dcm",
        "udacity_nih_test3.dcm",
        "udacity_nih_test4.dcm",
        "udacity_nih_test5.dcm",
    ],
)
def test_each_real_chest_image_is_read(shared_data, name):
    """Images with missing or wrong tags (RIBCAGE, CT) are read because of their pixels."""
    selection = choose(study_of(shared_data / "cxr-dicom" / name), ADULTS, LIMITS)
    assert selection.reason is None
    assert selection.frame is not None
    assert selection.header is not None
    assert selection.not_read == ()
    assert selection.view == ("PA" if "_pa_" in name or "barre" in name else "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("not-chest/nema_RG2_hip_mono2_10bit_j2k.dcm", Reason.NOT_CHEST),
        ("not-chest/highdicom_dog-thorax_dx_mono1.dcm", Reason.NOT_PLAUSIBLE),
        ("not-chest/dcm4che_test16signed_chest-tag.dcm", Reason.NOT_PLAUSIBLE),
        ("cxr-dicom/rsna_pa_header-only-mono1_jpegbaseline8.dcm", Reason.INVERTED),
        ("edge-cases/cxr-malformed/all_black_pixels.dcm", Reason.BLANK),
        ("edge-cases/cxr-malformed/wrong_photometric_mono2.dcm", Reason.INVERTED),
        ("edge-cases/cxr-malformed/rows_cols_65535_bomb.dcm", Reason.TOO_LARGE),
        ("edge-cases/cxr-malformed/truncated_half_file.dcm", Reason.UNREADABLE),
        ("edge-cases/cxr-malformed/zero_bytes.dcm", Reason.UNREADABLE),
        ("edge-cases/pydicom/test_files/CT_small.dcm", Reason.NOT_RADIOGRAPH),
        ("edge-cases/pydicom/test_files/test-SR.dcm", Reason.NO_IMAGE),
    ],
)
def test_each_other_real_file_has_its_reason(shared_data, name, reason):
    """Unsuitable images are refused, with a message for the image too."""
    selection = choose(study_of(shared_data / name), ADULTS, LIMITS)
    assert (selection.reason, selection.frame) == (reason, None)
    assert selection.sentence.endswith(".")
    assert len(selection.not_read) == 1


def test_the_dog_is_refused_where_children_are_read(shared_data):
    """The dog is refused because of the pixels, not of its age of five."""
    dog = shared_data / "not-chest" / "highdicom_dog-thorax_dx_mono1.dcm"
    assert choose(study_of(dog), EVERYBODY, LIMITS).reason is Reason.NOT_PLAUSIBLE


def test_where_the_tags_must_state_it_silence_is_a_reason(image):
    """With the rule `stated_only` only images are read that are marked as frontal chest images."""
    strict = Rules(minimum_age_years=18, read_children=False, stated_only=True)
    silent, stated = image(view=""), image(view="AP")
    selection = choose(study_of(silent), strict, LIMITS)
    assert (selection.reason, selection.frame) == (Reason.NOT_STATED, None)
    assert choose(study_of(silent), ADULTS, LIMITS).reason is None
    both = study_of(silent, stated)
    selection = choose(both, strict, LIMITS)
    assert selection.instance is both.instances[1]
    assert selection.not_read[0].reason == Reason.NOT_STATED.sentence


def test_pa_is_preferred_to_ap_and_a_lateral_is_named(image):
    """Of PA, AP and lateral the PA image is read; the others are listed in order of arrival."""
    study = study_of(image(view="LL"), image(view="AP"), image(view="PA"))
    selection = choose(study, ADULTS, LIMITS)
    assert selection.instance is study.instances[2]
    assert selection.view == "PA"
    assert [entry.sop_instance_uid for entry in selection.not_read] == ["1.2.0", "1.2.1"]
    assert selection.not_read[0].reason == Reason.NOT_FRONTAL.sentence
    assert selection.not_read[1].reason == Reason.ANOTHER_CHOSEN.sentence


def test_for_presentation_is_preferred_to_its_raw_twin(image):
    """The image made for reading is read, although the raw one came first."""
    study = study_of(image(wrap={"for_presentation": False}), image())
    assert choose(study, ADULTS, LIMITS).instance is study.instances[1]


def test_a_raw_image_alone_is_read_with_a_warning(image):
    """A study with only a FOR PROCESSING image is still read."""
    selection = choose(study_of(image(wrap={"for_presentation": False})), ADULTS, LIMITS)
    assert selection.reason is None
    assert any("FOR PROCESSING" in note for note in selection.notes)


def test_the_later_of_two_equal_images_is_read(image):
    """A repeat was taken because the first was not good enough; order of arrival does not matter."""
    early = image(AcquisitionDate="20240101", AcquisitionTime="080000")
    late = image(AcquisitionDate="20240101", AcquisitionTime="080500.123")
    for paths in ((early, late), (late, early)):
        selection = choose(study_of(*paths), ADULTS, LIMITS)
        assert selection.instance is not None
        assert selection.instance.path == late


def test_a_bone_suppressed_twin_is_not_preferred(image):
    """A picture computed from the image is read only where the image itself is not there."""
    study = study_of(image(SeriesDescription="Chest PA bone suppressed"), image())
    assert choose(study, ADULTS, LIMITS).instance is study.instances[1]


def test_an_implausible_first_choice_gives_way_to_the_next(image):
    """The PA image is a negative, so the AP one is read and the reason is listed."""
    study = study_of(image(change=phantom.inverted), image(view="AP"))
    selection = choose(study, ADULTS, LIMITS)
    assert selection.instance is study.instances[1]
    assert selection.not_read[0].reason == Reason.INVERTED.sentence


def test_an_unreadable_first_choice_gives_way_to_the_next(image):
    """A truncated PA file does not prevent the reading of the AP one."""
    broken = image()
    broken.write_bytes(broken.read_bytes()[:-5000])
    study = study_of(broken, image(view="AP"))
    selection = choose(study, ADULTS, LIMITS)
    assert selection.instance is study.instances[1]
    assert selection.not_read[0].reason.startswith("The image cannot be read")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (phantom.inverted, Reason.INVERTED),
        (lambda drawn: phantom.turned(drawn, 1), Reason.ROTATED),
        (lambda drawn: phantom.turned(drawn, 2), Reason.ROTATED),
    ],
)
def test_an_image_shown_wrongly_is_refused_whatever_its_tags_state(image, change, reason):
    """PA in the tags does not make a negative or a turned image readable."""
    assert choose(study_of(image(change=change)), ADULTS, LIMITS).reason is reason


def test_a_mirrored_phantom_is_read(image):
    """Sides cannot be determined from the picture."""
    assert choose(study_of(image(change=phantom.mirrored)), ADULTS, LIMITS).reason is None


def test_a_lateral_alone_ends_with_its_reason(image):
    """By its tags, or by its pixels if the tags state nothing."""
    stated = image(view="LL")
    silent = image(view="LL", wrap={"view_position": ""})
    assert triage(read_header(silent)).eligibility is Eligibility.POSSIBLE
    for path in (stated, silent):
        assert choose(study_of(path), ADULTS, LIMITS).reason is Reason.NOT_FRONTAL


def test_silent_tags_are_read_with_notes(image):
    """The draft notes what the tags do not state."""
    path = image(
        wrap={"view_position": "", "body_part": ""},
        PatientAge=None,
        PatientBirthDate="",
        StudyDescription="",
        AnatomicRegionSequence=None,
        SeriesDescription="",
        ProtocolName="",
    )
    selection = choose(study_of(path), ADULTS, LIMITS)
    assert selection.view == ""
    assert "The view position is not stated" in " ".join(selection.notes)
    assert "The body part is not stated" in " ".join(selection.notes)
    assert "age is not stated" in " ".join(selection.notes)


@pytest.mark.parametrize("view", ["PA", "LL"])
def test_nothing_is_read_of_a_study_with_two_patients(image, view):
    """Also when only the lateral has the other name: a person must correct that first."""
    selection = choose(study_of(image(), image(view=view, PatientID="ANOTHER")), ADULTS, LIMITS)
    assert selection.instance is None
    assert selection.reason is Reason.TWO_PATIENTS
    assert [item.reason for item in selection.not_read] == [Reason.TWO_PATIENTS.sentence] * 2


def test_a_child_is_not_read_unless_the_site_allows_it(image):
    """Twelve years is a child under 18: CHILD, or read and marked as one."""
    study = study_of(image(PatientAge="012Y"))
    refused = choose(study, ADULTS, LIMITS)
    assert (refused.reason, refused.child) == (Reason.CHILD, False)
    allowed = choose(study, EVERYBODY, LIMITS)
    assert allowed.reason is None
    assert allowed.child is True


def test_an_age_of_0_with_an_adult_s_birth_date_is_an_adult_s(image):
    """Modalities write 000Y for unknown; the draft states which of the two was used."""
    selection = choose(
        study_of(image(PatientAge="000Y", PatientBirthDate="19411231")), ADULTS, LIMITS
    )
    assert (selection.reason, selection.child) == (None, False)
    assert any("the birth date was used" in note for note in selection.notes)
    newborn = image(PatientAge="000D", PatientBirthDate="20240301", StudyDate="20240301")
    assert choose(study_of(newborn), ADULTS, LIMITS).reason is Reason.CHILD


def test_an_image_that_was_sent_again_with_its_patient_id_corrected_is_read(image):
    """The first one stays in the study and does not delay the second, in any order of arrival."""
    dirty, clean = image(PatientID="12345\r\n"), image(PatientID="12345")
    for paths in ((dirty, clean), (clean, dirty)):
        selection = choose(study_of(*paths), ADULTS, LIMITS)
        assert selection.instance is not None
        assert selection.instance.path == Path(clean)
        (other,) = selection.not_read
        assert "Patient ID (0010,0020)" in other.reason
    alone = choose(study_of(dirty), ADULTS, LIMITS)
    assert alone.instance is not None


def test_an_identifier_that_is_left_out_is_noted(image):
    """The draft states which one, and why."""
    selection = choose(study_of(image(AccessionNumber="A1\nxy")), ADULTS, LIMITS)
    assert any("Accession Number (0008,0050)" in note for note in selection.notes)


def test_the_age_limit_is_the_site_s(image):
    """Twelve years is no child where the limit is ten."""
    selection = choose(
        study_of(image(PatientAge="012Y")), Rules(minimum_age_years=10, read_children=False), LIMITS
    )
    assert (selection.reason, selection.child) == (None, False)


def test_patient_orientation_to_the_right_warns_of_exchanged_sides(image):
    """Rows that run to the patient's right mean that the image is stored mirrored."""
    selection = choose(study_of(image(PatientOrientation=["R", "F"])), ADULTS, LIMITS)
    assert any("exchanged" in note for note in selection.notes)


def test_a_study_of_nothing_has_no_image():
    """No instance at all is a reason too."""
    selection = choose(study_of(), ADULTS, LIMITS)
    assert (selection.reason, selection.not_read) == (Reason.NO_IMAGE, ())


def test_the_nearest_reason_is_that_of_the_study(image, tmp_path):
    """Of a lateral, a hip and a broken file the lateral's reason is the study's."""
    hip = image(BodyPartExamined="HIP", AnatomicRegionSequence=None, SeriesDescription="HIP")
    nothing = tmp_path / "nothing.dcm"
    nothing.write_bytes(b"")
    selection = choose(study_of(nothing, hip, image(view="LL")), ADULTS, LIMITS)
    assert selection.reason is Reason.NOT_FRONTAL
    assert len(selection.not_read) == 3


def test_damaged_headers_never_escape(shared_data, tmp_path):
    """A hundred images with flipped header bytes lead to a selection."""
    whole = (shared_data / "cxr-dicom" / "barre_CR-MONO1-10_pa_explicitLE.dcm").read_bytes()
    rng = np.random.default_rng(11)
    path = tmp_path / "damaged.dcm"
    for _ in range(100):
        damaged = bytearray(whole)
        for at in rng.integers(132, 1200, 8):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        selection = choose(study_of(path), ADULTS, LIMITS)
        assert (selection.frame is None) == (selection.reason is not None)


SYNTHETIC_ONLY = Rules(minimum_age_years=18, read_children=False, synthetic_only=True)


def test_a_phantom_is_read_where_only_synthetic_images_are(image):
    """The marks of a phantom are sufficient."""
    assert choose(study_of(image()), SYNTHETIC_ONLY, LIMITS).instance is not None


def test_a_patients_image_is_not_read_where_only_synthetic_images_are(image):
    """One of the two marks is not enough; the study's reason is that one."""
    patient = image(QualityControlSubject="NO")
    selection = choose(study_of(patient), SYNTHETIC_ONLY, LIMITS)
    assert (selection.instance, selection.reason) == (None, Reason.NO_MODEL_FOR_PATIENTS)
    assert selection.not_read[0].reason == Reason.NO_MODEL_FOR_PATIENTS.sentence


def test_a_phantom_beside_a_patients_image_is_not_read_instead(image):
    """Its draft would be stored in the patient's study."""
    both = study_of(image(), image(QualityControlSubject="NO"))
    assert choose(both, SYNTHETIC_ONLY, LIMITS).reason is Reason.NO_MODEL_FOR_PATIENTS


def test_what_no_model_reads_keeps_its_own_reason(image):
    """A lateral or a child: this reason comes before that of the missing marks."""
    child = study_of(image(PatientAge="012Y", QualityControlSubject="NO"))
    assert choose(child, SYNTHETIC_ONLY, LIMITS).reason is Reason.CHILD
    lateral = study_of(image(view="LL", QualityControlSubject="NO"))
    assert choose(lateral, SYNTHETIC_ONLY, LIMITS).reason is Reason.NOT_FRONTAL
