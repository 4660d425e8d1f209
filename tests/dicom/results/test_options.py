"""Optional outputs beside the four objects; all of them off by default, and valid."""

import hashlib
import json
import subprocess
from io import BytesIO

import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless

from dicom.results.json_sidecar import sidecar
from dicom.results.outputs import OutputOptions, build, encode
from dicom.validation.result_object import faults

EXTRAS = ("presentation-state", "report-pdf")
EVERYTHING = OutputOptions(compression="jpeg-ls", comprehensive_3d=True, extras=EXTRAS)
UMLAUTS = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"}


@pytest.fixture
def made(image_header, make_draft, equipment, shown_pixels):
    """A function that returns the outputs of an image by kind."""

    def make(options=None, header=None, **changes):
        header = header or image_header()
        draft = make_draft(header, **changes)
        outputs = build(draft, header, shown_pixels(), equipment, options=options)
        return {output.kind: output for output in outputs}

    return make


def test_all_options_are_off(made):
    """Without options there are the four objects, uncompressed."""
    outputs = made()
    assert list(outputs) == ["draft-report", "findings", "overlay", "report-page"]
    for output in outputs.values():
        assert not dcmread(BytesIO(encode(output))).file_meta.TransferSyntaxUID.is_compressed


def test_jpeg_ls_loses_nothing_and_keeps_the_instance(made):
    """Pictures are smaller and equal to the last bit; UIDs stay, documents are left alone."""
    plain, small = made(), made(OutputOptions(compression="jpeg-ls"))
    for kind in ("overlay", "report-page"):
        before, after = (dcmread(BytesIO(encode(outputs[kind]))) for outputs in (plain, small))
        assert after.file_meta.TransferSyntaxUID == JPEGLSLossless
        assert after.SOPInstanceUID == before.SOPInstanceUID
        assert after.LossyImageCompression == "00"
        assert np.array_equal(after.pixel_array, before.pixel_array)
        assert len(encode(small[kind])) < len(encode(plain[kind])) / 2
    assert encode(small["findings"]) == encode(plain["findings"])


def test_the_3d_document_is_the_same_tree_in_another_class(made, content_items):
    """Comprehensive 3D SR: same items, own instance and series."""
    plain, other = made()["findings"].dataset, made(EVERYTHING)["findings-3d"].dataset
    assert other.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert plain.SOPInstanceUID != other.SOPInstanceUID
    assert plain.SeriesInstanceUID != other.SeriesInstanceUID
    kinds = [[item.ValueType for item in content_items(ds)] for ds in (plain, other)]
    assert kinds[0] == kinds[1]


def test_the_presentation_state_draws_what_the_findings_state(made, content_items):
    """Each region of the findings SR is an outline on the image, with its name and doubt."""
    outputs = made(EVERYTHING)
    state = outputs["presentation-state"].dataset
    drawn = [item.GraphicObjectSequence[0].GraphicData for item in state.GraphicAnnotationSequence]
    found = [
        item.GraphicData
        for item in content_items(outputs["findings-3d"].dataset)
        if item.ValueType == "SCOORD"
    ]
    assert [list(points) for points in drawn] == [list(points) for points in found]
    texts = [
        item.TextObjectSequence[0].UnformattedTextValue for item in state.GraphicAnnotationSequence
    ]
    assert texts == [
        "AI: Cardiomegaly 91 % (not verified)",
        "AI: Consolidation? 52 % (not verified)",
    ]


def test_the_presentation_state_leaves_the_images_tones(made, image_header):
    """Window and polarity are the image's own; an image without a window gets none."""
    negative = image_header(
        PhotometricInterpretation="MONOCHROME1", WindowCenter=[2048, 1000], WindowWidth=[4096, 900]
    )
    state = made(EVERYTHING, negative)["presentation-state"].dataset
    window = state.SoftcopyVOILUTSequence[0]
    assert (state.PresentationLUTShape, window.WindowCenter, window.WindowWidth) == (
        "INVERSE",
        2048,
        4096,
    )
    padded = image_header(PhotometricInterpretation="MONOCHROME1\0\x10")
    assert made(EVERYTHING, padded)["presentation-state"].dataset.PresentationLUTShape == "INVERSE"
    state = made(EVERYTHING)["presentation-state"].dataset
    assert state.PresentationLUTShape == "IDENTITY"
    assert "SoftcopyVOILUTSequence" not in state


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": "0", "RescaleIntercept": "5"},
        {"WindowCenter": "2048", "WindowWidth": "-5"},
        {"WindowCenter": "nan", "WindowWidth": "4096"},
    ],
)
def test_the_presentation_state_repeats_nothing_that_was_ignored(made, image_header, tags):
    """A viewer that applied it would show an empty image."""
    state = made(EVERYTHING, image_header(**tags))["presentation-state"].dataset
    assert "SoftcopyVOILUTSequence" not in state
    assert "RescaleSlope" not in state


