"""The code table against the Standard's dictionary and against our documents."""

from pydicom.sr._concepts_dict import concepts
from pydicom.sr.codedict import codes as standard

from dicom.content import codes
from dicom.content.report import CODED_OBSERVATIONS, Presence
from dicom.results.draft_sr import draft_report
from dicom.results.findings_sr import findings_report

# Looked up elsewhere (SNOMED CT, RFC 5646, UMLS): pydicom's dictionary does not hold them.
NOT_IN_DICTIONARY = {
    ("399208008", "SCT"),
    ("en-US", "RFC5646"),
    ("C0034375", "UMLS"),
    ("705057003", "SCT"),
    ("46621007", "SCT"),
    ("8186001", "SCT"),
    ("95436008", "SCT"),
}


def test_the_six_findings_have_the_reviewed_snomed_codes():
    """Each of the six findings has exactly the SNOMED CT value that was reviewed."""
    assert [
        (codes.FINDING_CODES[o].value, codes.FINDING_CODES[o].meaning) for o in CODED_OBSERVATIONS
    ] == [
        ("46621007", "Atelectasis"),
        ("8186001", "Cardiomegaly"),
        ("95436008", "Lung consolidation"),
        ("19242006", "Pulmonary edema"),
        ("60046008", "Pleural effusion"),
        ("36118008", "Pneumothorax"),
    ]


def test_codes_that_look_right_and_are_wrong_are_not_in_the_table():
    """The fetal cardiomegaly, edema anywhere, the retired chest and Indeterminate are not used."""
    values = {value for value, _ in codes.REVIEWED}
    assert values.isdisjoint({"287272002", "79654002", "267038008", "51185008", "82334004"})


def test_every_code_is_in_the_dictionary_of_the_standard_or_listed():
    """A code is either in pydicom's copy of the Standard's dictionary or in the written list."""
    unknown = {
        (value, scheme)
        for value, scheme in codes.REVIEWED
        if not any(value in found for found in concepts.get(scheme, {}).values())
    }
    assert unknown == NOT_IN_DICTIONARY


def test_meanings_are_those_of_the_dictionary():
    """The Code Meaning of each DCM and LOINC code is the dictionary's own."""
    for (value, scheme), meaning in codes.REVIEWED.items():
        if scheme in ("DCM", "LN"):
            assert meaning in {
                found[value][0] for found in concepts[scheme].values() if value in found
            }


def test_presence_values_are_those_of_cid_240():
    """Present, Absent and Undetermined are the three members of CID 240; silence has no code."""
    members = {standard.cid240.Present, standard.cid240.Absent, standard.cid240.Undetermined}
    assert {code.value for code in codes.PRESENCE_CODES.values()} == {m.value for m in members}
    assert Presence.NOT_MENTIONED not in codes.PRESENCE_CODES


def test_documents_hold_reviewed_codes_only(image_header, make_draft, equipment):
    """Every code anywhere in both documents is a row of the table, meaning included."""
    header = image_header()
    draft = make_draft(header)
    seen = set()
    for document in (
        draft_report(draft, header, equipment),
        findings_report(draft, header, equipment),
    ):
        for element in document.iterall():
            if element.keyword == "CodeValue":
                seen.add(str(element.value))
        document.walk(lambda dataset, _: _check(dataset))
    assert {"46621007", "8186001"} & seen


def _check(dataset):
    if "CodeValue" in dataset:
        key = (str(dataset.CodeValue), str(dataset.CodingSchemeDesignator))
        assert codes.REVIEWED.get(key) == str(dataset.CodeMeaning)
