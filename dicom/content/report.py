"""The draft as a record: Findings, DraftReport, and how they become JSON and come back.

A DraftReport holds no patient attribute: SR and SC copy those from the source data set when they
are built, so that a draft can be kept in a database and shown in a log of events.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from dicom.content.draft_json import decoded

# Fields that are left out where they say nothing, as in drafts from before there were such.
_LEFT_OUT: Final = frozenset({"agreement", "peak"})


class Observation(StrEnum):
    """What a chest radiograph is read for: the six of CXR-LLaVA first, then the rest of CheXpert."""

    ATELECTASIS = "atelectasis"
    CARDIOMEGALY = "cardiomegaly"
    CONSOLIDATION = "consolidation"
    EDEMA = "edema"
    PLEURAL_EFFUSION = "pleural effusion"
    PNEUMOTHORAX = "pneumothorax"
    ENLARGED_CARDIOMEDIASTINUM = "enlarged cardiomediastinum"
    FRACTURE = "fracture"
    LUNG_LESION = "lung lesion"
    LUNG_OPACITY = "lung opacity"
    PLEURAL_OTHER = "pleural other"
    PNEUMONIA = "pneumonia"
    SUPPORT_DEVICES = "support devices"
    NO_FINDING = "no finding"


CODED_OBSERVATIONS = (
    Observation.ATELECTASIS,
    Observation.CARDIOMEGALY,
    Observation.CONSOLIDATION,
    Observation.EDEMA,
    Observation.PLEURAL_EFFUSION,
    Observation.PNEUMOTHORAX,
)


class Presence(StrEnum):
    """Whether a Finding is there, as far as the draft says (PS3.16 CID 240, and two without a code).

    NOT_MENTIONED: the text was coded and does not speak of it. NOT_CODED: the text was not coded, or no
    finding could be coded from it; it may speak of the finding.
    """

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_MENTIONED = "not mentioned"
    NOT_CODED = "not coded"


# What a coded finding says; the other values of Presence are the lack of a statement.
STATED: Final = frozenset({Presence.PRESENT, Presence.ABSENT, Presence.UNCERTAIN})


class Side(StrEnum):
    """Laterality of a Finding, the patient's side (PS3.16 CID 244)."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A closed polygon on the source image.

    Attributes:
        points: (column, row) pairs in the source matrix, sub-pixel, (0, 0) the top left corner of the
            top left pixel (PS3.3 C.18.6.1.2); the last point equals the first.
        peak: The (column, row) in or near it that spoke most for the finding, where that is known.
    """

    points: tuple[tuple[float, float], ...]
    peak: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many of several sampled reports of the same film say what the draft says.

    Attributes:
        same: So many say the same, from 0.
        samples: Of so many, at least one.
    """

    same: int
    samples: int

    @property
    def share(self) -> float:
        """What part of them says the same, in 0..1."""
        return self.same / self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One observation of the draft and what the draft says of it.

    Attributes:
        site: Where in words, when said ("lower lobe").
        sentence: The sentence of the report that says it.
        score: The model's own probability in 0..1 that it is present, when the model gives one.
        region: Where on the source image, when located.
        agreement: With sampled reports, when there are any and the draft says something.
    """

    observation: Observation
    presence: Presence
    side: Side | None = None
    site: str | None = None
    sentence: str | None = None
    score: float | None = None
    region: Region | None = None
    agreement: Agreement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model wrote a draft, so that another can be told from it and recalled.

    Attributes:
        name: "CXR-LLaVA v2".
        version: The revision of its weights and configuration, as released.
        weights_sha256: Hex digest over the weight files.
        decoding: The settings that shaped the text ("greedy, 512 new tokens, float32, cpu").
        caveat: A sentence that must accompany every draft of this model ("weights are random: the
            text is meaningless"), or "".
        prompt: What the model was asked, `<image>` standing for the film; the order's indication, where
            it was told one, stands as "[indication]".
        mark: The caveat in a few words for the series description, where it must stand there too;
            at most 20 characters.
    """

    name: str
    version: str
    weights_sha256: str
    decoding: str = ""
    caveat: str = ""
    mark: str = ""
    prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """The film that was read, as the SR references it."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRead:
    """A film of the study that was not read, and why, as a sentence for a person."""

    sop_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The earlier draft SR that this draft supersedes (PS3.3 C.17.2.3)."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftReport:
    """An unverified AI draft of one study.

    Attributes:
        study_instance_uid: The study that was read.
        source: The one film the text is about.
        not_read: The study's other films and why each was not read.
        revision: 1 for the first draft of a study, then counting up.
        produced_at: When the draft was made, an aware time; SR and SC take their times from here, in
            the clock of the film, so that building them again gives the same bytes.
        findings_text: Sentences of the findings section.
        impression_text: Sentences of the impression section; may be empty.
        findings: What the text says, coded.
        notes: Warnings for the reader (a VOI window that missed the pixels, a child read with the
            pediatric prompt, text and scores that disagree), sentences.
        model: Who wrote it.
        predecessor: The draft that this one supersedes.
    """

    study_instance_uid: str
    source: SourceImage
    revision: int
    produced_at: datetime
    findings_text: tuple[str, ...]
    model: ModelIdentity
    impression_text: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    predecessor: Predecessor | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)

    @property
    def is_coded(self) -> bool:
        """Whether at least one finding is coded; if not, only the text says what the draft says."""
        return any(finding.presence in STATED for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the draft as JSON types; `from_json` gives an equal draft back."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Return the draft that `to_json` wrote, here or in another version.

        Fields that this version does not know are left out; those that it lacks take their defaults.

        Raises:
            UnreadableDraft: A field that is needed is missing, or a value is not of its type.
        """
        return decoded(cls, data)


def _plain(value: Any) -> Any:  # noqa: ANN401 - walks any field of the records above
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        named = {name: getattr(value, name) for name in value.__dataclass_fields__}
        return {
            name: _plain(item)
            for name, item in named.items()
            if item is not None or name not in _LEFT_OUT
        }
    return value
