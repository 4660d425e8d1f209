"""Records of final reports. Their `repr` shows neither text nor patient attributes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from dicom.content.report import Observation, Presence, Side


class FinalSource(StrEnum):
    """How a final report arrived."""

    FILE = "file"
    API = "api"
    SR = "sr"
    HL7 = "hl7"


class FinalStatus(StrEnum):
    """What the reporting system states of a report; a preliminary one is not used."""

    FINAL = "final"
    WITHDRAWN = "withdrawn"


class FinalState(StrEnum):
    """The state of a final report here; stored in `final_reports.state`."""

    UNLABELED = "unlabeled"  # its text waits for the labeler
    MATCHED = "matched"
    LATE = "late"  # matched, but it arrived long after the draft: in no chart
    NO_DRAFT = "no draft"  # its study is here and has no draft that stands
    AMBIGUOUS = "ambiguous"  # several studies fit, or the patient differs
    UNMATCHED = "unmatched"
    SUPERSEDED = "superseded"  # a later report of the study stands
    WITHDRAWN = "withdrawn"


# A study may still arrive or be read for these.
WAITING = (FinalState.NO_DRAFT, FinalState.AMBIGUOUS, FinalState.UNMATCHED)


class MatchedBy(StrEnum):
    """By what a report was matched with a study, in the order in which they are tried."""

    ACCESSION = "accession number"
    STUDY_UID = "study instance uid"
    PATIENT_DAY = "patient and day"
    NOTHING = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportKeys:
    """What identifies the study of a report; "" where it is not known.

    Attributes:
        study_date: DA, YYYYMMDD.
    """

    accession_number: str = field(default="", repr=False)
    study_uid: str = ""
    patient_id: str = field(default="", repr=False)
    issuer: str = field(default="", repr=False)
    study_date: str = field(default="", repr=False)

    @property
    def are_enough(self) -> bool:
        """Whether a study can be found by them."""
        patient_and_day = self.patient_id and self.study_date
        return bool(self.accession_number or self.study_uid or patient_and_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalReport:
    """A final report as it arrived.

    Attributes:
        report_id: Its identifier in the reporting system, the same for corrected versions; "" for none.
        reported_at: When the reporting system finished it; None if not stated.
        text: Findings and impression, with or without headings; "" if withdrawn.
        message_id: Of the HL7 message; "" for none. It belongs to the content of a withdrawal, so that a
            later one withdraws again.
    """

    source: FinalSource
    keys: ReportKeys
    status: FinalStatus = FinalStatus.FINAL
    report_id: str = field(default="", repr=False)
    reported_at: datetime | None = None
    text: str = field(default="", repr=False)
    message_id: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the content: an equal report gives an equal digest, whichever way it arrived."""
        keys = self.keys
        content = [keys.accession_number, keys.study_uid, keys.patient_id, keys.issuer]
        content += [keys.study_date, self.status, self.report_id, self.text]
        content.append(self.reported_at.isoformat() if self.reported_at else "")
        if self.status is FinalStatus.WITHDRAWN and self.message_id:
            content.append(self.message_id)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalLabels:
    """What the labeler reads in a final report.

    Attributes:
        labeler: Its version.
        presence: By observation; not mentioned ones are left out.
        sides: By observation, where the text names one.
        words: Number of words of the text.
    """

    labeler: str
    presence: Mapping[Observation, Presence]
    sides: Mapping[Observation, Side]
    words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyMatch:
    """Which study a report is of.

    Attributes:
        state: MATCHED, LATE, NO_DRAFT, AMBIGUOUS or UNMATCHED.
        job_id: The job whose draft stands; "" without one.
    """

    state: FinalState
    matched_by: MatchedBy = MatchedBy.NOTHING
    study_uid: str = ""
    job_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFinalReport:
    """A stored final report, without its text.

    Attributes:
        changed_share: Changed words against the draft, 0 to 1; None where it was not computed.
        kept_share: Share of the draft's sentences that stand in the report; likewise.
        has_text: Whether the text is kept.
    """

    id: int
    source: FinalSource
    state: FinalState
    matched_by: MatchedBy
    study_uid: str
    job_id: str
    received_at: datetime
    reported_at: datetime | None
    matched_at: datetime | None
    labels: FinalLabels | None
    changed_share: float | None
    kept_share: float | None
    has_text: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a report that arrived: its state, and whether it was new."""

    state: FinalState
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TakingRules:
    """How reports are taken (`[final_reports]` of the settings).

    Attributes:
        late: A report that arrives so long after the draft is LATE.
        wait: So long a study is awaited, and the keys are kept.
        keep_text: Whether the text is kept.
    """

    late: timedelta
    wait: timedelta
    keep_text: bool
