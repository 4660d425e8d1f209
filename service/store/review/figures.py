"""Facts of standing decisions for the figures; no text is read."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, and_, func, select
from sqlalchemy.orm import aliased

from service.database.review_tables import DecisionRow, UndoRow
from service.review.decision import Reviewer
from service.review.figure_table import KnownDecision
from service.review.figures import DecisionFacts
from service.review.words import Acceptability, FindingVerdict, Rejection, Verdict
from service.store.session import Transactions

_FACTS: Final = (
    DecisionRow.at,
    DecisionRow.reviewer_name,
    DecisionRow.device,
    DecisionRow.model_name,
    DecisionRow.model_version,
    DecisionRow.verdict,
    DecisionRow.rejection,
    DecisionRow.acceptability,
    DecisionRow.distance,
    DecisionRow.share,
    DecisionRow.sentences,
    DecisionRow.kept,
    DecisionRow.seconds,
    DecisionRow.positive,
    DecisionRow.verdicts,
)


class DecisionFigures(Transactions):
    """The part of the store that gives the facts of decisions."""

    def decision_facts(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        reviewer_id: str | None = None,
    ) -> list[DecisionFacts]:
        """Return the facts of the decisions that stand, the earliest first.

        Of a decision and its amendments only the last one counts, and no decision that was undone.

        Args:
            since: Only those made at this time or later.
            until: Only those made before.
            reviewer_id: Only those of this person.
        """
        chosen = _standing().order_by(DecisionRow.at, DecisionRow.id)
        if since is not None:
            chosen = chosen.where(DecisionRow.at >= since)
        if until is not None:
            chosen = chosen.where(DecisionRow.at < until)
        if reviewer_id is not None:
            chosen = chosen.where(DecisionRow.reviewer_id == reviewer_id)
        with self._reading() as session:
            return [_facts(row) for row in session.execute(chosen)]

    def decision_counts(self) -> tuple[int, int]:
        """Return how many decisions were made, and how many of them were undone."""
        with self._reading() as session:
            made = session.scalar(select(func.count()).select_from(DecisionRow)) or 0
            undone = session.scalar(select(func.count()).select_from(UndoRow)) or 0
            return made, undone

    def decisions_since(self, since: datetime | None) -> list[KnownDecision]:
        """Return all decisions made at this time or later, undone and amended ones too; all if None."""
        keys = (DecisionRow.id, DecisionRow.job_id, DecisionRow.number, DecisionRow.reviewer_id)
        chosen = select(*keys, *_FACTS).order_by(DecisionRow.at, DecisionRow.id)
        if since is not None:
            chosen = chosen.where(DecisionRow.at >= since)
        with self._reading() as session:
            return [
                KnownDecision(
                    id=row.id,
                    job_id=row.job_id,
                    number=row.number,
                    reviewer_id=row.reviewer_id,
                    facts=_facts(row),
                )
                for row in session.execute(chosen)
            ]

    def undone_decisions(self) -> list[str]:
        """Return the ids of the decisions that were undone."""
        with self._reading() as session:
            return list(session.scalars(select(UndoRow.decision_id)))


def _standing() -> Select[*tuple[Any, ...]]:
    later, later_undo = aliased(DecisionRow), aliased(UndoRow)
    amended = (
        select(later.id)
        .outerjoin(later_undo, later_undo.decision_id == later.id)
        .where(
            later.job_id == DecisionRow.job_id,
            later.number > DecisionRow.number,
            later_undo.decision_id.is_(None),
        )
    )
    return (
        select(*_FACTS)
        .outerjoin(UndoRow, UndoRow.decision_id == DecisionRow.id)
        .where(and_(UndoRow.decision_id.is_(None), ~amended.exists()))
    )


def _facts(row: Row[*tuple[Any, ...]]) -> DecisionFacts:
    return DecisionFacts(
        at=row.at,
        reader=Reviewer(id="", name=row.reviewer_name, organization="").display_name,
        device=row.device,
        model=f"{row.model_name} {row.model_version}",
        verdict=Verdict(row.verdict),
        rejection=Rejection(row.rejection) if row.rejection else None,
        acceptability=None if row.acceptability is None else Acceptability(row.acceptability),
        distance=row.distance,
        share=row.share,
        sentences=row.sentences,
        kept=row.kept,
        seconds=row.seconds,
        positive=tuple(row.positive),
        verdicts={name: FindingVerdict(word) for name, word in row.verdicts.items()},
    )
