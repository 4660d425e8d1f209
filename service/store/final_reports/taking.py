"""Takes final reports: each content once; a later report of a study replaces the earlier one."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, delete, or_, select, true
from sqlalchemy.orm import Session

from service.database.drift_tables import MonitorRowRow
from service.database.final_report_tables import FinalReportRow
from service.database.spooled_images import has_images
from service.drift.rows import RowKind
from service.final_reports.report import (
    WAITING,
    FinalLabels,
    FinalReport,
    FinalState,
    FinalStatus,
    MatchedBy,
    ReportKeys,
    StudyMatch,
    Taken,
    TakingRules,
)
from service.store.final_reports.candidates import match
from service.store.search.texts import enter_report
from service.store.session import Transactions

_ENDED: Final = (FinalState.SUPERSEDED.value, FinalState.WITHDRAWN.value)
_WAITING: Final = tuple(state.value for state in WAITING)
_NO_KEYS: Final = {
    "accession_number": "",
    "given_study_uid": "",
    "patient_id": "",
    "issuer": "",
    "study_date": "",
}
# Number of the advisory lock under which a report replaces another.
_TAKING: Final = 0x574652


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read in the text of a report.

    Attributes:
        labels: The labeler's; None if it has not read the text yet.
        changed_share: Changed words against the draft, 0 to 1.
        kept_share: Share of the draft's sentences that stand in the report.
    """

    labels: FinalLabels | None = None
    changed_share: float | None = None
    kept_share: float | None = None


class FinalReportTaking(Transactions):
    """The part of the store that takes final reports."""

    def match_final_report(self, keys: ReportKeys, late: timedelta) -> StudyMatch:
        """Return which study a report would be matched with now."""
        with self._reading() as session:
            return match(session, keys, self.now(), late)

    def take_final_report(
        self,
        report: FinalReport,
        rules: TakingRules,
        reading: Reading | None = None,
        *,
        instance_id: int = 0,
    ) -> Taken:
        """Take a report; one with the same content as an earlier one changes nothing.

        Args:
            report: The report.
            rules: How it is taken.
            reading: What was read in its text; None: the labeler reads it later.
            instance_id: Row id of the SR that holds it; 0 for none.
        """
        with self._writing() as session:
            self._exclusive(session, _TAKING)
            digest, known = _known(session, report)
            if known is not None:
                return Taken(FinalState(known.state), is_new=False)
            row = self._row_of(report, rules, reading or Reading())
            row.digest = digest
            row.instance_id = instance_id
            session.add(row)
            found = match(session, report.keys, row.received_at, rules.late)
            _place(session, row, found, self.now())
            return Taken(FinalState(row.state), is_new=True)

    def label_final_report(self, number: int, reading: Reading, rules: TakingRules) -> None:
        """Store what the labeler read in the text of an UNLABELED report, and match it."""
        with self._writing() as session:
            self._exclusive(session, _TAKING)
            row = session.get(FinalReportRow, number)
            if row is None or row.state != FinalState.UNLABELED.value:
                return
            _read(row, reading)
            if not rules.keep_text:
                row.text = None
            found = match(session, _keys(row), row.received_at, rules.late)
            _place(session, row, found, self.now())

    def unlabeled_final_reports(self, limit: int = 100) -> list[tuple[int, ReportKeys, str]]:
        """Return id, keys and text of reports that the labeler has not read, the oldest first."""
        chosen = (
            select(FinalReportRow)
            .where(FinalReportRow.state == FinalState.UNLABELED.value, ~FinalReportRow.closed)
            .order_by(FinalReportRow.id)
            .limit(limit)
        )
        with self._reading() as session:
            return [(row.id, _keys(row), row.text or "") for row in session.scalars(chosen)]

    def match_waiting_reports(self, rules: TakingRules, limit: int = 500) -> int:
        """Match reports whose study has come or was read since; return how many changed.

        The keys of those that have waited too long are removed: they stay as they are.
        """
        if not self._waiting_reports(limit):
            return 0
        with self._writing() as session:
            self._exclusive(session, _TAKING)
            chosen = select(FinalReportRow).where(_waits()).order_by(FinalReportRow.checked_at)
            rows = list(session.scalars(chosen.limit(limit)))
            return sum(self._matched_now(session, row, rules) for row in rows)

    def forget_report_texts(self, study_uid: str) -> None:
        """Remove the texts of a study's reports; their labels stay, as the draft does."""
        chosen = select(FinalReportRow).where(
            FinalReportRow.study_uid == study_uid, FinalReportRow.text.is_not(None)
        )
        with self._reading() as session:
            if session.scalar(chosen.with_only_columns(FinalReportRow.id).limit(1)) is None:
                return
        with self._writing() as session:
            for row in session.scalars(chosen):
                row.text = None

    def _waiting_reports(self, limit: int) -> bool:
        chosen = select(FinalReportRow.id).where(_waits()).limit(min(limit, 1))
        with self._reading() as session:
            return session.scalar(chosen) is not None

    def _matched_now(self, session: Session, row: FinalReportRow, rules: TakingRules) -> bool:
        now, before = self.now(), (row.state, row.closed)
        row.checked_at = now
        _place(session, row, match(session, _keys(row), row.received_at, rules.late), now)
        if row.state in _WAITING and now - row.received_at > rules.wait:
            _close(row)
            row.text = None  # no retention of a study would remove it
        return (row.state, row.closed) != before

    def _row_of(self, report: FinalReport, rules: TakingRules, reading: Reading) -> FinalReportRow:
        keys, now = report.keys, self.now()
        needs_text = rules.keep_text or reading.labels is None
        row = FinalReportRow(
            digest=report.digest,
            source=report.source.value,
            report_key=hashlib.sha256(report.report_id.encode()).hexdigest()
            if report.report_id
            else "",
            status=report.status.value,
            state=FinalState.UNLABELED.value,
            closed=False,
            matched_by="",
            study_uid="",
            job_id="",
            received_at=now,
            checked_at=now,
            reported_at=report.reported_at,
            accession_number=keys.accession_number,
            given_study_uid=keys.study_uid,
            patient_id=keys.patient_id,
            issuer=keys.issuer,
            study_date=keys.study_date,
            labeler="",
            words=0,
            text=report.text if report.text and needs_text else None,
        )
        _read(row, reading)
        return row


