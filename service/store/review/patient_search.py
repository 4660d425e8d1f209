"""The studies whose patient a search matches, as a condition for a query of jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from service.database.identity_tables import StudyIdentityRow
from service.database.tables import JobRow
from service.study_identity import folded

# So many matching studies are named one by one; if more match, each job is checked.
_FEW: Final = 1000
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
    matching = select(StudyIdentityRow.study_uid).where(
        *(
            StudyIdentityRow.search_text.contains(word, autoescape=True)
            for word in folded(text).split()
        )
    )
    newest_first = matching.order_by(StudyIdentityRow.instance_id.desc()).limit(_FEW + 1)
    found = session.scalars(newest_first).all()
    condition: ColumnElement[bool] = JobRow.study_instance_uid.in_(found)
    if len(found) > _FEW:
        its = matching.where(StudyIdentityRow.study_uid == JobRow.study_instance_uid)
        condition = its.exists()
    return PatientSearch(condition=condition, newest=found[:_MOST_NEWEST])
