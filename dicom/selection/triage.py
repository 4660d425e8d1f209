"""Triage by attributes alone: whether an Instance is likely, possibly or certainly not to be read.

It is cheap enough to run on every Instance as it arrives. What the attributes do not state excludes
nothing: the pixels decide later. docs/selection.md describes the rule.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from dicom.attributes import items, searchable_text, tag_of, value_of
from dicom.reasons import Reason
from dicom.selection.body_part_and_view import BodyPart, View, region_of, view_of


class Eligibility(StrEnum):
    """Whether an image can be read, as far as its attributes show."""

    LIKELY = "LIKELY"
    POSSIBLE = "POSSIBLE"
    EXCLUDED = "EXCLUDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """The result of the triage of one Instance.

    Attributes:
        reason: Why it is excluded, or None.
        sentence: The reason as a sentence, or "".
        view: "PA", "AP" or "" if the attributes do not state it.
        notes: Sentences for the reader of a draft about missing or contradictory attributes.
    """

    eligibility: Eligibility
    reason: Reason | None
    sentence: str
    view: str = ""
    notes: tuple[str, ...] = ()


_RADIOGRAPH_CLASSES: Final = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
    }
)
# A digitized or converted image: the SOP Class does not state what it shows, but Modality may.
_OPEN_CLASSES: Final = frozenset(
    {
        SecondaryCaptureImageStorage,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    }
)
# As `dicom.results.secondary_capture` writes it.
_OWN_IMAGE_TYPE: Final = ["DERIVED", "SECONDARY", "", "AI"]
_RADIOGRAPH_MODALITIES: Final = frozenset({"CR", "DX", "DR", "RG", "XR"})
_OPEN_MODALITIES: Final = frozenset({"", "OT", "SC", "RF", "HC"})
_POSSIBLE_MODALITIES: Final = _RADIOGRAPH_MODALITIES | _OPEN_MODALITIES
# Homo sapiens in SNOMED CT and SNOMED RT (PS3.16 CID 7454).
_HUMAN_CODES: Final = frozenset({"337915000", "L-85B00"})


def triage(header: Dataset) -> Triage:
    """Return the triage of an Instance; never raise for malformed values."""
    region, view = region_of(header), view_of(header)
    reason = _excluded(header, region, view)
    if reason is not None:
        return Triage(eligibility=Eligibility.EXCLUDED, reason=reason, sentence=reason.sentence)
    stated = view in {View.PA, View.AP, View.FRONTAL} and region is BodyPart.CHEST
    likely = stated and _is_radiograph(header)
    return Triage(
        eligibility=Eligibility.LIKELY if likely else Eligibility.POSSIBLE,
        reason=None,
        sentence="",
        view=view.value if view in {View.PA, View.AP} else "",
        notes=_notes(header, region, view),
    )


def _excluded(header: Dataset, region: BodyPart, view: View) -> Reason | None:
    """Return the first reason against reading, checked from the object type to the projection."""
    if _is_own_result(header):
        return Reason.OWN_RESULT
    if not _has_picture(header):
        return Reason.NO_IMAGE
    if not _may_be_radiograph(header, region):
        return Reason.NOT_RADIOGRAPH
    if _is_animal(header):
        return Reason.NOT_HUMAN
    if region is BodyPart.OTHER:
        return Reason.NOT_CHEST
    return Reason.NOT_FRONTAL if view is View.OTHER else None


def _is_own_result(header: Dataset) -> bool:
    """Return whether it is a result of ours or of another AI.

    "AI" in Image Type value 3 or later is not sufficient: a detector may write it for its own
    processing. It counts in a Secondary Capture whose Modality is not that of a radiograph, or that has
    exactly the Image Type of our results: these are recognized even if an archive changed their UIDs and
    Manufacturer.
    """
    if str(value_of(header, "Manufacturer") or "").strip().casefold() == "wetread":
        return True
    kinds = _image_type(header)
    if kinds[:2] != ["DERIVED", "SECONDARY"] or "AI" not in kinds[2:]:
        return False
    if _sop_class(header) not in _OPEN_CLASSES:
        return False
    return kinds == _OWN_IMAGE_TYPE or _modality(header) not in _RADIOGRAPH_MODALITIES


def _has_picture(header: Dataset) -> bool:
    return tag_of("Rows") in header or tag_of("PhotometricInterpretation") in header


def _may_be_radiograph(header: Dataset, region: BodyPart) -> bool:
    if "LOCALIZER" in _image_type(header):
        return False
    sop_class = _sop_class(header)
    if sop_class in _RADIOGRAPH_CLASSES:
        return True
    if sop_class and sop_class not in _OPEN_CLASSES:
        return False
    if _modality(header) in _POSSIBLE_MODALITIES:
        return True
    # A converted image may state Modality CT and body part chest: the pixels decide.
    return bool(sop_class) and region is BodyPart.CHEST


def _is_radiograph(header: Dataset) -> bool:
    if _sop_class(header) in _RADIOGRAPH_CLASSES:
        return True
    return _modality(header) in _RADIOGRAPH_MODALITIES


def _is_animal(header: Dataset) -> bool:
    """Return whether the species is stated and not human (PS3.3 C.7.1.1)."""
    codes = items(header, "PatientSpeciesCodeSequence")
    if any(str(item.get("CodeValue", "")).strip() in _HUMAN_CODES for item in codes):
        return False
    species = searchable_text(header, "PatientSpeciesDescription")
    species += "".join(searchable_text(item, "CodeMeaning") for item in codes)
    return bool(species) and "HOMO" not in species and "HUMAN" not in species


def _notes(header: Dataset, region: BodyPart, view: View) -> tuple[str, ...]:
    notes = []
    if not _is_radiograph(header):
        notes.append(
            f"The image is not marked as a radiograph (Modality {_modality(header) or '-'})."
        )
    if region is BodyPart.NOT_STATED:
        notes.append("The body part is not stated; the image was judged to be a chest.")
    elif region is not BodyPart.CHEST:
        notes.append("The attributes do not clearly state chest; the image was judged to be one.")
    if view is View.NOT_STATED:
        notes.append("The view position is not stated; the image was judged to be frontal.")
    elif view is View.CONTRADICTORY:
        notes.append(
            "The attributes contradict each other on the view; the image was judged to be frontal."
        )
    elif view is View.FRONTAL:
        notes.append("The attributes state frontal, but not whether PA or AP.")
    return tuple(notes)


def _sop_class(header: Dataset) -> str:
    return str(value_of(header, "SOPClassUID") or "").strip()


def _modality(header: Dataset) -> str:
    text = searchable_text(header, "Modality")
    return text if len(text) <= 16 and text.isascii() else "?"


def _image_type(header: Dataset) -> list[str]:
    value = value_of(header, "ImageType")
    values = value if isinstance(value, MultiValue | list) else [value or ""]
    return [str(part).strip().upper() for part in values]