@pytest.mark.parametrize("width", ["0", "-2", "4096\\0"])
def test_a_window_that_shows_nothing_is_left_out(made, image_header, width):
    """A width of zero or less is against PS3.3 C.11.2.1.2; the state is made without a window."""
    header = image_header(WindowCenter="2048", WindowWidth=width.split("\\"))
    state = made(EVERYTHING, header)["presentation-state"].dataset
    assert ("SoftcopyVOILUTSequence" in state) == width.startswith("4096")


def test_the_pdf_states_what_it_is(made):
    """A PDF of one page, unverified, marked as holding the patient's name."""
    document = made(EVERYTHING)["report-pdf"].dataset
    content = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert document.DocumentTitle == "AI DRAFT report - NOT VERIFIED"
    assert (document.VerificationFlag, document.BurnedInAnnotation) == ("UNVERIFIED", "YES")


def test_options_give_the_same_bytes_each_time(made):
    """Times in PDF and presentation state are the draft's."""
    first, second = made(EVERYTHING), made(EVERYTHING)
    digests = [
        [hashlib.sha256(encode(output)).hexdigest() for output in outputs.values()]
        for outputs in (first, second)
    ]
    assert digests[0] == digests[1]


def test_the_sidecar_names_objects_and_codes_and_no_patient(made, image_header, make_draft):
    """The JSON has the warning, the codes and every object; nothing of the patient."""
    header = image_header()
    outputs = made(EVERYTHING, header)
    content = sidecar(make_draft(header), outputs.values())
    read = json.loads(content)
    assert read["warning"] == "AI DRAFT - UNVERIFIED. NOT FOR PRIMARY DIAGNOSIS"
    assert read["draft"]["findings"][0]["codes"]["finding"]["value"] == "8186001"
    assert "codes" in read["draft"]["findings"][3]
    assert "finding" not in read["draft"]["findings"][3]["codes"]
    assert [item["kind"] for item in read["objects"]] == list(outputs)
    for word in ("Film^Synthetic", "SYN-1", "19600115", "ACC0001"):
        assert word not in content.decode()
    assert content == sidecar(make_draft(header), outputs.values())


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        UMLAUTS,
        {
            "PhotometricInterpretation": "MONOCHROME1",
            "WindowCenter": ["1", "2"],
            "WindowWidth": ["3", "4"],
            "RescaleSlope": "1",
            "RescaleIntercept": "0",
            "VOILUTFunction": "SIGMOID",
        },
    ],
    ids=["plain", "umlauts", "tones"],
)
@pytest.mark.parametrize("located", [True, False])
@pytest.mark.validators
@pytest.mark.dcmtk
def test_validators_find_no_error(attributes, located, made, image_header, tmp_path, program):
    """Dciodvfy and our own validation report nothing about any optional object."""
    header = image_header(**attributes)
    changes = {} if located else {"findings": ()}
    for output in made(EVERYTHING, header, **changes).values():
        path = tmp_path / f"{output.kind}.dcm"
        path.write_bytes(encode(output))
        assert faults(dcmread(path), header) == ()
        found = subprocess.run(
            [program("dciodvfy"), "-new", path], capture_output=True, text=True, timeout=60
        )
        assert (found.returncode, "Error" in found.stderr) == (0, False), found.stderr
    found = subprocess.run(
        [program("dsrdump"), tmp_path / "findings-3d.dcm"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
    )
    assert found.returncode == 0
    odd = [line for line in found.stderr.splitlines() if line.startswith(("W:", "E:"))]
    assert not [line for line in odd if "ISO_IR 192" not in line]


def test_validation_detects_what_is_wrong_with_optional_objects(made, image_header):
    """Outlines beyond the image, a missing layer, an invalid PDF."""
    header = image_header()
    outputs = made(EVERYTHING, header)
    state = outputs["presentation-state"].dataset
    state.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData = [0, 0, 999, 10]
    state.GraphicAnnotationSequence[1].GraphicLayer = "OTHER"
    assert {fault.rule for fault in faults(state, header)} == {"coordinates", "layer"}
    document = outputs["report-pdf"].dataset
    document.EncapsulatedDocument = b"<html>"
    document.VerificationFlag = "VERIFIED"
    assert {fault.rule for fault in faults(document, header)} == {"document", "flags"}


def test_an_archive_takes_every_optional_object(made, image_header, orthanc):
    """Orthanc files all of them under one study and gives back the same bytes."""
    outputs = made(EVERYTHING, image_header(StudyInstanceUID="2.25.4712"))
    studies = set()
    for output in outputs.values():
        data = encode(output)
        answer = httpx.post(f"{orthanc.url}/instances", content=data).raise_for_status().json()
        studies.add(answer["ParentStudy"])
        assert httpx.get(f"{orthanc.url}/instances/{answer['ID']}/file").content == data
    assert len(studies) == 1
