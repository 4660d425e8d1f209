"""Texts of drafts and kept final reports, searched by findings and words."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Subquery,
    and_,
    case,
    column,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.orm import Session, aliased

from dicom.content.report import DraftReport, Finding, Observation, Presence, Side
from dicom.errors import UnreadableDraft
from service.database.final_report_tables import FinalReportRow
from service.database.search_tables import SearchTextRow
from service.database.spooled_images import spooled_images
from service.database.tables import JobRow
from service.final_reports.report import FinalState
from service.jobs import ReasonCode
from service.records.search import TextHit, TextSource, WantedFinding, label_words, wanted_words
from service.store.probe_exclusion import not_a_probe
from service.store.session import Transactions

_WORDS: Final = table("search_words", column("rowid"))
_DICTIONARY: Final = "english"
_BATCH: Final = 200
# Among so many of the newest matching texts the best are found: to rank all texts of a large site, where
# most drafts have the common sentences, takes tens of seconds.
_MOST_RANKED: Final = 2000
_STANDING_REPORTS: Final = (
    FinalState.MATCHED.value,
    FinalState.LATE.value,
    FinalState.NO_DRAFT.value,
)


class SearchTexts(Transactions):
    """The part of the store that searches texts."""

    def search_texts(
        self,
        wanted: Sequence[WantedFinding],
        words: Sequence[str],
        *,
        limit: int,
        in_reports: bool = True,
    ) -> list[TextHit]:
        """Return the texts that state all wanted findings, those with more of the words first.

        A finding that a text calls possible counts as stated, behind those that are sure.
        Compared are the newest `_MOST_RANKED` matching texts.
        Of drafts that were withdrawn or superseded, of reports that do not stand, and of studies whose
        images were removed, none is found. Without wanted findings a text must have one of the words.

        Args:
            wanted: Findings.
            words: Single words of letters and digits.
            limit: Most hits to return.
            in_reports: Whether kept final reports are searched, beside drafts.
        """
        if not wanted and not words:
            return []
        conditions = [_stands(), *(or_(*_stated(SearchTextRow, each)) for each in wanted)]
        if not in_reports:
            conditions.append(SearchTextRow.report_id == 0)
        newest, rank = self._newest(words, conditions, needs_word=not wanted)
        # First the texts that are sure of all that was asked for.
        definite = [_stated(newest, each)[0] for each in wanted]
        sure = [case((and_(*definite), 1), else_=0).desc()] if definite else []
        chosen = (
            select(newest.study_uid, newest.job_id, newest.report_id, rank)
            .order_by(*sure, rank.desc(), newest.id.desc())
            .limit(limit)
        )
        with self._reading() as session:
            if not self._is_sqlite:
                # The estimated cost is far too high, because the limit ends the search early: to compile
                # the query takes longer than to execute it.
                session.execute(text("SET LOCAL jit = off"))
            return [
                TextHit(
                    study_uid=study,
                    job_id=job,
                    source=TextSource.FINAL_REPORT if report else TextSource.DRAFT,
                    rank=float(score),
                )
                for study, job, report, score in session.execute(chosen)
            ]

    def _newest(
        self, words: Sequence[str], conditions: list[ColumnElement[bool]], *, needs_word: bool
    ) -> tuple[type[SearchTextRow], ColumnElement[float]]:
        """Return the newest texts that fulfill the conditions as a subquery, and the rank of each."""
        newest = select(SearchTextRow).order_by(SearchTextRow.id.desc()).limit(_MOST_RANKED)
        if words and self._is_sqlite:
            hits = _hits(words, conditions)
            is_hit = hits.c.rowid == SearchTextRow.id
            newest = newest.add_columns(func.coalesce(hits.c.rank, 0.0).label("rank"))
            newest = newest.join(hits, is_hit, isouter=not needs_word)
            # The hits fulfill the conditions.
            found = (newest if needs_word else newest.where(*conditions)).subquery()
            return aliased(SearchTextRow, found), found.c.rank
        asked = func.to_tsquery(_DICTIONARY, " | ".join(f"'{word}'" for word in words))
        if needs_word:
            conditions = [*conditions, SearchTextRow.words.op("@@")(asked)]
        # No join with all texts: PostgreSQL would sort them all for the order of the result.
        found_texts = aliased(SearchTextRow, newest.where(*conditions).subquery())
        rank = func.ts_rank(found_texts.words, asked) if words else literal(0.0)
        return found_texts, rank

    def remove_search_texts(self, study_uid: str) -> None:
        """Remove the texts of a study whose images were removed."""
        with self._writing() as session:
            session.execute(delete(SearchTextRow).where(SearchTextRow.study_uid == study_uid))

    def index_texts(self, after: str = "", limit: int = 200) -> str:
        """Enter the texts of further drafts again; return the last job's id, "" when all are done.

        Args:
            after: Id of the last job that was entered.
            limit: Most jobs.
        """
        chosen = select(JobRow).where(
            JobRow.draft.is_not(None), JobRow.removed_at.is_(None), JobRow.id > after
        )
        with self._writing() as session:
            rows = session.scalars(chosen.order_by(JobRow.id).limit(limit)).all()
            for row in rows:
                try:
                    draft = DraftReport.from_json(row.draft)
                except UnreadableDraft:
                    continue
                enter_draft(session, row.id, draft)
            return rows[-1].id if len(rows) == limit else ""

    def index_report_texts(self) -> int:
        """Enter the texts of all final reports that are kept again; return how many."""
        count = after = 0
        while True:
            chosen = select(FinalReportRow).where(
                FinalReportRow.text.is_not(None), FinalReportRow.id > after
            )
            # Batches: a transaction over all would keep Instances from being recorded meanwhile.
            with self._writing() as session:
                rows = session.scalars(chosen.order_by(FinalReportRow.id).limit(_BATCH)).all()
                for row in rows:
                    enter_report(session, row)
            count += len(rows)
            if len(rows) < _BATCH:
                return count
            after = rows[-1].id

    def study_report_text(self, study_uid: str) -> str:
        """Return the text of the final report that stands for a study; "" if none is kept."""
        chosen = select(FinalReportRow.text).where(
            FinalReportRow.study_uid == study_uid,
            FinalReportRow.state.in_(_STANDING_REPORTS),
            FinalReportRow.text.is_not(None),
        )
        with self._reading() as session:
            return session.scalar(chosen.order_by(FinalReportRow.id.desc()).limit(1)) or ""


def enter_draft(session: Session, job_id: str, draft: DraftReport) -> None:
    """Enter the text of a draft for searches, in place of an earlier one of the job."""
    text = " ".join((*draft.findings_text, *draft.impression_text))
    _enter(session, draft.study_instance_uid, job_id, 0, label_words(draft.findings), text)


def enter_report(session: Session, row: FinalReportRow) -> None:
    """Enter the text of a final report if it is kept and its study known, else remove it."""
    session.execute(delete(SearchTextRow).where(SearchTextRow.report_id == row.id))
    if row.text is None or row.labels is None or not row.study_uid:
        return
    sides = row.sides or {}
    findings = [
        Finding(
            observation=Observation(name),
            presence=Presence(word),
            side=Side(sides[name]) if name in sides else None,
        )
        for name, word in row.labels.items()
    ]
    _enter(session, row.study_uid, row.job_id, row.id, label_words(findings), row.text)


def _enter(
    session: Session, study_uid: str, job_id: str, report_id: int, labels: str, text: str
) -> None:
    session.execute(
        delete(SearchTextRow).where(
            SearchTextRow.job_id == job_id, SearchTextRow.report_id == report_id
        )
    )
    text = _storable(text)
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    lexemes = None if is_sqlite else func.to_tsvector(_DICTIONARY, text)
    values = {"study_uid": study_uid, "job_id": job_id, "report_id": report_id, "labels": labels}
    session.add(SearchTextRow(**values, text=text, words=lexemes))


def _storable(text: str) -> str:
    """Return the text without what PostgreSQL or UTF-8 cannot hold: NUL, lone surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def _stated(texts: type[SearchTextRow], wanted: WantedFinding) -> list[ColumnElement[bool]]:
    """Return the conditions of which a text that states the finding fulfills one, the surest first."""
    return [texts.labels.contains(part, autoescape=True) for part in wanted_words(wanted)]


