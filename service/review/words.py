"""The words of a review that code compares and the database stores."""

from enum import IntEnum, StrEnum
from typing import Final


class Section(StrEnum):
    """The section of a report in which a sentence stands."""

    FINDINGS = "findings"
    IMPRESSION = "impression"


class MustAnswer(StrEnum):
    """Why a sentence of a draft must be answered before the draft can be accepted."""

    UNSURE = "unsure"  # the finding is uncertain, or few sampled readings agree
    CONTRADICTED = "contradicted"  # by another sentence, or by the model's own score
    URGENT = "urgent"  # it states a finding that cannot wait
    COMPARES = "compares"  # it refers to an earlier image; the model got none
    UNCHECKED = "unchecked"  # the draft's version did not look for the other reasons


class Answer(StrEnum):
    """A person's answer to one sentence of a draft."""

    NONE = ""
    AGREE = "agree"
    DISAGREE = "disagree"


class FindingVerdict(StrEnum):
    """A person's verdict on one finding."""

    AGREE = "agree"
    DISAGREE = "disagree"
    ADD = "add"  # the draft does not state it


class Verdict(StrEnum):
    """What a person decided about a draft."""

    ACCEPT = "accept"  # the text as drafted becomes the verified report
    EDIT = "edit"  # the text as edited does
    REJECT = "reject"  # no report is made from the draft

    @property
    def makes_report(self) -> bool:
        """Whether a verified report is made."""
        return self is not Verdict.REJECT


class Rejection(StrEnum):
    """Why a person rejected a draft."""

    WRONG_FINDING = "wrong finding"
    MISSED_FINDING = "missed finding"
    WRONG_SIDE = "wrong side"
    WRONG_PATIENT = "wrong patient or view"
    LANGUAGE = "language"
    OTHER = "other"


class Acceptability(IntEnum):
    """The four-step acceptability of a draft; steps 1 and 2 count as acceptable."""

    NO_REVISION = 1
    MINOR_REVISION = 2
    MAJOR_REVISION = 3
    UNACCEPTABLE = 4

    @property
    def text(self) -> str:
        """The definition, as pages show it."""
        return ACCEPTABILITY_TEXT[self]

    @property
    def is_acceptable(self) -> bool:
        """Whether it counts as acceptable in the figures."""
        return self <= Acceptability.MINOR_REVISION


ACCEPTABILITY_TEXT: Final = {
    Acceptability.NO_REVISION: "Acceptable without revision.",
    Acceptability.MINOR_REVISION: "Acceptable after minor revision: wording, or a detail without "
    "consequence for the patient.",
    Acceptability.MAJOR_REVISION: "Needs major revision: a finding is wrong, missing or on the wrong "
    "side.",
    Acceptability.UNACCEPTABLE: "Unacceptable: the report must be rewritten.",
}


class Obstacle(StrEnum):
    """Why no report can be made from a draft; a rejection remains possible except without a draft."""

    NO_DRAFT = "no draft"
    WITHHELD = "withheld"
    UNREADABLE = "unreadable"
    WITHDRAWN = "withdrawn"
    IN_DOUBT = "in doubt"
    NOT_COMPARED = "copy not compared"
    CHECK = "end-to-end check"
    SUPERSEDED = "superseded"
    REMOVED = "removed"


OBSTACLE_TEXT: Final = {
    Obstacle.NO_DRAFT: "This study has no draft.",
    Obstacle.WITHHELD: "The draft is withheld for the measurement of agreement: it is shown when the "
    "final report arrives.",
    Obstacle.UNREADABLE: "The stored draft cannot be read by this version: have the study read again.",
    Obstacle.WITHDRAWN: "The draft was withdrawn and must not be used.",
    Obstacle.IN_DOUBT: "The draft may be of another patient or image: a corrected or conflicting copy "
    "of its image arrived. Verify patient, order and image; have the study read again.",
    Obstacle.NOT_COMPARED: "Another copy of the image arrived a moment ago and is being compared: try "
    "again in some seconds.",
    Obstacle.CHECK: "This is the synthetic study of an end-to-end check, not of a patient.",
    Obstacle.SUPERSEDED: "A newer draft of this study supersedes it: decide on that one.",
    Obstacle.REMOVED: "The images of this study were removed after their retention: send the study "
    "again.",
}


class ReportState(StrEnum):
    """The state of the verified report of a decision."""

    NONE = "none"  # a rejection makes no report
    UNDONE = "undone"
    WAITING = "waiting"  # the time to undo has not passed, or no worker has built it yet
    MADE = "made"  # built and stored; not yet at every destination
    DELIVERED = "delivered"  # at every destination; at one at least acknowledged only
    READ_BACK = "read back"  # at every destination, and read back there
    FAILED = "failed"
    NO_DESTINATION = "no destination"  # the study's job has none: no report is made


class NoticeKind(StrEnum):
    """Why the author of a verified report is notified."""

    WITHDRAWN = "draft withdrawn"
    IN_DOUBT = "draft in doubt"
    NEWER_DRAFT = "newer draft"
    NOT_DELIVERED = "not delivered"
