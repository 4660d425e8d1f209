"""The draft as a record: Findings, DraftReport, and their conversion to and from JSON.

A DraftReport has no patient attributes, so that it can be stored in a database and shown in an event
log. SR and SC copy patient attributes from the source data set when they are built.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from dicom.content.draft_json import decoded

# Omitted from JSON if None, so that the JSON equals that of versions without these fields.
_LEFT_OUT: Final = frozenset({"agreement", "peak", "doubts", "heat"})


class Observation(StrEnum):
    """The observations of a chest radiograph: the six of CXR-LLaVA, then the others of CheXpert."""

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
    """Whether a Finding is present according to the draft (PS3.16 CID 240, and two without a code).

    NOT_MENTIONED: the text was coded and does not mention the finding. NOT_CODED: the text was not
    coded, or no finding could be coded from it; it may mention the finding.
    """

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_MENTIONED = "not mentioned"
    NOT_CODED = "not coded"


# The values of a coded finding; the other values of Presence mean that the draft states nothing.
STATED: Final = frozenset({Presence.PRESENT, Presence.ABSENT, Presence.UNCERTAIN})


class Side(StrEnum):
    """Laterality of a Finding: the patient's side (PS3.16 CID 244)."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A closed polygon on the source image.

    Attributes:
        points: (column, row) pairs in the source matrix, sub-pixel, (0, 0) the top left corner of the
            top left pixel (PS3.3 C.18.6.1.2); the last point equals the first.
        peak: (column, row) in or near the polygon, where the model's evidence was strongest, if known.
    """

    points: tuple[tuple[float, float], ...]
    peak: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatGrid:
    """The parts of the source image from which a model's yes to a finding came; no segmentation.

    Attributes:
        edge: Number of cells along each edge of the square, 1 to MOST_HEAT_CELLS.
        cells: Base64 of uint8 [edge, edge]: the share of each cell, 255 the largest.
        left: Column of the square's left edge in the source matrix, (0, 0) as in `Region`.
        top: Row of its top edge.
        size: Length of its edges in pixels of the source matrix.
    """

    edge: int
    cells: str
    left: float
    top: float
    size: float


MOST_HEAT_CELLS: Final = 64  # along an edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many sampled reports of the same image agree with the draft on a finding.

    Attributes:
        same: Number of reports that agree, from 0.
        samples: Number of reports, at least 1.
    """

    same: int
    samples: int

    @property
    def share(self) -> float:
        """The fraction of reports that agree, in 0..1."""
        return self.same / self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One observation and the draft's statement about it.

    Attributes:
        site: The site as text, if stated ("lower lobe").
        sentence: The sentence of the report that states it.
        score: The model's own probability in 0..1 that it is present, if the model gives one.
        region: The region on the source image, if located.
        agreement: Agreement with sampled reports, if there are any and the draft states the finding.
        heat: Where the model's yes came from, if the model shows that; not part of SR and SC.
    """

    observation: Observation
    presence: Presence
    side: Side | None = None
    site: str | None = None
    sentence: str | None = None
    score: float | None = None
    region: Region | None = None
    agreement: Agreement | None = None
    heat: HeatGrid | None = None


class Doubt(StrEnum):
    """Why a sentence of a draft cannot be taken over unread."""

    CONTRADICTED = "contradicted"  # another sentence of the text states the opposite
    COMPARES = "compares"  # it refers to an earlier image; the model got none


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulSentence:
    """A sentence of a draft, as in `findings_text` or `impression_text`, and a doubt about it."""

    sentence: str
    doubt: Doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The model that wrote a draft, so that its drafts can be identified and recalled.

    Attributes:
        name: For example "CXR-LLaVA v2".
        version: The revision of its weights and configuration, as released.
        weights_sha256: Hex digest over the weight files.
        decoding: The settings that shaped the text ("greedy, 512 new tokens, float32, cpu").
        caveat: A sentence that must accompany every draft of this model ("weights are random: the
            text is meaningless"), or "".
        prompt: The prompt, with `<image>` in place of the image and "[indication]" in place of the
            order's indication, if that was given.
        mark: The caveat in a few words for the series description, at most 20 characters, or "".
        licence: The licence of the weights, or "".
        intended_use: What its authors allow or intend, or "".
        cannot: What it cannot do, in words: "scores", "regions", "chat".
    """

    name: str
    version: str
    weights_sha256: str
    decoding: str = ""
    caveat: str = ""
    mark: str = ""
    prompt: str = ""
    licence: str = ""
    intended_use: str = ""
    cannot: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImage:
    """The image that was read, as the SR references it."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRead:
    """An image of the study that was not read, and the reason as a sentence for a person."""

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
        source: The one image that the text is about.
        not_read: The study's other images and why each was not read.
        revision: Revision of the job: 1 for the first reading of a study, then counting up.
        produced_at: Time of the job's first claim, an aware time. SR and SC state this time, in the time
            zone of the image, so that another attempt or building them again gives the same bytes.
        findings_text: Sentences of the findings section.
        impression_text: Sentences of the impression section; may be empty.
        findings: The findings of the text, coded.
        notes: Warnings for the reader (a VOI window that missed the pixels, a child read with the
            pediatric prompt, text and scores that disagree), sentences.
        model: The model that wrote the draft.
        predecessor: The SR of the draft that this one supersedes.
        timings_ms: Milliseconds of each stage of the reading, by its name; not part of the results.
        doubts: The sentences that a reader must answer; not part of SR and SC. None in drafts of
            versions that did not look for them.
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
    doubts: tuple[DoubtfulSentence, ...] | None = None

    @property
    def is_coded(self) -> bool:
        """Whether at least one finding is coded; if not, the text alone is the draft's statement."""
        return any(finding.presence in STATED for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the draft as JSON types, from which `from_json` makes an equal draft."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Return the draft that `to_json` of this or another version wrote.

        Unknown fields are ignored; missing fields get their defaults.

        Raises:
            UnreadableDraft: A field without default is missing, or a value is not of its type.
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
