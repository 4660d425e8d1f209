"""All results of a draft, as files: valid for independent programs, the same every time."""

import hashlib
import subprocess
import time
from io import BytesIO

import httpx
import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from dicom.content.report import Finding, ModelIdentity, Observation, Predecessor, Presence
from dicom.errors import DatasetMismatch, InvalidOutput, MissingAttribute, PixelError
from dicom.identifiers import IMPLEMENTATION_CLASS_UID
from dicom.results.outputs import Equipment, Output, OutputOptions, as_file, build, encode

# DCMTK's message about every UTF-8 document, right or wrong.
DSRDUMP_SAYS = "The VR checker does not support this Specific Character Set: ISO_IR 192"
LONG_MODEL = ModelIdentity(
    name="A model with a very long name " * 6, version="v" * 80, weights_sha256="c" * 64
)


def _order():
    item = Dataset()
    item.RequestedProcedureID = "RP" + "7" * 30
    item.RequestedProcedureDescription = "Thorax p.a. " * 12
    item.ReasonForTheRequestedProcedure = "Husten, Fieber ≥ 39 °C"
    return Sequence([item])


# Headers as clinics send them: name of the case -> attributes.
HEADERS = {
    "plain": {},
    "umlauts": {
        "SpecificCharacterSet": "ISO_IR 100",
        "PatientName": "Müller-Lüdenscheidt^Jörg^^Prof. Dr.",
        "IssuerOfPatientID": "KRANKENHAUS SÜD",
        "StudyDescription": "Thorax für Ü-60",
        "RequestAttributesSequence": _order(),
    },
    "japanese": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "ReferringPhysicianName": "Sato^Hana=佐藤^花",
    },
    "long": {
        "PatientID": "P" * 64,
        "PatientName": "N" * 70 + "^" + "M" * 70,
        "AccessionNumber": "A" * 30,
        "StudyID": "S" * 30,
        "StudyDescription": "D" * 70,
        "ReferringPhysicianName": "R" * 90,
    },
    "bare": dict.fromkeys(
        [
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyDate",
            "StudyTime",
            "StudyID",
            "AccessionNumber",
            "ReferringPhysicianName",
            "PatientOrientation",
            "ViewPosition",
            "Modality",
        ]
    ),
    "time zone and identifiers": {
        "TimezoneOffsetFromUTC": "-0330",
        "OtherPatientIDs": ["1", "2"],
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "by hand",
        "PatientAge": "066Y",
        "PatientComments": "not copied",
    },
    "empty strings": {"PatientID": "", "PatientSex": "", "StudyDate": "", "AccessionNumber": ""},
}


@pytest.fixture
def results(make_draft, equipment):
    """A function that returns the outputs of a header, with pixels of its size."""

    def make(header, options=None, **changes):
        draft = make_draft(header, **changes)
        pixels = np.full((draft.source.rows, draft.source.columns), 0.5, np.float32)
        return build(draft, header, pixels, equipment, options=options)

    return make


def written(outputs, folder):
    """Write each output into `folder` and return the paths."""
    paths = []
    for output in outputs:
        path = folder / f"{output.kind}-{output.dataset.SeriesNumber}.dcm"
        path.write_bytes(encode(output))
        paths.append(path)
    return paths


def complaints(command):
    """Return the output of a program on both channels, after checking its exit status."""
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).splitlines()


def assert_valid(paths, program):
    """Dciodvfy finds no error in any file; dsrdump reports nothing about the documents."""
    for path in paths:
        lines = complaints([program("dciodvfy"), "-new", path])
        assert not [line for line in lines if "Error" in line], path.name
        if path.name.startswith(("draft-report", "findings")):
            lines = complaints([program("dsrdump"), path])
            odd = [ln for ln in lines if ln.startswith(("W:", "E:")) and DSRDUMP_SAYS not in ln]
            assert not odd, path.name


@pytest.mark.validators
@pytest.mark.dcmtk
@pytest.mark.parametrize("case", HEADERS)
def test_results_of_odd_headers_are_valid(case, image_header, results, tmp_path, program):
    """Umlauts, Japanese names, long values and missing attributes give valid results."""
    header = image_header(**HEADERS[case])
    notes = ("Gewicht ≥ 100 kg, Δ unklar",)
    outputs = results(header, notes=notes, model=LONG_MODEL)
    assert_valid(written(outputs, tmp_path), program)