def _hits(words: Sequence[str], conditions: Sequence[ColumnElement[bool]]) -> Subquery:
    """Return SQLite's query for the newest texts with a word that fulfill the conditions, ranked."""
    query = " OR ".join(f'"{word}"' for word in words)
    # BM25 is negative, and the smallest is the best (sqlite.org/fts5.html 5.1.1).
    rank = (-func.bm25(literal_column("search_words"))).label("rank")
    return (
        select(_WORDS.c.rowid, rank)
        .join(SearchTextRow, SearchTextRow.id == _WORDS.c.rowid)
        .where(literal_column("search_words").op("MATCH")(query), *conditions)
        .order_by(_WORDS.c.rowid.desc())
        .limit(_MOST_RANKED)
        .subquery()
    )


def _stands() -> ColumnElement[bool]:
    """Return the condition that a text's draft or final report stands, and its images are here."""
    job = select(JobRow.id).where(
        JobRow.id == SearchTextRow.job_id,
        JobRow.superseded_by.is_(None),
        JobRow.reason_code.not_in((ReasonCode.RECALLED.value, ReasonCode.WITHHELD.value)),
        JobRow.removed_at.is_(None),
    )
    report = select(FinalReportRow.id).where(
        FinalReportRow.id == SearchTextRow.report_id, FinalReportRow.state.in_(_STANDING_REPORTS)
    )
    is_draft = SearchTextRow.report_id == 0
    stands = or_(is_draft & job.exists(), ~is_draft & report.exists())
    # A final report may arrive after the images of its study were removed.
    here = spooled_images(SearchTextRow.study_uid)
    return and_(stands, here.exists(), not_a_probe(SearchTextRow.study_uid))
