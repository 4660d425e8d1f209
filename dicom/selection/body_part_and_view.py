"""Body part and projection of an image by its attributes, in the wording of many sites.

The most reliable source that states something decides: codes, then the dedicated attribute, then the
descriptions of series and protocol. NOT_STATED is a result of its own.
"""

import re
from enum import StrEnum
from typing import Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom.attributes import items, searchable_text, value_of


class BodyPart(StrEnum):
    """The body part according to the attributes."""

    CHEST = "chest"
    NEAR_CHEST = "near the chest"  # ribs, trunk: often, but not always, a chest image
    OTHER = "other"
    NOT_STATED = "unsaid"
    CONTRADICTORY = "contradictory"


class View(StrEnum):
    """The projection according to the attributes."""

    PA = "PA"
    AP = "AP"
    FRONTAL = "frontal"
    OTHER = "other"
    NOT_STATED = "unsaid"
    CONTRADICTORY = "contradictory"


# Beginnings of words, without accents: English, German, Dutch, Nordic, Romance, Slavic, Turkish,
# Hungarian, Finnish; then Cyrillic, Chinese/Japanese and Korean.
_CHEST: Final = re.compile(
    r"\b(CHEST|CXR|THORA|TORAX|TORAC|THX\b|LUNG|POUMON|PULMO|POLMON|PLUCA|KLATK|KLP\b|HRUDNI|"
    r"MELLKAS|AKCIGER|GOGUS|KEUHKO|RINTAKEH|BRYSTKAS|BROSTKORG|MEDIASTIN|HEART|COEUR)"
    r"|ГРУД|ЛЕГК|ОГК|胸|肺|흉부"
)
_THORACIC_SPINE: Final = re.compile(
    r"(T(H?ORAC\w*)?|DORSAL\w*)[ ./-]*(SPINE|SPN|WIRBEL\w*|RACHIS|COLUMN\w*|COLON\w*|WERVEL\w*)|"
    r"\b(TSPINE|BWS|DWS|TH-?SPINE|SPINE)\b"
)
_NEAR_CHEST: Final = re.compile(r"\b(RIB|COSTA|COTES|RIPPE|TRUNK|TORSO|BODY|BABYGRAM|STERN)")
_OTHER: Final = re.compile(
    r"\b(ABD|PELV|BECKEN|BASSIN|HIP|HUEFT|HUFT|HANCHE|CADERA|KNEE|KNIE|GENOU|RODILLA|ANKLE|FOOT|FUSS|"
    r"TOE|CALC|HEEL|LEG|TIB|FIB|FEMUR|THIGH|HAND|FINGER|THUMB|WRIST|ELBOW|FOREARM|ARM\b|HUMER|"
    r"SHOULDER|SCHULTER|EPAULE|HOMBRO|SPALLA|CLAV|SCAP|SKULL|SCHAEDEL|CRANE|CRANI|HEAD|SINUS|NOSE|"
    r"NASAL|FACIAL|ORBIT|MANDIB|JAW|DENT|TOOTH|TEETH|NECK|CSPINE|LSPINE|SSPINE|CERV|LUMB|LWS|HWS|"
    r"SACR|COCCYX|SPINE|BREAST|MAMM|KUB|BLADDER|KIDNEY|EXTREM|PATELLA|ACJ)"
)
# SNOMED CT and SNOMED RT codes (PS3.16 CID 4009 and 4031): chest, thorax, thoracic structure,
# thoracic cavity, lung, mediastinum, heart.
_CHEST_CODES: Final = frozenset(
    {"816094009", "51185008", "43799004", "39607008", "72410000", "80891009"}
    | {"T-D3000", "T-D3200", "T-28000", "T-D3300", "T-32000"}
)
# PS3.16 CID 4010.
_VIEW_CODES: Final = {
    "399348003": View.AP,
    "R-10206": View.AP,
    "272479007": View.PA,
    "R-10214": View.PA,
    "R-40888": View.PA,
    "399033003": View.FRONTAL,
    "399173006": View.OTHER,
    "R-10236": View.OTHER,
    "399198007": View.OTHER,
    "R-10232": View.OTHER,
    "399067008": View.OTHER,
}
_OTHER_VIEW: Final = re.compile(
    r"\b(LAT|LATERAL\w*|LATERO\w*|LL|RL|LLD|RLD|LLO|RLO|LAO|RAO|LPO|RPO|OBL\w*|SEITL\w*|SEIT|PROFIL\w*|"
    r"PERFIL|LATERALE|BOCZN\w*|DECUB\w*|LORDOT\w*|APICAL|AXIAL\w*|TANGENT\w*|ZIJ\w*)\b|БОК|側面|侧|측면"
)
_PA: Final = re.compile(r"\b(PA|P A|POSTERO ?ANTERIOR\w*|DV)\b|後前|后前")
_AP: Final = re.compile(r"\b(AP|A P|ANTERO ?POSTERIOR\w*|VD)\b|前後|前后")
_FRONTAL: Final = re.compile(r"\b(FRONTAL\w*|FACE)\b|正面|정면")
# Words that may qualify a frontal view: "AP lordotic", "PA oblique".
_QUALIFYING: Final = re.compile(r"\b(LORDOT\w*|OBL\w*|DECUB\w*|APICAL|AXIAL\w*)\b")

