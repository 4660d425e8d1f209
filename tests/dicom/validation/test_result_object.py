"""The validation: ours pass, and each mutation that some validator misses is found."""

import copy

import numpy as np
import pytest
from highdicom.sr import NumContentItem, RelationshipTypeValues
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom.content import codes
from dicom.content.result_header import code_item
from dicom.content.sr_document import concept
from dicom.errors import InvalidOutput
from dicom.results.outputs import build
from dicom.validation import content_tree
from dicom.validation.codes import is_sctid
from dicom.validation.result_object import check, faults

KINDS = {"draft-report": 0, "findings": 1, "overlay": 2, "report-page": 3}


@pytest.fixture(scope="module")
def header(image_header):
    """The image that the results are about."""
    return image_header()


@pytest.fixture(scope="module")
def good(header, make_draft, equipment):
    """The four results of one draft."""
    return build(make_draft(header), header, np.zeros((300, 240), np.float32), equipment)


def a_number():
    """Return a NUM item."""
    return NumContentItem(
        concept(codes.CERTAINTY),
        5,
        concept(codes.PERCENT),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def item(document, value):
    """Return the first item at any depth whose concept name has the Code Value `value`."""
    for node in document.get("ContentSequence", []):
        if node.ConceptNameCodeSequence and node.ConceptNameCodeSequence[0].CodeValue == value:
            return node
        found = item(node, value)
        if found is not None:
            return found
    return None


def drop(document, value):
    """Remove the top-level items named `value`."""
    document.ContentSequence = [
        node
        for node in document.ContentSequence
        if node.ConceptNameCodeSequence[0].CodeValue != value
    ]


def set_code(sequence, value):
    """Replace the Code Value of a sequence's first item."""
    sequence[0].CodeValue = value


def scoord(document):
    """Return the first region of the findings document."""
    return item(document, "111030")


def without_groups(document):
    """Remove every Measurement Group."""
    item(document, "126010").ContentSequence = []


def without_region(document):
    """Remove the region of the first Measurement Group."""
    group = item(document, "125007")
    group.ContentSequence = [n for n in group.ContentSequence if n.ValueType != "SCOORD"]


def verified(document):
    """Mark a complete draft as verified without an observer."""
    document.CompletionFlag, document.VerificationFlag = "COMPLETE", "VERIFIED"


def verified_part(document):
    """Mark a PARTIAL draft as verified by a person."""
    observer = Dataset()
    observer.VerifyingObserverName = "Reader^Rita"
    document.VerifyingObserverSequence = [observer]
    document.CompletionFlag, document.VerificationFlag = "PARTIAL", "VERIFIED"


def person_without_name(document):
    """State a person as observer without a name."""
    item(document, "121005").ConceptCodeSequence = [code_item(codes.PERSON)]


def without(document, parent, value):
    """Remove the items named `value` from the first item named `parent`."""
    drop(item(document, parent), value)


# kind of result, rule that must be broken, how.
MUTANTS = {
    "no completion flag": ("draft-report", "type-1", lambda d: d.pop("CompletionFlag")),
    "invented preliminary flag": (
        "draft-report",
        "enumerated",
        lambda d: setattr(d, "PreliminaryFlag", "DRAFT"),
    ),
    "verified without observer": ("draft-report", "flags", verified),
    "partial and verified": ("draft-report", "flags", verified_part),
    "person observer without name": ("draft-report", "observer", person_without_name),
    "two values where one may be": (
        "draft-report",
        "multiplicity",
        lambda d: setattr(d, "AccessionNumber", ["A1", "A2"]),
    ),
    "final and unverified": (
        "draft-report",
        "flags",
        lambda d: setattr(d, "PreliminaryFlag", "FINAL"),
    ),
    "no language": ("draft-report", "language", lambda d: drop(d, "121049")),
    "device observer without UID": ("draft-report", "observer", lambda d: drop(d, "121012")),
    "no evidence": (
        "draft-report",
        "evidence",
        lambda d: d.pop("CurrentRequestedProcedureEvidenceSequence"),
    ),
    "number in basic text": (
        "draft-report",
        "value-type",
        lambda d: d.ContentSequence.append(a_number()),
    ),
    "wrong template": (
        "draft-report",
        "template",
        lambda d: setattr(d.ContentTemplateSequence[0], "TemplateIdentifier", "2010"),
    ),
    "no template": ("findings", "template", lambda d: d.pop("ContentTemplateSequence")),
    "no performed procedure": (
        "draft-report",
        "type-2",
        lambda d: d.pop("PerformedProcedureCodeSequence"),
    ),
    "long description": (
        "draft-report",
        "length",
        lambda d: setattr(d, "SeriesDescription", "x" * 65),
    ),
    "text beyond the character set": (
        "draft-report",
        "character-set",
        lambda d: (d.pop("SpecificCharacterSet"), setattr(d, "InstitutionName", "Süd")),
    ),
    "fetal cardiomegaly": (
        "findings",
        "code",
        lambda d: set_code(item(d, "121071").ConceptCodeSequence, "287272002"),
    ),
    "meaning of another code": (
        "findings",
        "code",
        lambda d: setattr(item(d, "121071").ConceptCodeSequence[0], "CodeMeaning", "Edema"),
    ),
    "misspelt code": (
        "findings",
        "code",
        lambda d: set_code(item(d, "121071").ConceptCodeSequence, "8186010"),
    ),
    "edema anywhere": (
        "findings",
        "code",
        lambda d: set_code(item(d, "121071").ConceptCodeSequence, "79654002"),
    ),
    "code without scheme": (
        "findings",
        "code",
        lambda d: item(d, "121071").ConceptCodeSequence[0].pop("CodingSchemeDesignator"),
    ),
    "no procedure reported": ("findings", "template", lambda d: drop(d, "121058")),
    "algorithm without version": (
        "findings",
        "algorithm",
        lambda d: without(d, "125007", "111003"),
    ),
    "tracked by name only": ("findings", "tracking", lambda d: without(d, "125007", "112040")),
    "region without image": ("findings", "coordinates", lambda d: scoord(d).pop("ContentSequence")),
    "region beyond the image": (
        "findings",
        "coordinates",
        lambda d: setattr(scoord(d), "GraphicData", [0, 0, 999, 0, 5, 5, 0, 0]),
    ),
    "circle with five points": (
        "findings",
        "coordinates",
        lambda d: setattr(scoord(d), "GraphicType", "CIRCLE"),
    ),
    "group without region": ("findings", "viewer", without_region),
    "no group": ("findings", "viewer", without_groups),
    "no conversion type": ("overlay", "type-1", lambda d: d.pop("ConversionType")),
    "no orientation": ("overlay", "type-2", lambda d: d.pop("PatientOrientation")),
    "no planar configuration": ("overlay", "pixels", lambda d: d.pop("PlanarConfiguration")),
    "pixels cut short": ("report-page", "pixels", lambda d: setattr(d, "Rows", 9)),
    "another patient": ("overlay", "source", lambda d: setattr(d, "PatientID", "OTHER")),
    "another study": ("findings", "source", lambda d: setattr(d, "StudyInstanceUID", "1.2.3")),
    "bad uid": ("overlay", "uid", lambda d: setattr(d, "DeviceUID", "1.02.3")),
    "another class": (
        "overlay",
        "sop-class",
        lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_our_results_pass(kind, good, header):
    """None of our results breaks a rule."""
    assert faults(good[KINDS[kind]].dataset, header) == ()


@pytest.mark.parametrize("name", MUTANTS)
def test_each_mutation_is_found(name, good, header):
    """A result with one thing wrong breaks the rule for it, and only `check` raises."""
    kind, rule, mutate = MUTANTS[name]
    dataset = copy.deepcopy(good[KINDS[kind]].dataset)
    mutate(dataset)
    assert rule in {fault.rule for fault in faults(dataset, header)}
    with pytest.raises(InvalidOutput, match="breaks"):
        check(dataset, header)


def test_a_result_of_ours_holds_reviewed_codes_only(good, header):
    """A real code that is not reviewed is allowed for other vendors, but not in our results."""
    document = copy.deepcopy(good[1].dataset)
    set_code(item(document, "121071").ConceptCodeSequence, "164873001")
    assert faults(document, header) == ()
    with pytest.raises(InvalidOutput, match=r"164873001, SCT.*reviewed table"):
        check(document, header)


def test_the_orders_own_meaning_of_a_code_are_no_fault(make_draft, image_header, equipment):
    """A code that was copied from the image keeps its meaning there, and the results pass."""
    procedure = code_item(codes.CHEST_RADIOGRAPH)
    procedure.CodeMeaning = "Plain chest X-ray"
    header = image_header(ProcedureCodeSequence=[procedure])
    made = build(make_draft(header), header, np.zeros((300, 240), np.float32), equipment)
    assert made[0].dataset.ProcedureCodeSequence[0].CodeMeaning == "Plain chest X-ray"


@pytest.mark.parametrize("value", [v for v, scheme in codes.REVIEWED if scheme == "SCT"])
def test_a_snomed_code_of_ours_has_its_check_digit(value):
    """Each is a possible identifier, and with any two neighbors swapped it is none."""
    assert is_sctid(value)
    for at in range(len(value) - 1):
        swapped = value[:at] + value[at + 1] + value[at] + value[at + 2 :]
        assert swapped == value or not is_sctid(swapped)


@pytest.mark.parametrize("value", ["", "12345", "0186001", "8186001a", "٨١٨٦٠٠١", "8" * 19])
def test_what_is_no_number_is_no_snomed_code(value):
    """Six to eighteen decimal digits, the first not zero."""
    assert not is_sctid(value)


def test_reasons_hold_no_patient_attribute(good, header):
    """A fault names attributes, never their values."""
    dataset = copy.deepcopy(good[0].dataset)
    dataset.PatientName = "Secret^Name" * 9
    dataset.PatientID = "SECRET-" * 12
    reasons = " ".join(fault.reason for fault in faults(dataset, header))
    assert "PatientID" in reasons
    assert "secret" not in reasons.lower()


def test_an_endless_tree_is_not_walked_to_its_end():
    """A tree of more items than any report has is reported and not walked to its end."""
    root = Dataset()
    root.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    root.ContentSequence = [a_number() for _ in range(12_000)]
    assert "size" in {fault.rule for fault in faults(root)}
    assert sum(1 for _ in content_tree._walk(root)) == content_tree._MAX_ITEMS + 1


@pytest.mark.parametrize(("items", "is_fault"), [(10_000, False), (10_001, True)])
def test_the_limit_of_items_is_inclusive(items, is_fault):
    """A tree of exactly 10,000 items has no fault of size; one more item has."""
    root = Dataset()
    root.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    root.ContentSequence = [a_number() for _ in range(items)]
    assert ("size" in {fault.rule for fault in faults(root)}) is is_fault


def test_a_signed_report_of_another_system_passes(good):
    """VERIFIED is right when it is COMPLETE, FINAL and names its observer."""
    document = copy.deepcopy(good[0].dataset)
    observer = Dataset()
    observer.VerifyingObserverName = "Reader^Rita"
    document.VerifyingObserverSequence = [observer]
    document.VerificationFlag, document.PreliminaryFlag = "VERIFIED", "FINAL"
    document.CompletionFlag = "COMPLETE"
    assert faults(document) == ()


def test_the_reference_objects_are_judged_as_viewers_judge_them(shared_data):
    """The tested examples pass; the one that crashes OHIF is the one that does not."""
    folder = shared_data.parent / "reference" / "dicom-examples"
    broken = [path.name for path in sorted(folder.glob("*.dcm")) if faults(dcmread(path))]
    assert broken == ["y3_findings_noroi.dcm"]


def test_codes_built_by_us_carry_scheme_and_meaning():
    """A code item has its three attributes."""
    assert len(code_item(codes.FINDING)) == 3
