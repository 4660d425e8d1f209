"""Codes: check digits of SNOMED CT, meanings, and codes that are misused."""

import pytest
from pydicom.dataset import Dataset

from dicom.content import codes
from dicom.content.result_header import code_item
from dicom.validation.codes import code_faults, is_sctid, unreviewed


def document(code):
    """Return a document with one content item of a code."""
    item = Dataset()
    item.ConceptCodeSequence = [code]
    root = Dataset()
    root.ContentSequence = [item]
    return root


def coded(value, scheme="SCT", meaning="x"):
    """Return a code item."""
    item = Dataset()
    item.CodeValue, item.CodeMeaning = value, meaning
    if scheme:
        item.CodingSchemeDesignator = scheme
    return item


@pytest.mark.parametrize("value", ["8186001", "19242006", "36118008", "373068000", "816094009"])
def test_identifiers_of_snomed_ct(value):
    """Each changed digit and each swap of neighbors is found."""
    assert is_sctid(value)
    for at, digit in enumerate(value):
        for other in "0123456789":
            if other != digit:
                assert not is_sctid(value[:at] + other + value[at + 1 :])
    for at in range(len(value) - 1):
        swapped = value[:at] + value[at + 1] + value[at] + value[at + 2 :]
        assert swapped == value or not is_sctid(swapped)


@pytest.mark.parametrize("value", ["", "12345", "0123456", "81860O1", "1" * 19, "٨١٨٦٠٠١"])
def test_what_is_no_identifier(value):
    """Too short, too long, a leading zero, letters."""
    assert not is_sctid(value)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (coded("8186001", scheme=""), "lacks its scheme or its meaning"),
        (coded("8186001", meaning=""), "lacks its scheme or its meaning"),
        (coded("8186002"), "check digit is wrong"),
        (coded("287272002"), "cardiomegaly of the fetus"),
        (coded("51185008"), "is retired"),
        (coded("8186001", meaning="Edema"), "but its Code Meaning differs"),
    ],
)
def test_faults_of_a_code(code, problem):
    """Incomplete, misused, impossible, or with the meaning of another."""
    assert any(problem in reason for _, reason in code_faults(document(code)))


def test_reviewed_codes_have_no_fault():
    """Differences of case and punctuation in the meaning do not count."""
    made = document(code_item(codes.FINDINGS))
    assert list(code_faults(made)) == list(unreviewed(made)) == []
    other = document(coded("121070", "DCM", "findings!"))
    assert list(code_faults(other)) == []


def test_an_unreviewed_code_is_named():
    """Also without a scheme."""
    assert list(unreviewed(document(coded("1", "99X")))) == [
        ("code", "(1, 99X) is not in the reviewed table")
    ]
    assert "no scheme" in next(iter(unreviewed(document(coded("1", "")))))[1]


def test_codes_of_the_order_are_not_checked():
    """They are copied as they came."""
    root = Dataset()
    root.ProcedureCodeSequence = [coded("1", "99LOCAL", "")]
    assert list(code_faults(root)) == []
