"""Independent validators on every kind of object, for every real image and phantoms of all kinds.

No validator finds everything: dciodvfy knows attributes but no templates, PixelMed templates but no
flags, dcentvfy the agreement of a study's objects. Each of them must find no error; their false alarms
are listed here, with the reason, and no other message may occur.
"""

import re
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from dicom.content.output_kind import NoticeForm
from dicom.content.report import (
    CODED_OBSERVATIONS,
    Finding,
    Observation,
    Predecessor,
    Presence,
    Region,
    Side,
)
from dicom.phantom import Demographics, PhantomFinding, as_dataset, draw, turned
from dicom.results.doubt_notice import Doubt, doubt_notice
from dicom.results.not_analysed import UnreadImage, UnreadStudy, build_not_analysed
from dicom.results.outputs import OutputOptions, as_file, build, encode
from dicom.results.verified_sr import VerifiedReport, Verifier, verified_report
from dicom.results.withdrawal_notice import Withdrawal, withdrawal_notice

# PixelMed takes most of a minute, and several on a machine that is busy.
pytestmark = [pytest.mark.validators, pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parents[1]
PIXELMED = Path("/usr/share/java/pixelmed.jar")
DOCUMENTS = (
    "draft-report",
    "findings",
    "findings-3d",
    "not-analysed",
    "withdrawn",
    "in-doubt",
    "verified-report",
)
OPTIONS = OutputOptions(comprehensive_3d=True, extras=("presentation-state", "report-pdf"))
NOW = datetime(2026, 3, 4, 9, 15, 30, tzinfo=UTC)

# DCMTK's message about every document in UTF-8, right or wrong.
DSRDUMP_FALSE_ALARMS = ("The VR checker does not support this Specific Character Set: ISO_IR 192",)
# PixelMed 2022 about content that its rules lack: pattern -> why the content is right.
PIXELMED_FALSE_ALARMS = {
    r'\(18748-4,LN,"Diagnostic Imaging Report"\)/CONTAINER \(\d+-\d,LN,': (
        "its TID 2000 has the DCM headings of before 2022; CID 7001 has LOINC ones"
    ),
    r'CODE \(705057003,SCT,"Presence"\)': "TID 1410 is extensible; the finding's presence is added",
    r'CONTAINER \(C0034375,UMLS,"Qualitative Evaluations"\)/': (
        "its TID 1500 ends at the evaluation; score and image below it are allowed extensions"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image and every kind of object about it."""

    header: Dataset
    image: Path
    objects: dict[str, Path]


def corners(mask):
    """Return the box of a truth's mask as a region."""
    ys, xs = np.nonzero(mask)
    left, top, right, bottom = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    points = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    return Region(points=tuple((float(x), float(y)) for x, y in points))


def found_on(phantom):
    """Return the truths of a phantom as findings; all six as absent when there is none."""
    if not phantom.truths:
        return tuple(
            Finding(observation=o, presence=Presence.ABSENT, score=0.02) for o in CODED_OBSERVATIONS
        )
    return tuple(
        Finding(
            observation=truth.observation,
            presence=Presence.PRESENT,
            side=truth.side,
            site=truth.site,
            score=0.9,
            region=corners(truth.mask),
        )
        for truth in phantom.truths
    )


def named(name):
    """Return a made-up person of that name."""
    return Demographics(
        patient_name=name, patient_id="PHANTOM-1", age=50, sex="F", accession_number="PH1"
    )


EFFUSION = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.RIGHT)
ALL_SIX = tuple(
    PhantomFinding(
        observation=o,
        side=None if o in (CODED_OBSERVATIONS[1], CODED_OBSERVATIONS[3]) else Side.LEFT,
    )
    for o in CODED_OBSERVATIONS
)


def phantoms():
    """Yield a name, a phantom and its DX object for each kind of image."""
    small = {"rows": 320, "columns": 288}
    healthy, ill = draw(11, **small), draw(12, **small, findings=(EFFUSION,))
    yield "no finding", healthy, as_dataset(healthy)
    yield "one finding", ill, as_dataset(ill)
    six = draw(13, **small, findings=ALL_SIX)
    yield "six findings", six, as_dataset(six)
    wide = draw(14, rows=300, columns=500, findings=(EFFUSION,))
    yield "not square", wide, as_dataset(wide)
    yield "MONOCHROME1", ill, as_dataset(ill, photometric="MONOCHROME1")
    yield "rotated", turned(ill, 1), as_dataset(turned(ill, 1))
    yield "Japanese", ill, as_dataset(ill, patient=named("Yamada^Tarou=山田^太郎=やまだ^たろう"))
    yield "German", ill, as_dataset(ill, patient=named("Müller-Lüdenscheidt^Jörg^^Prof. Dr."))


def unread(header):
    """Return the notice that the study of an image was not read."""
    image = UnreadImage(
        sop_instance_uid=str(header.SOPInstanceUID),
        sop_class_uid=str(header.SOPClassUID),
        series_instance_uid=str(header.SeriesInstanceUID),
        reason="it is a lateral view",
    )
    return UnreadStudy(
        study_instance_uid=str(header.StudyInstanceUID),
        images=(image,),
        reason="no image of the study is a frontal chest radiograph",
        revision=1,
        produced_at=NOW,
    )


def signed(draft, preliminary):
    """Return a radiologist's decision on a draft."""
    before = Predecessor(
        sop_instance_uid=preliminary.SOPInstanceUID,
        sop_class_uid=preliminary.SOPClassUID,
        series_instance_uid=preliminary.SeriesInstanceUID,
    )
    return VerifiedReport(
        draft=draft,
        preliminary=before,
        verifier=Verifier(name="Röntgen^Wilhelm", organization="Klinikum Süd"),
        verified_at=NOW,
        findings_text=draft.findings_text,
        impression_text=draft.impression_text,
    )


def withdrawal(report):
    """Return the withdrawal of the draft of a verified report."""
    return Withdrawal(
        study_instance_uid=report.draft.study_instance_uid,
        draft=report.preliminary,
        model="CXR-LLaVA v2 2024-07",
        reason="The model errs",
        revision=1,
        withdrawn_at=NOW,
    )


def doubt(report):
    """Return the doubt about the draft of a verified report."""
    return Doubt(
        study_instance_uid=report.draft.study_instance_uid,
        draft=report.preliminary,
        model="CXR-LLaVA v2 2024-07",
        image_uid=report.draft.source.sop_instance_uid,
        copy_digest="ab" * 28,
        reason="A later copy of its image differs in Patient ID.",
        revision=1,
        found_at=NOW,
    )


@pytest.fixture(scope="module")
def make_case(make_draft, equipment, tmp_path_factory):
    """A function that writes every kind of object about an image, and its header, as files."""

    def make(header, **changes):
        folder = tmp_path_factory.mktemp("case")
        draft = make_draft(header, **changes)
        pixels = np.full((draft.source.rows, draft.source.columns), 0.5, np.float32)
        outputs = build(draft, header, pixels, equipment)
        optional = build(draft, header, pixels, equipment, options=OPTIONS)
        revised = replace(
            draft, revision=2, predecessor=signed(draft, outputs[0].dataset).preliminary
        )
        later = build(revised, header, pixels, equipment)[0]
        files = {output.kind: encode(output) for output in (*optional, *outputs)}
        files["draft-report-2"] = encode(later)
        for output in build_not_analysed(unread(header), header, equipment, page=True):
            files[output.kind] = encode(output)
        signature = signed(draft, outputs[0].dataset)
        withdrawn = withdrawal_notice(withdrawal(signature), header, equipment)
        files["withdrawn"] = encode(withdrawn)
        files["in-doubt"] = encode(doubt_notice(doubt(signature), header, equipment))
        for output in (
            withdrawal_notice(withdrawal(signature), header, equipment, form=NoticeForm.PAGE),
            doubt_notice(doubt(signature), header, equipment, form=NoticeForm.PAGE),
        ):
            files[output.kind] = encode(output)
        files["verified-report"] = verified_report(signature, header, equipment)
        paths = {}
        for kind, content in files.items():
            paths[kind] = folder / f"{kind}.dcm"
            paths[kind].write_bytes(content)
        return Case(header=header, image=_image(header, folder), objects=paths)

    return make


def _image(header, folder):
    # dcentvfy compares bytes: the same name in another character set counts as another name.
    copy = Dataset(header)
    if copy.get("SpecificCharacterSet") != "ISO_IR 192":
        copy.decode()
    copy.SpecificCharacterSet = "ISO_IR 192"
    image = as_file(copy)
    dcmwrite(folder / "image.dcm", image, enforce_file_format=True)
    return folder / "image.dcm"


@pytest.fixture(scope="module")
def phantom_cases(make_case):
    """Every kind of phantom with every kind of object about it, by name."""
    cases = {}
    for name, phantom, dataset in phantoms():
        del dataset.PixelData
        cases[name] = make_case(dataset, findings=found_on(phantom))
    return cases


@pytest.fixture(scope="module")
def real_cases(make_case, shared_data):
    """Every real image with every kind of object about it, by file name."""
    cases = {}
    for path in sorted((shared_data / "cxr-dicom").glob("*.dcm")):
        header = dcmread(path, force=True, stop_before_pixels=True)
        cases[path.name] = make_case(header)
    return cases


def output_lines(command):
    """Return the output of a program on both channels; it must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (done.stdout + done.stderr).splitlines()


def assert_valid(cases, program):
    """Dciodvfy, dsrdump and dcentvfy find no error in any object of any image."""
    for name, case in cases.items():
        for path in case.objects.values():
            lines = output_lines([program("dciodvfy"), "-new", path])
            assert not [line for line in lines if "Error" in line], (name, path.name)
        for kind in DOCUMENTS:
            lines = output_lines([program("dsrdump"), case.objects[kind]])
            odd = [line for line in lines if line.startswith(("W:", "E:"))]
            alarms = [line for line in odd if not line.endswith(DSRDUMP_FALSE_ALARMS)]
            assert not alarms, (name, kind)


@pytest.mark.dcmtk
def test_objects_of_phantoms_are_valid(phantom_cases, program):
    """No finding, one, six; not square, negative, rotated; Japanese and German names."""
    assert_valid(phantom_cases, program)


@pytest.mark.dcmtk
def test_objects_of_real_images_are_valid(real_cases, program):
    """With the headers of real images."""
    assert len(real_cases) >= 20
    assert_valid(real_cases, program)


def test_image_and_objects_are_one_study(phantom_cases, program):
    """Dcentvfy finds that all objects of an image agree on patient, study, series and frame."""
    for name, case in phantom_cases.items():
        lines = output_lines([program("dcentvfy"), case.image, *case.objects.values()])
        assert not [line for line in lines if "Error" in line], name


def test_real_image_and_objects_are_one_study(real_cases, program):
    """The same for real images, in whatever character set they came."""
    for name, case in real_cases.items():
        lines = output_lines([program("dcentvfy"), case.image, *case.objects.values()])
        assert not [line for line in lines if "Error" in line], name


def items_of(node):
    """Return every item of a content tree."""
    nested = node.get("ContentSequence", [])
    return [*nested, *(item for child in nested for item in items_of(child))]


@pytest.fixture(scope="module")
def wrong_documents(phantom_cases, tmp_path_factory):
    """Faulty documents: a report without its language, and findings whose region is on no image."""
    folder = tmp_path_factory.mktemp("wrong")
    objects = phantom_cases["one finding"].objects
    report, findings = dcmread(objects["draft-report"]), dcmread(objects["findings"])
    report.ContentSequence = [
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue != "121049"
    ]
    region = next(item for item in items_of(findings) if item.ValueType == "SCOORD")
    del region.ContentSequence
    paths = []
    for name, document in (("language", report), ("image", findings)):
        paths.append(folder / f"{name}.dcm")
        document.save_as(paths[-1])
    return paths


# Values that no template constrains: a text, a number or an instance's UID.
ANY_VALUE = {"DA", "DS", "DT", "FD", "FL", "IS", "PN", "ST", "TM", "UI", "UT"}
STANDARD_UIDS = "1.2.840.10008."


def shape_of(dataset, *, root=True):
    """Return all of a document that a template can constrain, to be compared with another's.

    Tags, value types, codes, character sets and classes are kept; of a free value only its number.
    """
    shape = []
    for element in dataset:
        value = element.value
        any_value = element.VR in ANY_VALUE or (root and element.VR in {"LO", "SH"})
        if element.VR == "SQ":
            value = tuple(shape_of(item, root=False) for item in value)
        elif any_value and not str(value).startswith(STANDARD_UIDS):
            value = element.VM
        shape.append((element.tag, element.VR, value if element.VR == "SQ" else str(value)))
    return tuple(shape)


def distinct(paths):
    """Return the first document of each shape: PixelMed takes half a second for each."""
    first = {}
    for path in paths:
        first.setdefault(shape_of(dcmread(path)), path)
    return list(first.values())


@pytest.fixture(scope="module")
def pixelmed_answers(phantom_cases, real_cases, wrong_documents, program, tmp_path_factory):
    """The output of PixelMed's SR validator, by path, for every shape of document of every image."""
    if not PIXELMED.exists():
        pytest.skip("PixelMed (Debian's pixelmed-apps) is not installed")
    program("javac")  # runs a source file, which a bare runtime cannot
    cases = (*real_cases.values(), *phantom_cases.values())
    paths = distinct(case.objects[kind] for case in cases for kind in DOCUMENTS)
    assert len(paths) > len(DOCUMENTS)
    listed = tmp_path_factory.mktemp("pixelmed") / "paths"
    listed.write_text("".join(f"{path}\n" for path in [*paths, *wrong_documents]))
    limits = [f"-Djdk.xml.xpath{name}Limit=0" for name in ("TotalOp", "ExprOp", "ExprGrp")]
    command = [program("java"), "-Xmx1g", "-XX:+UseSerialGC", *limits, "-cp", PIXELMED]
    text = "\n".join(output_lines([*command, HERE / "ValidateAll.java", listed]))
    found = re.split(r"^== (.*)$", text, flags=re.MULTILINE)[1:]
    answers = dict(zip(map(Path, found[::2]), found[1::2], strict=True))
    assert set(answers) == {*paths, *wrong_documents}
    return answers


def test_pixelmed_finds_no_error_in_any_tree(pixelmed_answers, wrong_documents):
    """Every document follows its template; PixelMed's warnings are on the list of false alarms."""
    for path, answer in pixelmed_answers.items():
        if path in wrong_documents:
            continue
        assert "Found Root Template TID_" in answer, path
        assert "Error" not in answer, (path, answer)
        warned = [line for line in answer.splitlines() if line.startswith("Warning")]
        known = [w for w in warned if any(re.search(p, w) for p in PIXELMED_FALSE_ALARMS)]
        assert warned == known, (path, [line for line in warned if line not in known])


def test_pixelmed_sees_what_is_wrong(pixelmed_answers, wrong_documents):
    """The same run does find errors in faulty documents."""
    for path in wrong_documents:
        assert "Error" in pixelmed_answers[path], path
