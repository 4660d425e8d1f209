"""docs/conformance.md is in step with the code: its tables are made from it.

`python tests/dicom/test_conformance.py` writes them anew between their marks.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID

from dicom import errors
from dicom.content import codes
from dicom.content.patient_study import _ALWAYS, _WHEN_GIVEN
from dicom.content.report import (
    DraftReport,
    Finding,
    ModelIdentity,
    Observation,
    Predecessor,
    Presence,
    Region,
    SourceImage,
)
from dicom.content.result_header import (
    BASIC_TEXT_SR,
    COMPREHENSIVE_3D_SR,
    COMPREHENSIVE_SR,
    ENCAPSULATED_PDF,
    PRESENTATION_STATE,
    SECONDARY_CAPTURE,
)
from dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom.results.doubt_notice import Doubt, doubt_notice
from dicom.results.not_analysed import UnreadImage, UnreadStudy, build_not_analysed
from dicom.results.outputs import Equipment, OutputOptions, build
from dicom.results.withdrawal_notice import Withdrawal, withdrawal_notice
from dicom.scp import presentation_contexts, storage_handler, streaming
from dicom.scu import commitment, store_scu

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
COPIED = (*_ALWAYS, *_WHEN_GIVEN, "StudyInstanceUID", "TimezoneOffsetFromUTC")
END = "<!-- end -->"
DESCRIBED = {"PixelData", "ContentSequence", "EncapsulatedDocument"}


def tables():
    """Return each table by its name, as Markdown."""
    return {
        "identification": table(("what", "value"), identification()),
        "accepted classes": table(
            ("SOP Class", "UID", "role"),
            [
                (named(uid), uid, "SCP")
                for uid in (
                    store_scu.VERIFICATION,
                    *presentation_contexts.STORAGE_CLASSES,
                    *presentation_contexts.DOCUMENT_CLASSES,
                    commitment.PUSH_MODEL,
                )
            ],
        ),
        "accepted syntaxes": table(
            ("preference", "Transfer Syntax", "UID"),
            [
                (str(n), named(uid), uid)
                for n, uid in enumerate(presentation_contexts.TRANSFER_SYNTAXES, 1)
            ],
        ),
        "statuses": table(("status", "error", "meaning"), statuses()),
        "refusals": table(
            ("reason", "result", "source", "reason code"),
            [
                (r.name.replace("_", " ").lower(), *map(str, r.value))
                for r in storage_handler.Refusal
            ],
        ),
        "proposed classes": table(
            ("SOP Class", "UID", "role"),
            [
                (named(uid), uid, "SCU")
                for uid in (
                    store_scu.VERIFICATION,
                    store_scu.FIND_MODEL,
                    BASIC_TEXT_SR,
                    COMPREHENSIVE_SR,
                    SECONDARY_CAPTURE,
                    COMPREHENSIVE_3D_SR,
                    PRESENTATION_STATE,
                    ENCAPSULATED_PDF,
                )
            ],
        ),
        **{f"attributes of {kind}": attributes(*pair) for kind, pair in samples().items()},
        "codes": table(
            ("Code Value", "Scheme", "Code Meaning"),
            sorted((v, s, m) for (v, s), m in codes.REVIEWED.items()),
        ),
    }


def refreshed(page):
    """Return `page` with the tables between their marks as the code has them now.

    Raises:
        KeyError: A mark names no table.
    """
    made_now = tables()
    pieces = page.split("<!-- made: ")
    text = pieces[0]
    for piece in pieces[1:]:
        name, rest = piece.split(" -->", 1)
        after = rest.split(END, 1)[1]
        text += f"<!-- made: {name} -->\n{made_now[name]}{END}{after}"
    return text


def table(head, rows):
    """Return a table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def named(uid):
    """Return the Standard's name of a UID."""
    return UID(uid).name


def identification():
    """Return our implementation identification."""
    return [
        ("Implementation Class UID", IMPLEMENTATION_CLASS_UID),
        ("Implementation Version Name", IMPLEMENTATION_VERSION_NAME),
        ("Application Context Name", "1.2.840.10008.3.1.1.1"),
        ("Maximum PDU that is received", f"{streaming.MAXIMUM_PDU - 6} bytes"),
    ]


def statuses():
    """Yield each status of a C-STORE response with what it means."""
    yield "0x0000", "", "Success: the object is on disk and in the database."
    for name in errors.__dict__:
        kind = getattr(errors, name)
        if not isinstance(kind, type) or not issubclass(kind, errors.DicomError):
            continue
        if issubclass(kind, errors.DestinationError | errors.InvalidOutput):
            continue  # for the objects that we send, not those that we receive
        yield f"0x{kind.status:04X}", name, (kind.__doc__ or "").splitlines()[0]


def attributes(first, second):
    """Return the attributes of one kind, distinguished by two samples that differ in everything."""
    rows = []
    for element in first:
        origin = source(element, second)
        tag = f"({element.tag.group:04X},{element.tag.element:04X})"
        rows.append((tag, dictionary_description(element.tag), str(element.VR), origin))
    rows += [
        (
            f"({Tag(k).group:04X},{Tag(k).element:04X})",
            dictionary_description(k),
            "",
            "image, if any",
        )
        for k in COPIED
        if k not in first
    ]
    return table(("tag", "attribute", "VR", "value"), sorted(rows))


