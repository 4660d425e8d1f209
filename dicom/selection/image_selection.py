"""Which image of a Study is read, and why the others are not.

The attributes exclude what is certainly not a frontal chest image (`triage`). The rest is sorted, best
first (`precedence`); the first image that can be decoded and looks like an upright frontal chest image
(`judge`) is read. docs/selection.md describes the rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from dicom.content.report import NotRead
from dicom.errors import DicomError, LimitExceeded
from dicom.exact_text import reading
from dicom.parsing.header import read_header
from dicom.phantom import is_phantom
from dicom.pixels.frame import Frame, PixelLimits, load_frame
from dicom.reasons import Reason
from dicom.selection.age import age_in_years, is_age_contradicted
from dicom.selection.body_part_and_view import is_mirrored
from dicom.selection.copy_notes import copy_notes
from dicom.selection.one_patient import are_one_patient
from dicom.selection.plausibility import Plausibility, judge
from dicom.selection.precedence import Precedence, precedence
from dicom.selection.triage import Eligibility, Triage, triage
from dicom.study import Instance, Study

__all__ = [
    "Eligibility",
    "Examined",
    "Reason",
    "Rules",
    "Selection",
    "Triage",
    "choose",
    "examine",
    "triage",
]

# If triage left no candidate, the Study's reason is the first of these that occurs: that of the image
# that came nearest to being read.
_NEAREST_FIRST: Final = (
    Reason.NOT_STATED,
    Reason.NOT_FRONTAL,
    Reason.NOT_CHEST,
    Reason.NOT_HUMAN,
    Reason.UNREADABLE,
    Reason.TOO_LARGE,
    Reason.NOT_RADIOGRAPH,
    Reason.OWN_RESULT,
    Reason.NO_IMAGE,
)

# If an image is refused for such a reason alone, no other image of its Study is read instead.
_FINAL: Final = frozenset({Reason.CHILD, Reason.NO_MODEL_FOR_PATIENTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A site's rules for the selection.

    Attributes:
        minimum_age_years: Younger patients are children.
        read_children: Whether images of children are read.
        stated_only: Read only images whose attributes state that they are frontal chest images.
        synthetic_only: Read only Studies of which `dicom.phantom` made every image.
        synthetic_reason: Why, as the sentence for a Study of a patient.
    """

    minimum_age_years: int
    read_children: bool
    stated_only: bool = False
    synthetic_only: bool = False
    synthetic_reason: str = Reason.NO_MODEL_FOR_PATIENTS.sentence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The image to read, or why there is none; then instance, frame and header are None.

    Attributes:
        header: The attributes of the image, for the results to copy from.
        view: "PA", "AP", or "" if the attributes do not state it.
        child: The patient is younger than `Rules.minimum_age_years`.
        notes: Sentences about the image for the reader of a draft.
        not_read: Every other Instance of the Study, in order of arrival, and why it is not read.
        reason: Why nothing is read, from the image that came nearest to it; None if one is read.
        sentence: The reason as a sentence; "" if an image is read.
    """

    not_read: tuple[NotRead, ...]
    instance: Instance | None = None
    frame: Frame | None = None
    header: Dataset | None = None
    view: str = ""
    child: bool = False
    notes: tuple[str, ...] = ()
    reason: Reason | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examined:
    """The Frame of an image, and whether it looks like an upright frontal chest image."""

    frame: Frame
    verdict: Plausibility


Examine = Callable[[Path, PixelLimits], Examined]


def examine(path: Path, limits: PixelLimits) -> Examined:
    """Return the Frame of an image and the verdict on it.

    Raises:
        InvalidDataset, LimitExceeded, PixelError: As `dicom.pixels.frame.load_frame`.
    """
    frame = load_frame(path, limits)
    return Examined(frame=frame, verdict=judge(frame))


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    instance: Instance
    header: Dataset
    triage: Triage

    def precedence(self) -> Precedence:
        return precedence(self.header, self.triage, self.instance.sop_instance_uid)


def choose(
    study: Study, rules: Rules, limits: PixelLimits, examine: Examine = examine
) -> Selection:
    """Return the image of `study` to be read, decoded, or why none is.

    A fault of an image becomes the reason why it is not read; no error is raised for it.

    Args:
        study: The Instances.
        rules: The site's rules.
        limits: Upper limits of an image that is decoded.
        examine: Decodes and judges an image: here, or in a child process (`dicom.decoding.pool`).

    Raises:
        DicomError: A transient one: the image can be decoded later.
        OSError: Raised by `examine`.
    """
    refused: dict[str, _Refusal] = {}
    readable = _readable(study, refused)
    if not are_one_patient([candidate.header for candidate in readable]):
        return _mixed_patients(study)
    eligible = _with_exact_id(_candidates(readable, refused, rules), refused)
    candidates = sorted(eligible, key=_Candidate.precedence)
    synthetic = all(is_phantom(candidate.header) for candidate in readable)
    for candidate in candidates:
        found = _examined(candidate, rules, limits, examine)
        if isinstance(found, Frame) and rules.synthetic_only and not synthetic:
            found = _Refusal(Reason.NO_MODEL_FOR_PATIENTS, rules.synthetic_reason)
        if isinstance(found, Frame):
            return _chosen(study, candidate, found, refused, rules)
        refused[candidate.instance.sop_instance_uid] = found
        if found.reason in _FINAL:
            break
    return _none_chosen(study, candidates, refused)


def _readable(study: Study, refused: dict[str, _Refusal]) -> list[_Candidate]:
    """Return the readable Instances that are not AI results; put the others into `refused`."""
    readable = []
    for instance in study.instances:
        try:
            header = read_header(instance.path)
        except DicomError as error:
            refused[instance.sop_instance_uid] = _unreadable(error)
            continue
        verdict = triage(header)
        if verdict.reason is Reason.OWN_RESULT:
            refused[instance.sop_instance_uid] = _Refusal(verdict.reason, verdict.sentence)
            continue
        readable.append(_Candidate(instance, header, verdict))
    return readable


def _candidates(
    readable: list[_Candidate], refused: dict[str, _Refusal], rules: Rules
) -> list[_Candidate]:
    """Return the images that the attributes do not exclude; put the others into `refused`."""
    candidates = []
    for candidate in readable:
        verdict = candidate.triage
        reason, sentence = verdict.reason, verdict.sentence
        if reason is None and rules.stated_only and verdict.eligibility is Eligibility.POSSIBLE:
            reason, sentence = Reason.NOT_STATED, Reason.NOT_STATED.sentence
        if reason is None:
            candidates.append(candidate)
        else:
            refused[candidate.instance.sop_instance_uid] = _Refusal(reason, sentence)
    return candidates


def _with_exact_id(candidates: list[_Candidate], refused: dict[str, _Refusal]) -> list[_Candidate]:
    """Return the candidates whose Patient ID can be copied exactly; put the others into `refused`.

    If none has such an ID, all are returned: a later step states why the Study has no results. An
    image that was sent again with a corrected Patient ID is thus preferred.
    """
    exact = [each for each in candidates if reading(each.header, "PatientID").fault is None]
    for each in candidates if exact else []:
        fault = reading(each.header, "PatientID").fault
        if fault is not None:
            sentence = f"The Patient ID (0010,0020) of the image cannot be copied exactly: {fault}."
            refused[each.instance.sop_instance_uid] = _Refusal(Reason.UNREADABLE, sentence)
    return exact or candidates


def _unreadable(error: DicomError) -> _Refusal:
    reason = Reason.TOO_LARGE if isinstance(error, LimitExceeded) else Reason.UNREADABLE
    text = str(error)
    return _Refusal(reason, f"{reason.sentence.rstrip('.')}: {text}.")


def _examined(
    candidate: _Candidate, rules: Rules, limits: PixelLimits, examine: Examine
) -> Frame | _Refusal:
    """Return the Frame of a candidate that can be read, or why it cannot."""
    child = _is_child(candidate.header, rules)
    try:
        examined = examine(candidate.instance.path, limits)
    except DicomError as error:
        if error.transient:
            raise
        return _unreadable(error)
    verdict = examined.verdict
    if verdict.reason is not None:
        also = " The patient is a child; the measures are made for adults." if child else ""
        return _Refusal(verdict.reason, verdict.sentence + also)
    if child and not rules.read_children:
        return _Refusal(Reason.CHILD, Reason.CHILD.sentence)
    return examined.frame


def _is_child(header: Dataset, rules: Rules) -> bool:
    age = age_in_years(header)
    return age is not None and age < rules.minimum_age_years


def _chosen(
    study: Study,
    candidate: _Candidate,
    frame: Frame,
    refused: dict[str, _Refusal],
    rules: Rules,
) -> Selection:
    header = candidate.header
    return Selection(
        instance=candidate.instance,
        frame=frame,
        header=header,
        view=candidate.triage.view,
        child=_is_child(header, rules),
        notes=(*candidate.triage.notes, *_patient_notes(header), *frame.warnings),
        not_read=_not_read(study, refused, Reason.ANOTHER_CHOSEN, candidate.instance),
    )


def _patient_notes(header: Dataset) -> tuple[str, ...]:
    notes = []
    if age_in_years(header) is None:
        notes.append("The patient's age is not stated; the image was read as that of an adult.")
    if is_age_contradicted(header):
        notes.append(
            "Patient's Age (0010,1010) is 0 and contradicts the birth date: the birth date was used."
        )
    if is_mirrored(header):
        notes.append(
            "Patient Orientation states that the patient's right is at the right of the image: "
            "the sides in this draft may be exchanged."
        )
    return (*notes, *copy_notes(header))


def _none_chosen(
    study: Study, candidates: list[_Candidate], refused: dict[str, _Refusal]
) -> Selection:
    """Return why nothing is read: the reason of the image that came nearest to being read."""
    final = [refusal for refusal in refused.values() if refusal.reason in _FINAL]
    if final:
        nearest = final[0]
    elif candidates:
        nearest = refused[candidates[0].instance.sop_instance_uid]
    else:
        none = _Refusal(Reason.NO_IMAGE, "The study has no images.")
        nearest = min(refused.values(), key=_distance, default=none)
    return Selection(
        reason=nearest.reason,
        sentence=nearest.sentence,
        not_read=_not_read(study, refused, nearest.reason, None),
    )


def _mixed_patients(study: Study) -> Selection:
    """Return why nothing is read of a Study whose images name different patients."""
    reason = Reason.TWO_PATIENTS
    return Selection(
        reason=reason,
        sentence=reason.sentence,
        not_read=_not_read(study, {}, reason, None),
    )


def _distance(refusal: _Refusal) -> int:
    return _NEAREST_FIRST.index(refusal.reason)


def _not_read(
    study: Study, refused: dict[str, _Refusal], otherwise: Reason, chosen: Instance | None
) -> tuple[NotRead, ...]:
    default = _Refusal(otherwise, otherwise.sentence)
    return tuple(
        NotRead(
            sop_instance_uid=instance.sop_instance_uid,
            reason=refused.get(instance.sop_instance_uid, default).sentence,
        )
        for instance in study.instances
        if instance is not chosen
    )