def _known(session: Session, report: FinalReport) -> tuple[str, FinalReportRow | None]:
    """Return the digest for a report and the row that holds it already, if one does.

    An HL7 message that states no time is news if another one of its report came after the equal one: the
    report was withdrawn or corrected meanwhile and applies again. Its digest is then made of the equal
    one's and of the message, so that a sequence that is sent again ends as it did before.
    """
    digest = report.digest
    while True:
        known = session.scalar(select(FinalReportRow).where(FinalReportRow.digest == digest))
        is_ordered = not report.message_id or report.reported_at is not None
        if known is None or is_ordered or not _has_later(session, known):
            return digest, known
        digest = hashlib.sha256(f"{digest} {report.message_id}".encode()).hexdigest()


def _has_later(session: Session, known: FinalReportRow) -> bool:
    conditions = _of_same_report(known)
    if not conditions:
        return False
    later = select(FinalReportRow.id).where(or_(*conditions), FinalReportRow.id > known.id)
    return session.scalar(later.limit(1)) is not None


def _waits() -> ColumnElement[bool]:
    return (FinalReportRow.state.in_(_WAITING)) & ~FinalReportRow.closed


def _read(row: FinalReportRow, reading: Reading) -> None:
    labels = reading.labels
    if labels is None:
        return
    row.labeler, row.words = labels.labeler, labels.words
    row.labels = {name.value: presence.value for name, presence in labels.presence.items()}
    row.sides = {name.value: side.value for name, side in labels.sides.items()}
    row.changed_share, row.kept_share = reading.changed_share, reading.kept_share