def source(element, second):
    """Return where a value comes from: the image, always the same, or made for each object."""
    if element.keyword in COPIED:
        return "image"
    if element.keyword in DESCRIBED:
        return "see text"
    if element.VR == "SQ":
        return "made" if len(element.value) else "empty"
    other = second.get(element.keyword)
    if other != element.value:
        return "made"
    shown = element.value if isinstance(element.value, str | int) else "\\".join(element.value)
    return f"`{shown}`" if shown != "" else "empty"


def samples():
    """Return two objects of each kind that differ in everything that can differ."""
    one, two = sample(1), sample(2)
    return {kind: (one[kind], two[kind]) for kind in one}


def sample(number):
    """Return one object of each kind, by kind."""
    image = image_of(number)
    equipment = Equipment(
        device_uid=f"2.25.{number}",
        manufacturer=f"Maker {number}",
        model_name=f"Model {number}",
        software_version=f"{number}",
        device_serial_number=f"{number}",
        station_name=f"S{number}",
        institution_name=f"I{number}",
    )
    pixels = np.full((300 + number, 240), 0.1 * number, np.float32)
    options = OutputOptions(extras=("presentation-state", "report-pdf"))
    outputs = build(draft_of(image, number), image, pixels, equipment, options=options)
    notice = UnreadStudy(
        study_instance_uid=image.StudyInstanceUID,
        images=(
            UnreadImage(
                sop_instance_uid=image.SOPInstanceUID,
                sop_class_uid=image.SOPClassUID,
                series_instance_uid=image.SeriesInstanceUID,
                reason="it is a lateral view",
            ),
        ),
        reason=f"reason {number}",
        revision=number,
        produced_at=datetime(2026, 1, number, number, tzinfo=UTC),
    )
    outputs += build_not_analysed(notice, image, equipment, page=True)
    outputs += (
        withdrawal_notice(withdrawal_of(image, number), image, equipment),
        doubt_notice(doubt_of(image, number), image, equipment),
    )
    return {output.kind: output.dataset for output in outputs}


def withdrawal_of(image, number):
    """Return the withdrawal of a draft of the image."""
    return Withdrawal(
        study_instance_uid=image.StudyInstanceUID,
        draft=Predecessor(
            sop_instance_uid=f"2.25.5{number}",
            sop_class_uid=BASIC_TEXT_SR,
            series_instance_uid="2.25.6",
        ),
        model=f"m{number} 1",
        reason=f"reason {number}",
        revision=number,
        withdrawn_at=datetime(2026, 1, number, number, tzinfo=UTC),
    )


def doubt_of(image, number):
    """Return the doubt about a draft of the image."""
    return Doubt(
        study_instance_uid=image.StudyInstanceUID,
        draft=withdrawal_of(image, number).draft,
        model=f"m{number} 1",
        image_uid=image.SOPInstanceUID,
        copy_digest=f"{number}" * 56,
        reason=f"reason {number}",
        revision=number,
        found_at=datetime(2026, 1, number, number, tzinfo=UTC),
    )


def image_of(number):
    """Return the header of an image with an order."""
    image = Dataset()
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    image.SOPInstanceUID = f"2.25.10{number}"
    image.SeriesInstanceUID = f"2.25.20{number}"
    image.StudyInstanceUID = f"2.25.30{number}"
    image.Modality = "DX"
    image.PatientID = f"P{number}"
    image.AccessionNumber = f"A{number}"
    image.PatientOrientation = ["L", "F"] if number == 1 else ["R", "F"]
    image.BurnedInAnnotation = "NO" if number == 1 else "YES"
    order = Dataset()
    order.RequestedProcedureID = f"{number}"
    image.RequestAttributesSequence = Sequence([order])
    return image


def draft_of(image, number):
    """Return a draft with a predecessor and one located finding."""
    corners = ((10, 10), (90, 10), (90, 90), (10, 90), (10, 10))
    return DraftReport(
        study_instance_uid=image.StudyInstanceUID,
        source=SourceImage(
            sop_instance_uid=image.SOPInstanceUID,
            sop_class_uid=image.SOPClassUID,
            series_instance_uid=image.SeriesInstanceUID,
            rows=300 + number,
            columns=240,
        ),
        revision=number,
        produced_at=datetime(2026, 1, number, number, tzinfo=UTC),
        findings_text=("The heart is enlarged.",),
        findings=(
            Finding(
                observation=Observation.CARDIOMEGALY,
                presence=Presence.PRESENT,
                region=Region(points=corners),
            ),
        ),
        model=ModelIdentity(name=f"m{number}", version="1", weights_sha256="ab" * 32),
        predecessor=Predecessor(
            sop_instance_uid="2.25.5",
            sop_class_uid=BASIC_TEXT_SR,
            series_instance_uid="2.25.6",
        ),
    )


def test_the_page_is_in_step_with_the_code():
    """Every table of the conformance statement equals the present code."""
    page = PAGE.read_text(encoding="utf-8")
    assert refreshed(page) == page, "run: python tests/dicom/test_conformance.py"


def test_every_table_is_on_the_page():
    """No SOP Class, status, attribute or code is left out of the statement."""
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in tables() if f"<!-- made: {name} -->" not in page] == []


def test_the_page_follows_the_outline_of_the_standard():
    """The headings of PS3.2 are there, in its order."""
    page = PAGE.read_text(encoding="utf-8")
    headings = (
        "Overview",
        "Introduction",
        "Networking",
        "Media Interchange",
        "Support of Character",
    )
    places = [page.index(heading) for heading in (*headings, "Security", "Annexes")]
    assert places == sorted(places)


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
