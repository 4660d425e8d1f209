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
    Reason.NO_IMAGE: "The object holds no picture.",
    Reason.OWN_RESULT: "The object is a result of an analysis, not a film.",
    Reason.NOT_RADIOGRAPH: "The image is not a radiograph.",
    Reason.NOT_HUMAN: "The film is of an animal.",
    Reason.NOT_CHEST: "The film is not of the chest.",
    Reason.NOT_FRONTAL: "The film is not a frontal (PA or AP) view.",
    Reason.NOT_STATED: (
        "The tags do not say that it is a frontal chest film, as this sender's rules ask."
    ),
    Reason.TWO_PATIENTS: (
        "The films of the study name different patients: none is read until somebody has put that right."
    ),
    Reason.CHILD: "The patient is a child, and this site has children's films read by people only.",
    Reason.TOO_LARGE: "The film is larger than this service reads.",
    Reason.UNREADABLE: "The film cannot be read.",
    Reason.BLANK: "The film is blank: it shows no picture.",
    Reason.INVERTED: "The film is shown as a negative: air is bright and bone is dark.",
    Reason.ROTATED: "The film is not upright: it is turned by a quarter or half turn.",
    Reason.NOT_PLAUSIBLE: "The picture does not look like an upright frontal chest film of a person.",
    Reason.NO_MODEL_FOR_PATIENTS: (
        "The image was not read: no model for patients is configured. The demonstration model reads "
        "synthetic images only."
    ),
    Reason.ANOTHER_CHOSEN: "Another film of the study was read; one film is read for each study.",
}