_SERIES_WORDS: Final = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
)


def region_of(header: Dataset) -> BodyPart:
    """Return the body part; CONTRADICTORY if it is OTHER but the series descriptions say chest."""
    stated = _coded_region(header)
    if stated is BodyPart.NOT_STATED:
        stated = _region_in(searchable_text(header, "BodyPartExamined"))
    series = _region_in(searchable_text(header, *_SERIES_WORDS))
    if stated is BodyPart.NOT_STATED:
        stated = series
    if stated is BodyPart.NOT_STATED:
        return _region_in(
            searchable_text(header, "StudyDescription", "RequestedProcedureDescription")
        )
    if stated is BodyPart.OTHER and series is BodyPart.CHEST:
        return BodyPart.CONTRADICTORY
    return stated


def _coded_region(header: Dataset) -> BodyPart:
    for item in items(header, "AnatomicRegionSequence"):
        if str(item.get("CodeValue", "")).strip() in _CHEST_CODES:
            return BodyPart.CHEST
        found = _region_in(searchable_text(item, "CodeMeaning"))
        if found is not BodyPart.NOT_STATED:
            return found
    return BodyPart.NOT_STATED


def _region_in(text: str) -> BodyPart:
    without_spine, spines = _THORACIC_SPINE.subn(" ", text)
    if _CHEST.search(without_spine):
        return BodyPart.CHEST
    if _NEAR_CHEST.search(without_spine):
        return BodyPart.NEAR_CHEST
    return BodyPart.OTHER if spines or _OTHER.search(text) else BodyPart.NOT_STATED


def view_of(header: Dataset) -> View:
    """Return the projection by view codes and View Position, else orientation, else descriptions.

    CONTRADICTORY if view codes, View Position and orientation disagree whether it is frontal.
    """
    stated = [
        view for view in (_coded_view(header), _position(header)) if view is not View.NOT_STATED
    ]
    if not stated:
        stated = [view for view in (_orientation(header),) if view is not View.NOT_STATED]
    elif _orientation(header) is View.OTHER and View.OTHER not in stated:
        return View.CONTRADICTORY
    if not stated:
        return _view_in(searchable_text(header, *_SERIES_WORDS))
    if View.OTHER in stated and set(stated) != {View.OTHER}:
        return View.CONTRADICTORY
    return stated[0]


def _coded_view(header: Dataset) -> View:
    for item in items(header, "ViewCodeSequence"):
        known = _VIEW_CODES.get(str(item.get("CodeValue", "")).strip())
        return known or _view_in(searchable_text(item, "CodeMeaning"))
    return View.NOT_STATED


def _position(header: Dataset) -> View:
    return _view_in(searchable_text(header, "ViewPosition"))


def _view_in(text: str) -> View:
    other = bool(_OTHER_VIEW.search(text))
    frontal = _frontal_in(text)
    if other and frontal is not View.NOT_STATED and not _qualifies(text):
        return View.NOT_STATED  # "PA and lateral" names a set of images, not this one
    return View.OTHER if other else frontal


def _qualifies(text: str) -> bool:
    """Return whether a text with a frontal and another view means a variant of the frontal one."""
    return bool(_QUALIFYING.search(text))


def _frontal_in(text: str) -> View:
    posterior, anterior = bool(_PA.search(text)), bool(_AP.search(text))
    if posterior != anterior:
        return View.PA if posterior else View.AP
    return View.FRONTAL if _FRONTAL.search(text) else View.NOT_STATED


def _orientation(header: Dataset) -> View:
    """Return OTHER if rows or columns run anterior-posterior (PS3.3 C.7.6.1.1.1): a lateral image."""
    directions = value_of(header, "PatientOrientation")
    if not isinstance(directions, MultiValue | list) or len(directions) != 2:
        return View.NOT_STATED
    first = {str(direction).strip().upper()[:1] for direction in directions}
    if first & {"A", "P"}:
        return View.OTHER
    return View.FRONTAL if first <= {"L", "R", "H", "F"} and len(first) == 2 else View.NOT_STATED


def is_mirrored(header: Dataset) -> bool:
    """Return whether Patient Orientation puts the patient's right side at the viewer's right."""
    directions = value_of(header, "PatientOrientation")
    if not isinstance(directions, MultiValue | list) or not directions:
        return False
    return str(directions[0]).strip().upper().startswith("R")
