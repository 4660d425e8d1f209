"""Finds the indication of an image in its header, for models that were trained with indications.

It is clinical text about a patient: it goes into the prompt, never into a log.
"""

import re
from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from dicom.content.patient_study import value_of

_LONGEST: Final = 300  # characters; an order's indication is a line, not a history
_SHORTEST: Final = 2
# Control marks of chat layouts: text of an order must not act as a turn of the chat.
_MARKS = re.compile(r"[<>\[\]{}|\\]|\b(?:USER|ASSISTANT|SYSTEM|INST)\b:?")
# Texts that only name the examination, and texts that stand for an empty entry.
_PROCEDURE = re.compile(
    r"(?:\b(?:x|xr|xray|rays?|cr|dx|dr|rx|rad\w*|plain|film|chest|thorax|cxr|portable|mobile|bedside|stat"
    r"|routine|urgent|frontal|erect|supine|upright|pa|ap|lat(?:eral)?|and|or|one|two|single|views?"
    r"|exam\w*|stud(?:y|ies)|images?|imaging|of|the|for|in|with|without|only|adult|protocol)\b|[\d\W_])+",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"\W*(?:none|nil|null|n\W?a|unknown|other|not?\s+(?:\w+\s+)?(?:given|provided|available|stated|specified|"
    r"known|indication|history|information)|see\s.*|as\s+above|same|test(?:ing)?|indication|reason|x+)\W*",
    re.IGNORECASE,
)


def indication(header: Dataset) -> str:
    """Return the indication on one line of at most 300 characters, or "" if the header has none.

    The first usable text is taken from Reason for the Requested Procedure (0040,1002) and its codes
    (0040,100A) in the Request Attributes, Reason for Study (0032,1030), Additional Patient History
    (0010,21B0), Admitting Diagnoses (0008,1080). A text that only names the examination, repeats its
    description or stands for "nothing" is skipped.

    Args:
        header: Header of the image.
    """
    descriptions = {
        _plain(str(value_of(header, keyword) or "")).casefold()
        for keyword in ("StudyDescription", "SeriesDescription", "ProtocolName")
    }
    for candidate in _candidates(header):
        text = _plain(candidate)
        if _says_why(text) and text.casefold() not in descriptions:
            return text[:_LONGEST].rsplit(" ", 1)[0] if len(text) > _LONGEST else text
    return ""


def _candidates(header: Dataset) -> Iterator[str]:
    requests = value_of(header, "RequestAttributesSequence") or []
    for request in requests:
        yield str(value_of(request, "ReasonForTheRequestedProcedure") or "")
        codes = value_of(request, "ReasonForRequestedProcedureCodeSequence") or []
        yield ", ".join(str(value_of(code, "CodeMeaning") or "") for code in codes)
    yield str(value_of(header, "ReasonForStudy") or "")
    yield str(value_of(header, "AdditionalPatientHistory") or "")
    yield str(value_of(header, "AdmittingDiagnosesDescription") or "")


def _plain(text: str) -> str:
    return " ".join(_MARKS.sub(" ", text).split())


def _says_why(text: str) -> bool:
    letters = sum(char.isalpha() for char in text)
    if letters < _SHORTEST or letters < len(text) / 3:
        return False
    return not (_PROCEDURE.fullmatch(text) or _NOTHING.fullmatch(text))