@pytest.mark.validators
@pytest.mark.parametrize("case", ["plain", "umlauts", "japanese", "bare", "empty strings"])
def test_image_and_results_are_one_study(case, image_header, results, tmp_path, program):
    """Dcentvfy finds image, first and second revision agree on patient, study and series."""
    header = image_header(**HEADERS[case])
    first = results(header)
    before = first[0].dataset
    second = results(
        header,
        revision=2,
        predecessor=Predecessor(
            sop_instance_uid=before.SOPInstanceUID,
            sop_class_uid=before.SOPClassUID,
            series_instance_uid=before.SeriesInstanceUID,
        ),
    )
    image = tmp_path / "image.dcm"
    # dcentvfy compares bytes: in another character set the same name counts as another.
    header.SpecificCharacterSet = "ISO_IR 192"
    saved = as_file(header)
    dcmwrite(image, saved, enforce_file_format=True)
    paths = [image, *written(first, tmp_path), *written(second, tmp_path)]
    assert len(set(paths)) == 9
    lines = complaints([program("dcentvfy"), *paths])
    assert not [line for line in lines if "Error" in line]


@pytest.mark.validators
@pytest.mark.dcmtk
@pytest.mark.parametrize("number", [0, 1, 6])
def test_results_are_valid_for_any_number_of_findings(
    number, image_header, make_draft, results, tmp_path, program
):
    """No finding, one and six: all valid, with or without regions."""
    header = image_header(Modality="CR", SOPClassUID="1.2.840.10008.5.1.4.1.1.1")
    region = make_draft(header).findings[0].region
    found = tuple(
        Finding(observation=o, presence=Presence.PRESENT, score=0.5, region=region)
        for o in list(Observation)[:number]
    )
    assert_valid(written(results(header, findings=found), tmp_path), program)


def test_the_same_draft_gives_the_same_bytes(image_header, results):
    """Building twice, at different times, gives identical files."""
    header = image_header()
    first = [hashlib.sha256(encode(output)).hexdigest() for output in results(header)]
    time.sleep(1.1)
    second = [hashlib.sha256(encode(output)).hexdigest() for output in results(header)]
    assert first == second
    assert len(set(first)) == 4


@pytest.mark.parametrize("changed", ["model", "revision", "device"])
def test_another_model_revision_or_installation_has_its_own_uids(
    changed, image_header, make_draft, results, equipment
):
    """Distinct objects never share a SOP Instance UID or a series."""
    header = image_header()
    draft = make_draft(header)
    pixels = np.zeros((300, 240), np.float32)
    other = {
        "model": lambda: results(header, model=LONG_MODEL),
        "revision": lambda: results(header, revision=2),
        "device": lambda: build(draft, header, pixels, Equipment(device_uid="2.25.7")),
    }[changed]()
    for one, two in zip(results(header), other, strict=True):
        assert one.dataset.SOPInstanceUID != two.dataset.SOPInstanceUID
        assert one.dataset.SeriesInstanceUID != two.dataset.SeriesInstanceUID
    assert equipment.device_uid != "2.25.7"


def test_files_are_explicit_little_endian_of_our_implementation(image_header, results):
    """Each file has preamble, file meta group with our implementation, and the kind's class."""
    for output in results(image_header()):
        data = encode(output)
        assert data[128:132] == b"DICM"
        read = dcmread(BytesIO(data))
        assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
        assert read.SOPInstanceUID == output.dataset.SOPInstanceUID
        assert read.SpecificCharacterSet == "ISO_IR 192"


def test_names_survive_from_the_images_character_set_to_ours(image_header, results):
    """The Japanese name read back from each result equals the image's, all three groups."""
    header = image_header(**HEADERS["japanese"])
    for output in results(header):
        read = dcmread(BytesIO(encode(output)))
        assert str(read.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("VerificationFlag", "VERIFIED"), ("PreliminaryFlag", "FINAL"), ("PreliminaryFlag", "DRAFT")],
)
@pytest.mark.parametrize("kind", [0, 1])
def test_nothing_verified_or_final_gets_out(kind, keyword, value, image_header, results):
    """The final check refuses a document with the flag, however it was set."""
    output = results(image_header())[kind]
    setattr(output.dataset, keyword, value)
    with pytest.raises(InvalidOutput, match=keyword):
        encode(output)


def test_no_verifier_and_no_missing_flag_gets_out(image_header, results):
    """A verifying observer, or a document without its state, is refused."""
    output, *_ = results(image_header())
    output.dataset.VerifyingObserverSequence = [Dataset()]
    with pytest.raises(InvalidOutput, match="verifying observer"):
        encode(output)
    output, *_ = results(image_header())
    del output.dataset.VerificationFlag
    with pytest.raises(InvalidOutput, match="preliminary"):
        encode(output)


