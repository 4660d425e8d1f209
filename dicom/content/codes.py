"""The table of all codes that our Structured Reports use; every row was looked up.

SNOMED CT values of the six findings come from public mappings and DICOM context groups; where two codes
look alike, a comment gives the reason for the choice. A validator does not detect a wrong code.
Therefore tests/dicom/content/test_codes.py compares this table with the Standard's dictionary where
that has the code.
"""

from dataclasses import dataclass
from typing import Final

from dicom.content.report import Observation, Presence, Side


@dataclass(frozen=True, slots=True)
class Code:
    """One coded concept: Code Value, Coding Scheme Designator, Code Meaning (PS3.3 8.8)."""

    value: str
    scheme: str
    meaning: str


# Document titles, headings and elements of the draft report (TID 2000; CID 7000, 7001, 7002, 7003).
DIAGNOSTIC_IMAGING_REPORT: Final = Code("18748-4", "LN", "Diagnostic Imaging Report")
CURRENT_PROCEDURE_DESCRIPTIONS: Final = Code("55111-9", "LN", "Current Procedure Descriptions")
INDICATIONS_FOR_PROCEDURE: Final = Code("18785-6", "LN", "Indications for Procedure")
FINDINGS: Final = Code("59776-5", "LN", "Findings")
IMPRESSIONS: Final = Code("19005-8", "LN", "Impressions")
PROCEDURE_DESCRIPTION: Final = Code("121065", "DCM", "Procedure Description")
REQUEST: Final = Code("121062", "DCM", "Request")
FINDING: Final = Code("121071", "DCM", "Finding")
IMPRESSION: Final = Code("121073", "DCM", "Impression")
BEST_ILLUSTRATION: Final = Code("121080", "DCM", "Best illustration of finding")

# What was reported, in which language, by whom (TID 1204, 1001 to 1004).
PROCEDURE_REPORTED: Final = Code("121058", "DCM", "Procedure reported")
CHEST_RADIOGRAPH: Final = Code("399208008", "SCT", "Plain X-ray of chest")
# A member of CID 100, as TID 1500 requires; the code of the chest radiograph is not a member.
IMAGING_PROCEDURE: Final = Code("363679005", "SCT", "Imaging procedure")
LANGUAGE: Final = Code("121049", "DCM", "Language of Content Item and Descendants")
ENGLISH_US: Final = Code("en-US", "RFC5646", "English (United States)")
OBSERVER_TYPE: Final = Code("121005", "DCM", "Observer Type")
DEVICE: Final = Code("121007", "DCM", "Device")
DEVICE_UID: Final = Code("121012", "DCM", "Device Observer UID")
DEVICE_NAME: Final = Code("121013", "DCM", "Device Observer Name")
DEVICE_MANUFACTURER: Final = Code("121014", "DCM", "Device Observer Manufacturer")
DEVICE_MODEL_NAME: Final = Code("121015", "DCM", "Device Observer Model Name")
DEVICE_SERIAL_NUMBER: Final = Code("121016", "DCM", "Device Observer Serial Number")

PERSON: Final = Code("121006", "DCM", "Person")
PERSON_NAME: Final = Code("121008", "DCM", "Person Observer Name")
PERSON_ORGANIZATION: Final = Code("121009", "DCM", "Person Observer's Organization Name")

# The findings document (TID 1500, 1410, 1600, 4019).
IMAGING_MEASUREMENT_REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")
IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP: Final = Code("126200", "DCM", "Image Library Group")
IMAGING_MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP: Final = Code("125007", "DCM", "Measurement Group")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
TRACKING_IDENTIFIER: Final = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING_SITE: Final = Code("363698007", "SCT", "Finding Site")
LATERALITY: Final = Code("272741003", "SCT", "Laterality")
ALGORITHM_NAME: Final = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION: Final = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_PARAMETERS: Final = Code("111002", "DCM", "Algorithm Parameters")
ALGORITHM_FAMILY: Final = Code("111000", "DCM", "Algorithm Family")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")
CERTAINTY: Final = Code("111012", "DCM", "Certainty of Finding")
PERCENT: Final = Code("%", "UCUM", "Percent")
PRESENCE: Final = Code("705057003", "SCT", "Presence")
IMAGE_REGION: Final = Code("111030", "DCM", "Image Region")
SELECTED_REGION: Final = Code("111099", "DCM", "Selected region")
SOURCE: Final = Code("260753009", "SCT", "Source")
SOURCE_OF_MEASUREMENT: Final = Code("121112", "DCM", "Source of Measurement")

