"""The records of a reader study: what is stored, what a reader may see, what is known after closing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.accounts import Person
from service.reader_study.ratings import RatingEntry
from service.reader_study.words import Arm, Author, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseText:
    """One text of a case.

    Attributes:
        arm: Where it comes from.
        source: The model and its version, or the name of the file.
        text: In the common form (`service.reader_study.normalizer`).
    """

    arm: Arm
    source: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCase:
    """One image and the texts about it.

    Attributes:
        label: What the case list calls it.
        sop_instance_uid: The image that is shown.
    """

    label: str
    study_uid: str
    sop_instance_uid: str
    texts: tuple[CaseText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReaderStudy:
    """A reader study to be made.

    Attributes:
        seed: From which the order of each reader follows.
        margin: Of non-inferiority, a difference of success rates in (0, 1).
        repeat_share: Share of the texts that each reader gets twice.
    """

    name: str
    seed: int
    margin: float
    repeat_share: float
    readers: tuple[Person, ...]
    cases: tuple[StudyCase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderProgress:
    """How far a reader has come.

    Attributes:
        gap: Two items of one case are at least so many places apart.
    """

    person_id: str
    login: str
    name: str
    gap: int
    items: int
    done: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderStudy:
    """A stored reader study, without anything that shows an arm."""

    id: str
    name: str
    margin: float
    cases: int
    created_at: datetime
    created_by: str
    closed_at: datetime | None
    closed_by: str
    readers: Sequence[ReaderProgress]

    @property
    def is_complete(self) -> bool:
        """Whether each reader has done every item."""
        return all(each.done == each.items for each in self.readers)

    def reader(self, person_id: str) -> ReaderProgress | None:
        """Return the progress of a person; None if the person is no reader of this study."""
        return next((each for each in self.readers if each.person_id == person_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentItem:
    """The item that a reader has to do next. It has no arm, no model and no label of the case list.

    Attributes:
        position: From 1.
        stage: What was recorded last; None before the text was shown.
    """

    id: str
    study_uid: str
    sop_instance_uid: str
    position: int
    items: int
    stage: Stage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedItem:
    """What one reader said about one text; only known after closing.

    Attributes:
        rating: None if the item was not rated.
        author: None if no guess was recorded.
    """

    reader: str
    position: int
    case_label: str
    study_uid: str
    arm: Arm
    source: str
    text_id: str
    text: str
    is_repeat: bool
    opened_at: datetime | None
    rated_at: datetime | None
    rating: RatingEntry | None
    author: Author | None


def csv_safe(value: object) -> str:
    """Return a value that a spreadsheet does not take for a formula."""
    text = str(value)
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") else text
