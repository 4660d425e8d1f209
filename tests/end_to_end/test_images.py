import subprocess

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from dicom.results.annotated_image_layout import Layout
from service.jobs import JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk]

READ = [
    "barre_CR-MONO1-10_pa_explicitLE.dcm",
    "barre_CR-MONO1-10_pa_headless-nometa.dcm",
    "barre_CR-MONO1-10_pa_implicitLE.dcm",
    "barre_cxr_deflated.dcm",
    "barre_cxr_explicit-bigendian.dcm",
    "barre_cxr_j2k-lossless.dcm",
    "barre_cxr_jpeg-lossless-sv1.dcm",
    "barre_cxr_jpegls-lossless.dcm",
    "barre_cxr_rle-lossless.dcm",
    "canon_dx_pa_mono1_12bit_j2k-lossless.dcm",
    "nema_RG1_pa_mono1_15bit_j2k-lossy.dcm",
    "nema_RG1_pa_mono1_15bit_jpegls-nearlossless.dcm",
    "nih_gcp_nofinding_patient-covid0000_implicitLE.dcm",
    "nih_google_00000001_000_cardiomegaly_implicitLE.dcm",
    "rsna_pa_mono2_jpegbaseline8.dcm",
    "udacity_nih_test2.dcm",
    "udacity_nih_test3.dcm",
    "udacity_nih_test4.dcm",
    "udacity_nih_test5.dcm",
]


@pytest.fixture(scope="session")
def images(shared_data):
    """The folder of real images."""
    return shared_data / "cxr-dicom"


@pytest.mark.parametrize("name", READ)
def test_a_real_image_ends_as_sr_and_sc_in_the_pacs(site, images, own_study, in_pacs, name):
    """Each real image comes back as draft SR and SC under its own patient and study."""
    path = own_study(images / name)
    source = dcmread(path, force=True)
    assert site.store_scu(path).acknowledged
    job = site.completed(str(source.StudyInstanceUID))
    results = in_pacs(job.study_instance_uid)
    classes = {str(result.SOPClassUID) for result in results.values()}
    assert "1.2.840.10008.5.1.4.1.1.88.11" in classes
    assert "1.2.840.10008.5.1.4.1.1.7" in classes
    for result in results.values():
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber"):
            assert (result.get(keyword) or "") == (source.get(keyword) or ""), keyword
        assert result.get("VerificationFlag", "UNVERIFIED") == "UNVERIFIED"
    assert _references(results, source)


def _references(results, source):
    """Whether the SR names the image as its evidence and the SC as its source."""
    evidence = {
        str(item.ReferencedSOPInstanceUID)
        for result in results.values()
        for element in result.iterall()
        if element.keyword == "ReferencedSOPSequence"
        for item in element.value
    }
    overlay = next(result for result in results.values() if "SourceImageSequence" in result)
    named = str(overlay.SourceImageSequence[0].ReferencedSOPInstanceUID)
    return str(source.SOPInstanceUID) in evidence and named == str(source.SOPInstanceUID)


@pytest.mark.parametrize("name", [name for name in READ if "headless" not in name])
def test_the_secondary_capture_shows_the_image_as_dcmtk_shows_it(
    site, images, own_study, in_pacs, tmp_path, name
):
    """The SC's picture correlates with DCMTK's rendering: not inverted, mirrored or cut off."""
    path = own_study(images / name)
    study = str(dcmread(path, force=True, stop_before_pixels=True).StudyInstanceUID)
    site.store_scu(path)
    site.completed(study)
    overlay = next(found for found in in_pacs(study).values() if "SourceImageSequence" in found)
    rows, columns = (dcmread(path, force=True)[keyword].value for keyword in ("Rows", "Columns"))
    left, top, width, height = Layout.of(rows, columns, overlay.Columns).image
    shown = Image.fromarray(overlay.pixel_array).convert("L")
    ours = shown.crop((left, top, left + width, top + height))
    theirs = _dcmtk_picture(path, tmp_path / "film.png")
    assert _likeness(ours, theirs) > 0.9


def _dcmtk_picture(path, target):
    """Render with dcmj2pnm (JPEG, RLE, uncompressed), after dcmdjpls for JPEG-LS; J2K by Pillow."""
    syntax = str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
    if syntax in ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"):
        pytest.skip("Debian's DCMTK has no JPEG 2000 decoder; the pixel tests cover this image")
    if syntax in ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"):
        plain = target.with_suffix(".dcm")
        subprocess.run(["dcmdjpls", str(path), str(plain)], check=True)
        path = plain
    dataset = dcmread(path, stop_before_pixels=True)
    window = ["+Wi", "1"] if "WindowCenter" in dataset else ["+Wm"]
    subprocess.run(["dcmj2pnm", "+on", *window, str(path), str(target)], check=True)
    return Image.open(target).convert("L")


def _likeness(ours, theirs):
    """Correlation of both pictures at 64 x 64."""
    small = [np.asarray(image.resize((64, 64)), dtype=float).ravel() for image in (ours, theirs)]
    return np.corrcoef(*small)[0, 1]


def test_a_negative_is_not_read(site, images, own_study):
    """An image that its header inverts ends NOT_ANALYSED with that reason."""
    path = own_study(images / "rsna_pa_header-only-mono1_jpegbaseline8.dcm")
    site.store_scu(path)
    job = site.settled(str(dcmread(path, stop_before_pixels=True).StudyInstanceUID))
    assert job.state is JobState.NOT_ANALYSED
    assert job.reason_code == "INVERTED"
    assert "negative" in job.reason


@pytest.mark.parametrize(
    "name",
    [
        "nema_RG2_hip_mono2_10bit_j2k.dcm",
        "highdicom_dog-thorax_dx_mono1.dcm",
        "dcm4che_test16signed_chest-tag.dcm",
    ],
)
def test_what_is_no_chest_image_is_not_read(site, shared_data, own_study, in_pacs, name):
    """A hip, a dog and a test pattern end NOT_ANALYSED with a reason, and nothing goes to the PACS."""
    path = own_study(shared_data / "not-chest" / name)
    sent = site.store_scu(path)
    study = str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    assert sent.acknowledged
    job = site.settled(study)
    assert job.state is JobState.NOT_ANALYSED
    assert job.reason_code
    assert len(job.reason.split()) > 3
    assert in_pacs(study) == {}
