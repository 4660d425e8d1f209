"""The studies whose patient a search matches, as a condition for a query of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from service.database.identity_tables import StudyIdentityRow
from service.store.job_lists.criteria import in_identity, with_words
from service.store.job_lists.matching import collected

_MOST_NEWEST: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientSearch:
    """What a search has found.

    Attributes:
        condition: The condition for a query of `JobRow`; None without a search.
        newest: Study Instance UIDs of the newest matching studies.
    """

    condition: ColumnElement[bool] | None = None
    newest: Sequence[str] = ()


def search_patients(session: Session, text: str) -> PatientSearch:
    """Find the studies with each word of `text` in name, patient ID or accession number."""
    return PatientSearch(condition=in_identity(session, text), newest=_newest(session, text))


def _newest(session: Session, text: str) -> Sequence[str]:
    matching = select(StudyIdentityRow.study_uid, StudyIdentityRow.instance_id)
    matching = matching.where(*with_words(text))
    keys = collected(session, matching)
    chosen = matching if keys is None else select(keys)
    number = chosen.selected_columns[1]
    return session.scalars(chosen.order_by(number.desc()).limit(_MOST_NEWEST)).all()
