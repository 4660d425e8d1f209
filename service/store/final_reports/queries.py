"""Lists of final reports, and the SR Instances that may hold one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from dicom.content.report import Observation, Presence, Side
from service.database.final_report_tables import FinalReportRow
from service.database.review_tables import VerifiedRow
from service.database.tables import InstanceRow, JobRow, ObjectRow
from service.final_reports.report import (
    FinalLabels,
    FinalSource,
    FinalState,
    MatchedBy,
    StoredFinalReport,
)
from service.store.session import Transactions


class FinalReportQueries(Transactions):
    """The part of the store that lists final reports."""

    def final_reports(
        self, *, state: FinalState | None = None, limit: int = 100
    ) -> list[StoredFinalReport]:
        """Return reports, the latest first."""
        chosen = select(FinalReportRow).order_by(
            FinalReportRow.received_at.desc(), FinalReportRow.id.desc()
        )
        if state is not None:
            chosen = chosen.where(FinalReportRow.state == state.value)
        with self._reading() as session:
            return [_stored(row) for row in session.scalars(chosen.limit(limit))]

    def final_report_counts(self) -> dict[FinalState, int]:
        """Return the number of reports in each state that occurs."""
        counts: Counter[FinalState] = Counter()
        for (_, state), count in self.final_report_totals().items():
            counts[state] += count
        return dict(counts)

    def final_report_totals(self) -> dict[tuple[FinalSource, FinalState], int]:
        """Return the number of reports by way of arrival and state, of those that occur."""
        row = FinalReportRow
        chosen = select(row.source, row.state, func.count()).group_by(row.source, row.state)
        with self._reading() as session:
            return {
                (FinalSource(source), FinalState(state)): count
                for source, state, count in session.execute(chosen.order_by(row.source, row.state))
            }

    def newest_report_instance(self) -> int:
        """Return the highest row id of an Instance that held a report; 0 for none."""
        with self._reading() as session:
            return session.scalar(select(func.max(FinalReportRow.instance_id))) or 0

    def newest_instance(self) -> int:
        """Return the highest row id of an Instance; 0 for none."""
        with self._reading() as session:
            return session.scalar(select(func.max(InstanceRow.id))) or 0

    def document_instances(
        self, after: int, through: int, classes: Sequence[str]
    ) -> list[tuple[int, Path]]:
        """Return row id and path of the Instances of these SOP Classes that are not results of ours.

        Args:
            after: Only those with a higher row id.
            through: Only those up to this row id.
            classes: SOP Class UIDs.
        """
        # By the jobs of the study, whose rows have an index.
        drafts, verified = (
            select(table.job_id)
            .join(JobRow, JobRow.id == table.job_id)
            .where(
                JobRow.study_instance_uid == InstanceRow.study_instance_uid,
                table.sop_instance_uid == InstanceRow.sop_instance_uid,
            )
            for table in (ObjectRow, VerifiedRow)
        )
        chosen = (
            select(InstanceRow.id, InstanceRow.path)
            .where(
                InstanceRow.id > after,
                InstanceRow.id <= through,
                InstanceRow.sop_class_uid.in_(classes),
                ~InstanceRow.conflict,
                InstanceRow.removed_at.is_(None),
            )
            .order_by(InstanceRow.id)
        )
        with self._reading() as session:
            found = session.execute(chosen.where(~drafts.exists(), ~verified.exists()))
            return [(number, Path(path)) for number, path in found]


def _stored(row: FinalReportRow) -> StoredFinalReport:
    return StoredFinalReport(
        id=row.id,
        source=FinalSource(row.source),
        state=FinalState(row.state),
        matched_by=MatchedBy(row.matched_by),
        study_uid=row.study_uid,
        job_id=row.job_id,
        received_at=row.received_at,
        reported_at=row.reported_at,
        matched_at=row.matched_at,
        labels=None if row.labels is None else _labels(row, row.labels),
        changed_share=row.changed_share,
        kept_share=row.kept_share,
        has_text=row.text is not None,
    )


def _labels(row: FinalReportRow, presence: dict[str, Any]) -> FinalLabels:
    return FinalLabels(
        labeler=row.labeler,
        presence={Observation(name): Presence(word) for name, word in presence.items()},
        sides={Observation(name): Side(word) for name, word in (row.sides or {}).items()},
        words=row.words,
    )
