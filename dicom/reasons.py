"""Reasons why an image is not read: a code, and a sentence for the radiologist."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an image, or a whole study, was not analyzed."""

    NO_IMAGE = "NO_IMAGE"
    OWN_RESULT = "OWN_RESULT"
    NOT_RADIOGRAPH = "NOT_RADIOGRAPH"
    NOT_HUMAN = "NOT_HUMAN"
    NOT_CHEST = "NOT_CHEST"
    NOT_FRONTAL = "NOT_FRONTAL"
    NOT_STATED = "NOT_STATED"
    TWO_PATIENTS = "TWO_PATIENTS"
    CHILD = "CHILD"
    TOO_LARGE = "TOO_LARGE"
    UNREADABLE = "UNREADABLE"
    BLANK = "BLANK"
    INVERTED = "INVERTED"
    ROTATED = "ROTATED"
    NOT_PLAUSIBLE = "NOT_PLAUSIBLE"
    NO_MODEL_FOR_PATIENTS = "NO_MODEL_FOR_PATIENTS"
    ANOTHER_CHOSEN = "ANOTHER_CHOSEN"

    @property
    def sentence(self) -> str:
        """Return the sentence for the radiologist."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NO_IMAGE: "The object has no pixel data.",
    Reason.OWN_RESULT: "The object is a result of an analysis, not an acquired image.",
    Reason.NOT_RADIOGRAPH: "The image is not a radiograph.",
    Reason.NOT_HUMAN: "The image is of an animal.",
    Reason.NOT_CHEST: "The image is not of the chest.",
    Reason.NOT_FRONTAL: "The image is not a frontal (PA or AP) view.",
    Reason.NOT_STATED: (
        "The attributes do not state that it is a frontal chest radiograph, as this sender's rules "
        "require."
    ),
    Reason.TWO_PATIENTS: (
        "The images of the study name different patients: none is read until this is corrected."
    ),
    Reason.CHILD: (
        "The patient is a child: images of children are not analyzed automatically at this site."
    ),
    Reason.TOO_LARGE: "The image is larger than this service accepts for reading.",
    Reason.UNREADABLE: "The image cannot be read.",
    Reason.BLANK: "The image is blank.",
    Reason.INVERTED: "The image is shown as a negative: air is bright and bone is dark.",
    Reason.ROTATED: "The image is not upright: it is turned by a quarter or half turn.",
    Reason.NOT_PLAUSIBLE: (
        "The image does not look like an upright frontal chest radiograph of a person."
    ),
    Reason.NO_MODEL_FOR_PATIENTS: (
        "The image was not read: no model for patients is configured. The demonstration model reads "
        "synthetic images only."
    ),
    Reason.ANOTHER_CHOSEN: "Another image of the study was read; one image per study is read.",
}
