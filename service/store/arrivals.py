"""Films arrive: rows of studies and instances, and when a study counts as complete."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Boolean, ColumnElement, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from dicom.study import Instance, Study
from service.errors import NotFound
from service.models import IncidentRow, InstanceRow, StudyRow
from service.records import Arrival, Film, ReceivedInstance
from service.store import rows
from service.store.moves import Moves, changed_rows

_TOUCH: Final = (
    update(StudyRow)
    .where(StudyRow.study_instance_uid == bindparam("uid"))
    .values(
        calling_ae=bindparam("calling"),
        urgent=or_(StudyRow.urgent, bindparam("is_urgent", type_=Boolean)),
        last_arrival=bindparam("at"),
        quiet_at=bindparam("quiet"),
    )
)


class Arrivals(Moves):
    """The intake's part of the store."""

    def add_instance(
        self,
        instance: Instance,
        *,
        calling_ae: str,
        association_id: str,
        eligible: bool,
        quiet_seconds: float = 2.0,
        urgent: bool = False,
    ) -> Arrival:
        """Keep a film's row, committed when this returns; the same film again changes nothing.

        Args:
            instance: The film, already durable in the spool.
            calling_ae: Who sent it.
            association_id: On which association, unique among all processes and times.
            eligible: Whether it may be what is read.
            quiet_seconds: How long after it the study counts as complete if nothing else happens.
            urgent: The study's next job overtakes others.

        Raises:
            StoreUnavailable: Nothing was kept; the sender must be told so.
        """
        film = Film(
            instance=instance,
            calling_ae=calling_ae,
            association_id=association_id,
            eligible=eligible,
            quiet_seconds=quiet_seconds,
            urgent=urgent,
        )
        return self.add_instances([film])[0]

    def add_instances(self, films: Sequence[Film]) -> list[Arrival]:
        """Keep the rows of films that arrived together, all committed when this returns.

        Returns:
            For each film what was found, as `add_instance` does.

        Raises:
            StoreUnavailable: None of them was kept; their senders must be told so.
        """
        now = self.now()
        with self._writing() as session:
            self._begin_studies(session, films, now)
            return [self._add(session, film, now) for film in films]

    def _begin_studies(self, session: Session, films: Sequence[Film], now: datetime) -> None:
        """Have the studies' rows, locked until the commit: in one order, so that nobody deadlocks."""
        first = {film.instance.study_instance_uid: film for film in reversed(films)}
        table = StudyRow.__table__
        rows_of_studies = [
            {
                "study_instance_uid": uid,
                "calling_ae": first[uid].calling_ae,
                "urgent": first[uid].urgent,
                "first_arrival": now,
                "last_arrival": now,
            }
            for uid in sorted(first)
        ]
        session.connection().execute(self._insert_or_ignore(table), rows_of_studies)
        if not self._is_sqlite:  # SQLite has one writer anyway
            locked = select(table.c.study_instance_uid).where(
                table.c.study_instance_uid.in_(sorted(first))
            )
            session.execute(locked.order_by(table.c.study_instance_uid).with_for_update())

    def _add(self, session: Session, film: Film, now: datetime) -> Arrival:
        values = _columns(film.instance) | {
            "calling_ae": film.calling_ae,
            "association_id": film.association_id,
            "eligible": film.eligible,
            "received_at": now,
        }
        table = InstanceRow.__table__
        statement = self._insert_or_ignore(table).returning(table.c.id)
        if session.connection().execute(statement, values | {"conflict": False}).first() is None:
            return self._same_or_conflict(session, film, values)
        self._touch(session, film, now)
        return Arrival.NEW

    def _touch(self, session: Session, film: Film, now: datetime) -> None:
        """Let the study wait for a job: a film came that none has read."""
        session.connection().execute(
            _TOUCH,
            {
                "uid": film.instance.study_instance_uid,
                "calling": film.calling_ae,
                "is_urgent": film.urgent,
                "at": now,
                "quiet": now + timedelta(seconds=film.quiet_seconds),
            },
        )

    def _same_or_conflict(self, session: Session, film: Film, values: dict[str, object]) -> Arrival:
        instance = film.instance
        known = session.scalar(
            select(InstanceRow).where(
                InstanceRow.sop_instance_uid == instance.sop_instance_uid,
                InstanceRow.sha256 == instance.sha256,
            )
        )
        if known is not None:
            if known.removed_at is not None:
                self._came_again(session, known, film, values)
            else:
                # Retention must not remove now what its sender has just been told is safe.
                study = StudyRow.study_instance_uid == instance.study_instance_uid
                changed_rows(session, update(StudyRow).where(study).values(last_arrival=self.now()))
            return Arrival.CONFLICT if known.conflict else Arrival.SAME
        session.execute(insert(InstanceRow).values(**values, conflict=True))
        session.execute(
            insert(IncidentRow).values(
                at=self.now(),
                actor=values["calling_ae"],
                kind="conflict",
                subject=instance.sop_instance_uid,
                detail="This SOP Instance UID was received before with other bytes. The later film "
                "is kept apart and is not read.",
            )
        )
        return Arrival.CONFLICT

    def _came_again(
        self, session: Session, known: InstanceRow, film: Film, values: dict[str, object]
    ) -> None:
        """Take a film whose file retention had removed for one that arrives now, after all others."""
        newest = select(func.max(InstanceRow.id) + 1).scalar_subquery()
        sequence = func.pg_get_serial_sequence(InstanceRow.__tablename__, "id")
        number = newest if self._is_sqlite else func.nextval(sequence)
        changed_rows(
            session,
            update(InstanceRow)
            .where(InstanceRow.id == known.id)
            .values(values | {"id": number, "removed_at": None}),
        )
        if not known.conflict:
            self._touch(session, film, self.now())

    def completed_by(self, association_ids: Collection[str]) -> list[tuple[str, str]]:
        """Return the studies to which these released associations brought an eligible film.

        Args:
            association_ids: As given to `add_instance`.

        Returns:
            Study Instance UID and who sent it last, of those that wait for a job.
        """
        with self._reading() as session:
            found = session.connection().execute(
                select(StudyRow.study_instance_uid, StudyRow.calling_ae)
                .join(InstanceRow, StudyRow.study_instance_uid == InstanceRow.study_instance_uid)
                .where(
                    InstanceRow.association_id.in_(association_ids),
                    InstanceRow.eligible,
                    ~InstanceRow.conflict,
                    StudyRow.quiet_at.is_not(None),
                )
                .distinct()
            )
            return [(study_uid, calling_ae) for study_uid, calling_ae in found]

    def quiet_studies(self, now: datetime, *, limit: int = 100) -> list[str]:
        """Return the studies with films that wait for a job and whose quiet time is over."""
        with self._reading() as session:
            return list(
                session.scalars(
                    select(StudyRow.study_instance_uid)
                    .where(StudyRow.quiet_at <= now)
                    .order_by(StudyRow.quiet_at)
                    .limit(limit)
                )
            )

    def study(self, study_uid: str, *, through: int | None = None) -> Study:
        """Return the study's films that can be read, in order of arrival.

        Args:
            study_uid: Study Instance UID.
            through: `Job.read_through` of the job that reads, so that it reads what it claimed.

        Raises:
            NotFound: No readable film of it is here.
        """
        chosen = [InstanceRow.study_instance_uid == study_uid, ~InstanceRow.conflict]
        chosen.append(InstanceRow.removed_at.is_(None))
        if through is not None:
            chosen.append(InstanceRow.id <= through)
        films = tuple(rows.instance(row) for row in self._films(chosen))
        if not films:
            raise NotFound(f"no film of study {study_uid} is here")
        return Study(study_instance_uid=study_uid, instances=films)

    def instances(self, study_uid: str) -> list[ReceivedInstance]:
        """Return every film received for a study, conflicts included, in order of arrival."""
        return [
            rows.received(row) for row in self._films([InstanceRow.study_instance_uid == study_uid])
        ]

    def films_of(self, sop_instance_uid: str) -> list[Instance]:
        """Return every film in the spool with this SOP Instance UID; several are a conflict."""
        chosen = [
            InstanceRow.sop_instance_uid == sop_instance_uid,
            InstanceRow.removed_at.is_(None),
        ]
        return [rows.instance(row) for row in self._films(chosen)]

    def _films(self, chosen: list[ColumnElement[bool]]) -> list[InstanceRow]:
        with self._reading() as session:
            found = list(
                session.scalars(select(InstanceRow).where(*chosen).order_by(InstanceRow.id))
            )
            session.expunge_all()
            return found

    def spooled(self, study_uid: str) -> list[Instance]:
        """Return every film of a study whose file is in the spool, conflicts included."""
        chosen = [InstanceRow.study_instance_uid == study_uid, InstanceRow.removed_at.is_(None)]
        return [rows.instance(row) for row in self._films(chosen)]

    def film_removed(self, film: Instance) -> None:
        """Note that a film's file was removed from the spool."""
        with self._writing() as session:
            changed_rows(
                session,
                update(InstanceRow)
                .where(
                    InstanceRow.sop_instance_uid == film.sop_instance_uid,
                    InstanceRow.sha256 == film.sha256,
                    InstanceRow.removed_at.is_(None),
                )
                .values(removed_at=self.now()),
            )


def _columns(instance: Instance) -> dict[str, object]:
    return {
        "study_instance_uid": instance.study_instance_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "series_instance_uid": instance.series_instance_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "sha256": instance.sha256,
        "size": instance.size,
        "path": str(instance.path),
    }