def _place(session: Session, row: FinalReportRow, found: StudyMatch, now: datetime) -> None:
    """Set the study of a report, and which of the study's reports stands."""
    if found.matched_by is not MatchedBy.NOTHING:
        row.matched_by, row.study_uid = found.matched_by.value, found.study_uid
    row.job_id = found.job_id
    withdraws = row.status == FinalStatus.WITHDRAWN.value
    if row.labels is None and not withdraws:
        return
    session.flush()
    row.state = (FinalState.WITHDRAWN if withdraws else found.state).value
    for other in session.scalars(_same_report(row)).all():
        _order(session, other, row, withdraws=withdraws)
        if row.state == FinalState.SUPERSEDED.value:
            break
    if row.state not in _WAITING:
        row.matched_at = now
        _close(row)
    if row.text is not None and row.study_uid and not has_images(session, row.study_uid):
        row.text = None  # retention has removed what there was of the study
    if row.text is not None:
        enter_report(session, row)


def _order(
    session: Session, other: FinalReportRow, row: FinalReportRow, *, withdraws: bool
) -> None:
    """Let the later of two reports of a study stand."""
    if not withdraws and _is_older(row, other):
        row.state = FinalState.SUPERSEDED.value
        return
    other.state = (FinalState.WITHDRAWN if withdraws else FinalState.SUPERSEDED).value
    _close(other)
    if other.labels is None:
        other.text = None  # no labeler will read it
    session.execute(
        delete(MonitorRowRow).where(
            MonitorRowRow.kind == RowKind.FINAL.value, MonitorRowRow.source_id == str(other.id)
        )
    )


def _is_older(row: FinalReportRow, other: FinalReportRow) -> bool:
    # The time of the reporting system decides where both have one, else the order of arrival, in which
    # several workers may not label them.
    times = row.reported_at, other.reported_at
    if times[0] is not None and times[1] is not None and times[0] != times[1]:
        return times[0] < times[1]
    return row.id < other.id


def _same_report(row: FinalReportRow) -> Select[FinalReportRow]:
    """Return the query for the reports that a report replaces, or that a withdrawal ends.

    A withdrawal ends those that the labeler has not read, too.
    """
    same = _of_same_report(row)
    if not same:
        return select(FinalReportRow).where(FinalReportRow.id == -1)
    ended: tuple[str, ...] = _ENDED
    if row.status != FinalStatus.WITHDRAWN.value:
        ended = (*_ENDED, FinalState.UNLABELED.value)
    return select(FinalReportRow).where(
        or_(*same), FinalReportRow.id != row.id, FinalReportRow.state.not_in(ended)
    )


def _of_same_report(row: FinalReportRow) -> list[ColumnElement[bool]]:
    """Return the conditions of which one holds for a report that is of the same study or has its ID.

    Reports that wait for their study have its keys yet: a later one may find the study first.
    """
    table = FinalReportRow
    same_patient = and_(
        true(),
        *(
            column.in_(("", value))
            for column, value in ((table.patient_id, row.patient_id), (table.issuer, row.issuer))
            if value
        ),
    )
    same: list[ColumnElement[bool]] = []
    if row.report_key:
        same.append(and_(table.report_key == row.report_key, same_patient))
    if row.study_uid:
        same.append(table.study_uid == row.study_uid)
    # Of two studies that were found neither number can decide.
    unplaced = table.study_uid == "" if row.study_uid else true()
    if row.given_study_uid:
        same.append(and_(table.given_study_uid == row.given_study_uid, same_patient, unplaced))
    if row.accession_number:
        accession = table.accession_number == row.accession_number
        same_uid = table.given_study_uid.in_({"", row.given_study_uid})
        stated = same_uid if row.given_study_uid else true()
        same.append(and_(accession, stated, same_patient, unplaced))
    return same


def _keys(row: FinalReportRow) -> ReportKeys:
    return ReportKeys(
        accession_number=row.accession_number,
        study_uid=row.given_study_uid,
        patient_id=row.patient_id,
        issuer=row.issuer,
        study_date=row.study_date,
    )


def _close(row: FinalReportRow) -> None:
    row.closed = True
    for name, value in _NO_KEYS.items():
        setattr(row, name, value)