def test_no_result_is_ever_verified(image_header, results):
    """The word VERIFIED appears as a flag's value in none of the files."""
    for output in results(image_header(), OutputOptions(completion="COMPLETE")):
        for element in output.dataset.iterall():
            assert element.value not in ("VERIFIED", "FINAL")


def test_a_draft_about_another_image_or_study_is_refused(image_header, make_draft, equipment):
    """Results are never filed under the patient of another image."""
    pixels = np.zeros((300, 240), np.float32)
    header = image_header()
    draft = make_draft(header)
    for other in (
        image_header(StudyInstanceUID="1.2.3", SOPInstanceUID=header.SOPInstanceUID),
        image_header(SOPInstanceUID="1.2.3", StudyInstanceUID=header.StudyInstanceUID),
    ):
        with pytest.raises(DatasetMismatch):
            build(draft, other, pixels, equipment)


def test_pixels_of_another_size_are_refused(image_header, make_draft, equipment):
    """Regions would lie elsewhere on an image of another size."""
    header = image_header()
    with pytest.raises(PixelError, match="240, 300"):
        build(make_draft(header), header, np.zeros((240, 300), np.float32), equipment)


def test_an_image_without_study_uid_is_refused(image_header, make_draft, equipment):
    """The error names what is missing."""
    header = image_header()
    draft = make_draft(header)
    del header.StudyInstanceUID
    with pytest.raises(MissingAttribute, match="Study Instance UID"):
        build(draft, header, np.zeros((300, 240), np.float32), equipment)


@pytest.mark.parametrize("edge", [0, 511, 4097])
def test_unreadable_sizes_are_refused(edge):
    """The annotated image is neither too small for its text nor too large for a viewer."""
    with pytest.raises(ValueError, match="overlay_edge"):
        OutputOptions(overlay_edge=edge)


def test_kinds_come_in_their_order(image_header, results):
    """Draft report, findings, overlay, report page; three series."""
    outputs = results(image_header())
    assert [output.kind for output in outputs] == [
        "draft-report",
        "findings",
        "overlay",
        "report-page",
    ]
    assert len({output.dataset.SeriesInstanceUID for output in outputs}) == 3
    assert isinstance(outputs[0], Output)


def test_pydicom_reads_back_exactly_what_went_in(image_header, results):
    """Every element of each object is the same after writing and reading, at any depth."""
    options = OutputOptions(comprehensive_3d=True, extras=("presentation-state", "report-pdf"))
    header = image_header(**HEADERS["umlauts"])
    for output in (*results(header), *results(header, options)):
        read = dcmread(BytesIO(encode(output)))
        assert read.to_json_dict() == output.dataset.to_json_dict(), output.kind


def retrieved(orthanc, dataset):
    """Return the bytes of an object as WADO-RS returns them."""
    answer = httpx.get(
        f"{orthanc.dicomweb_url}/studies/{dataset.StudyInstanceUID}/series/"
        f"{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}",
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    ).raise_for_status()
    _, _, body = answer.content.partition(b"\r\n\r\n")
    return body[: body.rindex(b"\r\n--")]


def test_orthanc_keeps_image_and_results_as_one_study_and_returns_their_bytes(
    image_header, results, shown_pixels, orthanc
):
    """A real archive files the results under the image's patient and study, byte for byte."""
    header = image_header(**HEADERS["umlauts"], StudyInstanceUID="2.25.4711")
    image = as_file(header)
    image.PixelData = shown_pixels().astype(np.uint8).tobytes()
    image["PixelData"].VR = "OB"
    buffer = BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    files = [buffer.getvalue(), *(encode(output) for output in results(header))]
    stored = [
        httpx.post(f"{orthanc.url}/instances", content=data).raise_for_status().json()
        for data in files
    ]
    assert len({answer["ParentPatient"] for answer in stored}) == 1
    assert len({answer["ParentStudy"] for answer in stored}) == 1
    for answer, data in zip(stored, files, strict=True):
        assert httpx.get(f"{orthanc.url}/instances/{answer['ID']}/file").content == data
        assert retrieved(orthanc, dcmread(BytesIO(data))) == data
    again = httpx.post(f"{orthanc.url}/instances", content=files[1]).json()
    assert again["Status"] == "AlreadyStored"
