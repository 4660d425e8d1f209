"""Makes reader studies: cases, texts, the key of their arms, and the items of each reader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.final_report_tables import FinalReportRow
from service.database.reader_study_tables import (
    ReaderStudyCaseRow,
    ReaderStudyItemRow,
    ReaderStudyKeyRow,
    ReaderStudyReaderRow,
    ReaderStudyRow,
    ReaderStudyTextRow,
)
from service.database.tables import JobRow
from service.final_reports.report import FinalState
from service.jobs import ReasonCode
from service.reader_study.order import reader_order
from service.reader_study.study import NewReaderStudy, StudyCase
from service.records import JobWithDraft
from service.store import record_mapping
from service.store.audit.append import Audited
from service.store.probe_exclusion import not_a_probe
from service.store.session import new_id

_Values = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """A final report whose text is kept, and the job of the draft that it was matched with."""

    job_id: str
    text: str


class ReaderStudyCreation(Audited):
    """The part of the store that makes reader studies."""

    def standing_draft(self, study_uid: str) -> JobWithDraft | None:
        """Return the newest job of a study with a draft that stands; None if there is none."""
        chosen = (
            select(JobRow)
            .where(
                JobRow.study_instance_uid == study_uid,
                JobRow.has_draft,
                JobRow.superseded_by.is_(None),
                JobRow.reason_code != ReasonCode.RECALLED.value,
                not_a_probe(JobRow.study_instance_uid),
            )
            .order_by(JobRow.created_at.desc(), JobRow.id)
            .limit(1)
        )
        with self._reading() as session:
            row = session.scalar(chosen)
            return None if row is None else record_mapping.job(row)

    def kept_reports(self, since: datetime | None, *, limit: int) -> list[KeptReport]:
        """Return matched final reports whose text is kept, the newest of each job, the latest first."""
        chosen = select(FinalReportRow.job_id, FinalReportRow.text).where(
            FinalReportRow.text.is_not(None),
            FinalReportRow.job_id != "",
            FinalReportRow.state.in_((FinalState.MATCHED.value, FinalState.LATE.value)),
        )
        if since is not None:
            chosen = chosen.where(FinalReportRow.received_at >= since)
        order = (FinalReportRow.received_at.desc(), FinalReportRow.id.desc())
        found: dict[str, KeptReport] = {}
        with self._reading() as session:
            rows = session.execute(chosen.order_by(*order).execution_options(yield_per=200))
            for job_id, text in rows:
                found.setdefault(job_id, KeptReport(job_id=job_id, text=text or ""))
                if len(found) == limit:
                    break
        return list(found.values())

    def create_reader_study(self, new: NewReaderStudy, actor: str, audit: AuditEvent) -> str:
        """Store a study with the order of each reader; return its id."""
        study_id = new_id()
        with self._writing() as session:
            session.add(
                ReaderStudyRow(
                    id=study_id,
                    name=new.name,
                    seed=new.seed,
                    margin=new.margin,
                    repeat_share=new.repeat_share,
                    created_at=self.now(),
                    created_by=actor,
                    closed_by="",
                )
            )
            session.flush()
            texts = {}
            for case in new.cases:
                case_id, text_ids = _add_case(session, study_id, case)
                texts[case_id] = text_ids
            _add_items(session, study_id, new, texts)
            self._audit(session, audit, detail=f"{new.name} ({study_id})")
        return study_id


def _add_case(session: Session, study_id: str, case: StudyCase) -> tuple[str, Sequence[str]]:
    """Add a case with its texts; return its id and theirs. The ids say nothing about the arms."""
    case_id = new_id()
    texts = {new_id(): each for each in case.texts}
    session.add(
        ReaderStudyCaseRow(
            id=case_id,
            study_id=study_id,
            label=case.label,
            study_uid=case.study_uid,
            sop_instance_uid=case.sop_instance_uid,
        )
    )
    session.flush()
    # In the order of the random ids, so that the order of the rows is none of the arms either.
    for text_id, each in sorted(texts.items()):
        session.add(ReaderStudyTextRow(id=text_id, case_id=case_id, text=each.text))
    session.flush()
    for text_id, each in sorted(texts.items()):
        key = ReaderStudyKeyRow(text_id=text_id, arm=each.arm.value, source=each.source[:160])
        session.add(key)
    return case_id, list(texts)


def _add_items(
    session: Session, study_id: str, new: NewReaderStudy, texts: Mapping[str, Sequence[str]]
) -> None:
    for person in new.readers:
        order = reader_order(
            texts, seed=new.seed, reader=person.login, repeat_share=new.repeat_share
        )
        session.add(
            ReaderStudyReaderRow(
                study_id=study_id,
                person_id=person.id,
                login=person.login,
                name=person.display_name or person.login,
                gap=order.gap,
            )
        )
        rows: list[_Values] = [
            {
                "id": new_id(),
                "study_id": study_id,
                "person_id": person.id,
                "position": position,
                "text_id": item.text_id,
                "is_repeat": item.is_repeat,
            }
            for position, item in enumerate(order.items, start=1)
        ]
        session.flush()
        session.execute(insert(ReaderStudyItemRow), rows)