# Purposes of reference in the header (CID 7005, 7009, 7202).
PROCESSING_EQUIPMENT: Final = Code("109102", "DCM", "Processing Equipment")
PRELIMINARY_REPORT: Final = Code("121362", "DCM", "Preliminary report")
REPLACED_REPORT: Final = Code("121360", "DCM", "Replaced report")
SOURCE_IMAGE: Final = Code("121322", "DCM", "Source image for image processing operation")

# The six findings. Observations without a row here ("lung opacity") have no unambiguous code and are
# written as text.
FINDING_CODES: Final = {
    Observation.ATELECTASIS: Code("46621007", "SCT", "Atelectasis"),
    # Not 287272002, which DICOM lists as "Cardiomegaly" for fetal echocardiography only.
    Observation.CARDIOMEGALY: Code("8186001", "SCT", "Cardiomegaly"),
    Observation.CONSOLIDATION: Code("95436008", "SCT", "Lung consolidation"),
    # CID 3700; not 79654002, which is edema of any site.
    Observation.EDEMA: Code("19242006", "SCT", "Pulmonary edema"),
    Observation.PLEURAL_EFFUSION: Code("60046008", "SCT", "Pleural effusion"),
    Observation.PNEUMOTHORAX: Code("36118008", "SCT", "Pneumothorax"),
}

LUNG: Final = Code("39607008", "SCT", "Lung")
HEART: Final = Code("80891009", "SCT", "Heart")
PLEURA: Final = Code("3120008", "SCT", "Pleura")
# Not the retired 51185008.
CHEST: Final = Code("816094009", "SCT", "Chest")
FINDING_SITES: Final = {
    Observation.ATELECTASIS: LUNG,
    Observation.CARDIOMEGALY: HEART,
    Observation.CONSOLIDATION: LUNG,
    Observation.EDEMA: LUNG,
    Observation.PLEURAL_EFFUSION: PLEURA,
    Observation.PNEUMOTHORAX: PLEURA,
}

# CID 240; it has no value for a finding that is not mentioned, which is not written.
PRESENCE_CODES: Final = {
    Presence.PRESENT: Code("52101004", "SCT", "Present"),
    Presence.ABSENT: Code("272519000", "SCT", "Absent"),
    Presence.UNCERTAIN: Code("373068000", "SCT", "Undetermined"),
}

# CID 244.
SIDE_CODES: Final = {
    Side.RIGHT: Code("24028007", "SCT", "Right"),
    Side.LEFT: Code("7771000", "SCT", "Left"),
    Side.BILATERAL: Code("51440002", "SCT", "Bilateral"),
}

# The values of CID 29 for radiographs.
MODALITY: Final = Code("121139", "DCM", "Modality")
MODALITY_CODES: Final = {
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "DX": Code("DX", "DCM", "Digital Radiography"),
}


def _reviewed() -> dict[tuple[str, str], str]:
    rows = [value for value in globals().values() if isinstance(value, Code)]
    for table in (FINDING_CODES, PRESENCE_CODES, SIDE_CODES, MODALITY_CODES):
        rows.extend(table.values())
    return {(code.value, code.scheme): code.meaning for code in rows}


# (Code Value, Coding Scheme Designator) -> Code Meaning of every code above; no other may be written.
REVIEWED: Final = _reviewed()
