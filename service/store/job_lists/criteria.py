"""A filter of jobs, and its conditions in SQL; those on another table have the forms of `matching`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BindParameter, ColumnElement, and_, literal, or_, select
from sqlalchemy.orm import Session

from service.database.identity_tables import StudyIdentityRow
from service.database.tables import DeliveryRow, JobRow, StudyRow
from service.jobs import DeliveryState, DraftStatus, JobState
from service.store.doubts import alarmed
from service.store.job_lists.matching import few_values, has_study
from service.store.probe_exclusion import not_a_probe
from service.store.transitions import OF_RESULTS
from service.study_identity import folded

# Which deliveries of a job a filter by destination means, by the state of the job.
_FAILED: Final = (DeliveryState.FAILED,)
_NOT_CONFIRMED: Final = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.FAILED)
_UID_CHARACTERS: Final = frozenset("0123456789.")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Conditions on jobs; every given one must hold.

    Attributes:
        states: Only in these states; any when empty.
        status: Only jobs whose draft has this status: WITHDRAWN or IN_DOUBT.
        calling_ae: The calling AE title of the study.
        destination: Name of a destination with results of the job: of a failed job, one that did not
            take them; of a job that is being delivered, one that has not confirmed them.
        model: Name of the model.
        created_before: Only jobs made before this time.
        cause: Code of the reason (`jobs.reason_code`).
        text: Part of the Study Instance UID, or the calling AE title, or words of patient name,
            patient ID and accession number.
    """

    states: tuple[JobState, ...] = ()
    status: DraftStatus | None = None
    calling_ae: str = ""
    destination: str = ""
    model: str = ""
    created_before: datetime | None = None
    cause: str = ""
    text: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether no condition is given."""
        return self == JobFilter()


def conditions(session: Session, wanted: JobFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter for a query of `JobRow`; end-to-end checks are left out."""
    found: list[ColumnElement[bool]] = [not_a_probe(JobRow.study_instance_uid)]
    if wanted.states:
        found.append(in_states(wanted.states))
    if wanted.status is not None:
        found += alarmed(wanted.status)
    if wanted.calling_ae:
        found.append(JobRow.calling_ae == wanted.calling_ae)
    if wanted.model:
        found.append(JobRow.model_name == wanted.model)
    if wanted.created_before is not None:
        found.append(JobRow.created_at < wanted.created_before)
    if wanted.cause:
        found += _has_cause(wanted)
    if wanted.destination:
        found.append(_has_destination(session, wanted))
    if wanted.text:
        found.append(_has_text(session, wanted.text))
    return found


def in_states(states: Iterable[JobState]) -> ColumnElement[bool]:
    """Return the condition of the states, which are literals: partial indexes need them."""
    first, *others = [_literal(state.value) for state in states]
    return JobRow.state.in_([first, *others]) if others else JobRow.state == first


def has_reason() -> ColumnElement[bool]:
    """Return the condition of the partial index of causes."""
    return JobRow.reason_code != _literal("")


def has_failed() -> ColumnElement[bool]:
    """Return the condition of the partial index of failed deliveries."""
    return DeliveryRow.state == _literal(DeliveryState.FAILED.value)


def _literal(value: str) -> BindParameter[str]:
    return literal(value, literal_execute=True)


def _has_cause(wanted: JobFilter) -> list[ColumnElement[bool]]:
    found = [has_reason(), JobRow.reason_code == wanted.cause]
    if not wanted.states and wanted.status is None:
        found.append(in_states(JobState))  # the index of causes begins with the state
    return found


def _has_destination(session: Session, wanted: JobFilter) -> ColumnElement[bool]:
    of_destination = and_(
        DeliveryRow.state.in_([_literal(each.value) for each in _meant(wanted.states)]),
        DeliveryRow.destination == wanted.destination,
        OF_RESULTS,
    )
    few = few_values(session, select(DeliveryRow.job_id).where(of_destination))
    if few is not None:
        return JobRow.id.in_(few)
    return select(DeliveryRow.id).where(of_destination, DeliveryRow.job_id == JobRow.id).exists()


def _meant(states: Sequence[JobState]) -> Sequence[DeliveryState]:
    """Return the states of deliveries that a filter by destination means."""
    if states == (JobState.FAILED,):
        return _FAILED
    return _NOT_CONFIRMED if states == (JobState.DRAFTED,) else tuple(DeliveryState)


def _has_text(session: Session, text: str) -> ColumnElement[bool]:
    """Return the condition of a text search in studies, calling AE titles and identities."""
    parts = [in_identity(session, text)]
    if set(text) <= _UID_CHARACTERS:
        parts.append(_in_study_uid(session, text))
    titles = sorted({text, text.upper()})
    is_title = JobRow.calling_ae.in_(titles)
    if session.scalar(select(JobRow.id).where(is_title).limit(1)) is not None:
        parts.append(is_title)
    return or_(*parts)


def _in_study_uid(session: Session, text: str) -> ColumnElement[bool]:
    contains = StudyRow.study_instance_uid.contains(text, autoescape=True)
    studies = select(StudyRow.study_instance_uid).where(contains)
    of_each = JobRow.study_instance_uid.contains(text, autoescape=True)
    return has_study(session, studies, of_each)


def in_identity(session: Session, text: str) -> ColumnElement[bool]:
    """Return the condition that each word is in name, patient ID or accession number of the study."""
    of_words = select(StudyIdentityRow.study_uid).where(*with_words(text))
    of_each = of_words.where(StudyIdentityRow.study_uid == JobRow.study_instance_uid).exists()
    return has_study(session, of_words, of_each)


def with_words(text: str) -> list[ColumnElement[bool]]:
    """Return the conditions of a query of `StudyIdentityRow` for each word of a text."""
    return [
        StudyIdentityRow.search_text.contains(word, autoescape=True)
        for word in folded(text).split()
    ]
