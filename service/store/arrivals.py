"""Rows of received studies and Instances, and when a study counts as complete."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from dicom.study import Instance, Study
from service.database.tables import InstanceRow, StudyRow
from service.errors import NotFound
from service.records import Arrival, ArrivedInstance, IncidentKind, ReceivedInstance
from service.store import record_mapping
from service.store.duplicate_lookup import (
    FileNotRead,
    FilesNotRead,
    KnownInstance,
    StoredFiles,
    known_by_earlier_digest,
    known_instance,
)
from service.store.statements.arrivals import (
    INSTANCE_KEY,
    STUDY_KEY,
    completed_studies,
    new_instances,
    new_studies,
    update_of_study,
)
from service.store.statements.compiled import choice_of, values_of
from service.store.transitions import Transitions, changed_rows

_STUDIES: Final = StudyRow.__table__


class Arrivals(Transitions):
    """The part of the store that the intake uses."""

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
        """Record an Instance; its row is committed when this returns.

        The same Instance again adds no row. Its row is renewed if its file was removed or lost.

        Args:
            instance: The Instance, already durable in the spool.
            calling_ae: AE title of its sender.
            association_id: Id of its association, unique among all processes and times.
            eligible: Whether a job may read it.
            quiet_seconds: Seconds without a further Instance until the study counts as complete.
            urgent: Whether the study's next job is read before others.

        Raises:
            StoreUnavailable: Nothing was recorded; the sender must get a failure status.
        """
        arrived = ArrivedInstance(
            instance=instance,
            calling_ae=calling_ae,
            association_id=association_id,
            eligible=eligible,
            quiet_seconds=quiet_seconds,
            urgent=urgent,
        )
        return self.add_instances([arrived])[0]

    def add_instances(self, batch: Sequence[ArrivedInstance]) -> list[Arrival]:
        """Record Instances in one transaction, committed when this returns.

        Returns:
            For each Instance the result that `add_instance` returns.

        Raises:
            StoreUnavailable: None was recorded; the senders must get a failure status.
        """
        # The file of a new Instance was written now; only that of a duplicate may be older.
        files = StoredFiles(arrived.instance.path for arrived in batch if not arrived.file_is_new)
        while True:
            try:
                with self._write_connection() as connection:
                    return self._add_batch(connection, batch, files)
            except FilesNotRead as error:
                files.read(error.needed)

    def _add_batch(
        self, connection: Connection, batch: Sequence[ArrivedInstance], files: StoredFiles
    ) -> list[Arrival]:
        """Record Instances in this transaction.

        Raises:
            FilesNotRead: The transaction must be rolled back, and run again once these were read.
        """
        now = self.now()
        begun = self._begin_studies(connection, batch, now)
        new = self._insert_instances(connection, batch, now)
        arrivals, not_read = [], []
        for arrived in batch:
            key = _key(arrived)
            if key in new:
                new.discard(key)  # a second one with the same bytes is the same Instance
                arrivals.append(Arrival.NEW)
                # A new study's row was made from this Instance already.
                if begun.get(arrived.instance.study_instance_uid) is not arrived:
                    self._update_study(connection, arrived, now)
                continue
            try:
                arrivals.append(self._same_or_conflict(connection, arrived, files, now))
            except FileNotRead as error:
                not_read.append(error)
        if not_read:
            raise FilesNotRead(not_read)
        self._clear_quiet_time_of_conflicts_only(connection, begun, batch, arrivals)
        return arrivals

    def _begin_studies(
        self, connection: Connection, batch: Sequence[ArrivedInstance], now: datetime
    ) -> dict[str, ArrivedInstance]:
        """Insert missing rows of studies and lock all until the commit, in UID order against deadlocks.

        Returns:
            The new studies by UID, each with the Instance from which its row was made.
        """
        # A new study waits for a job if any of its Instances begins one, so those come first.
        in_order = sorted(batch, key=lambda arrived: not arrived.begins_job)
        first = {arrived.instance.study_instance_uid: arrived for arrived in reversed(in_order)}
        missing = [
            _study_columns(first[uid], now) | {"first_arrival": now} for uid in sorted(first)
        ]
        inserted = self._statements.insert_new(connection, new_studies, missing, STUDY_KEY)
        begun = {uid: first[uid] for (uid,) in inserted}
        if len(begun) < len(first) and not self._is_sqlite:  # SQLite has one writer anyway
            locked = select(_STUDIES.c.study_instance_uid).where(
                _STUDIES.c.study_instance_uid.in_(sorted(first))
            )
            connection.execute(locked.order_by(_STUDIES.c.study_instance_uid).with_for_update())
        return begun

    def _insert_instances(
        self, connection: Connection, batch: Sequence[ArrivedInstance], now: datetime
    ) -> set[tuple[str, str]]:
        """Insert the Instances that are new; return their SOP Instance UIDs and digests."""
        values = [_columns(arrived, now) | {"conflict": False} for arrived in batch]
        return self._statements.insert_new(connection, new_instances, values, INSTANCE_KEY)

    def _clear_quiet_time_of_conflicts_only(
        self,
        connection: Connection,
        begun: dict[str, ArrivedInstance],
        batch: Sequence[ArrivedInstance],
        arrivals: Sequence[Arrival],
    ) -> None:
        """Clear the quiet time of new studies to which only conflicts came: they get no job."""
        for arrived, arrival in zip(batch, arrivals, strict=True):
            if arrival is Arrival.NEW:
                begun.pop(arrived.instance.study_instance_uid, None)
        for uid in begun:
            study = update(StudyRow).where(StudyRow.study_instance_uid == uid)
            connection.execute(study.values(quiet_at=None))

    def _update_study(
        self, connection: Connection, arrived: ArrivedInstance, now: datetime
    ) -> None:
        """Update the study for a new Instance; if that begins a job, the study waits for one."""
        if not arrived.begins_job:
            self._set_last_arrival(connection, arrived, now)
            return
        touched = self._statements.get(update_of_study, 1)
        touched.execute(connection, values_of([_study_columns(arrived, now)]))

    def _same_or_conflict(
        self, connection: Connection, arrived: ArrivedInstance, files: StoredFiles, now: datetime
    ) -> Arrival:
        instance = arrived.instance
        known = known_instance(connection, instance)
        lacked_file = known is not None and _is_younger(arrived, known, files)
        if known is None:
            known = known_by_earlier_digest(connection, instance, files)
            # The earlier digest gives its file another name, so both files may exist.
            lacked_file = known is not None and _lacks_file(known, arrived, files)
        if known is None:
            return self._conflict(connection, arrived, now)
        # A job that was made while the file was missing has failed, so the study gets a job again.
        if known.is_removed or lacked_file:
            self._renew_instance(connection, known.id, arrived, now)
            if not known.conflict:
                self._update_study(connection, arrived, now)
        else:
            self._set_last_arrival(connection, arrived, now)
        return Arrival.CONFLICT if known.conflict else Arrival.SAME

    def _set_last_arrival(
        self, connection: Connection, arrived: ArrivedInstance, now: datetime
    ) -> None:
        """Set the study's last arrival: retention must not remove what was just acknowledged."""
        study = StudyRow.study_instance_uid == arrived.instance.study_instance_uid
        connection.execute(update(StudyRow).where(study).values(last_arrival=now))

    def _conflict(self, connection: Connection, arrived: ArrivedInstance, now: datetime) -> Arrival:
        connection.execute(insert(InstanceRow).values(**_columns(arrived, now), conflict=True))
        self._incident(
            connection,
            IncidentKind.CONFLICT,
            actor=arrived.calling_ae,
            subject=arrived.instance.sop_instance_uid,
            detail="This SOP Instance UID was received before with other bytes. The later image "
            "is stored separately and is not read.",
        )
        return Arrival.CONFLICT

    def _renew_instance(
        self, connection: Connection, number: int, arrived: ArrivedInstance, now: datetime
    ) -> None:
        """Renew the row of an Instance whose file was removed or lost.

        It gets a new, highest id, so that it counts as not read by any job.
        """
        # max + 1 is safe in SQLite only, which has one writer; PostgreSQL has a sequence.
        newest = select(func.max(InstanceRow.id) + 1).scalar_subquery()
        sequence = func.pg_get_serial_sequence(InstanceRow.__tablename__, "id")
        anew = {"id": newest if self._is_sqlite else func.nextval(sequence), "removed_at": None}
        known = update(InstanceRow).where(InstanceRow.id == number)
        connection.execute(known.values(_columns(arrived, now) | anew))

    def completed_by(self, association_ids: Collection[str]) -> list[tuple[str, str]]:
        """Return the waiting studies to which these released associations brought an eligible Instance.

        Args:
            association_ids: As given to `add_instance`.

        Returns:
            Study Instance UID and last calling AE of each study that waits for a job.
        """
        if not association_ids:
            return []
        count, choice = choice_of(association_ids)
        completed = self._statements.get(completed_studies, count)
        with self._read_connection() as connection:
            found = completed.execute(connection, choice)
            return [(study_uid, calling_ae) for study_uid, calling_ae in found]

    def quiet_studies(self, now: datetime, *, limit: int = 100) -> list[str]:
        """Return the studies that wait for a job and whose quiet time is over, the earliest first."""
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
        """Return the study's readable Instances (no conflict, not removed), in order of arrival.

        Args:
            study_uid: Study Instance UID.
            through: `Job.read_through` of the job: later Instances are left out; None for all.

        Raises:
            NotFound: The study has no readable Instance here.
        """
        chosen = [InstanceRow.study_instance_uid == study_uid, ~InstanceRow.conflict]
        chosen.append(InstanceRow.removed_at.is_(None))
        if through is not None:
            chosen.append(InstanceRow.id <= through)
        found = tuple(record_mapping.instance(row) for row in self._rows(chosen))
        if not found:
            raise NotFound(f"no image of study {study_uid} is stored")
        return Study(study_instance_uid=study_uid, instances=found)

    def instances(self, study_uid: str) -> list[ReceivedInstance]:
        """Return every Instance received for a study, conflicts included, in order of arrival."""
        return [
            record_mapping.received(row)
            for row in self._rows([InstanceRow.study_instance_uid == study_uid])
        ]

    def copies_of(self, sop_instance_uid: str) -> list[ReceivedInstance]:
        """Return every kept copy with this SOP Instance UID, of any study, in order of arrival."""
        chosen = [
            InstanceRow.sop_instance_uid == sop_instance_uid,
            InstanceRow.removed_at.is_(None),
        ]
        return [record_mapping.received(row) for row in self._rows(chosen)]

    def instances_with_uid(self, sop_instance_uid: str) -> list[Instance]:
        """Return every Instance in the spool with this SOP Instance UID; several are a conflict."""
        chosen = [
            InstanceRow.sop_instance_uid == sop_instance_uid,
            InstanceRow.removed_at.is_(None),
        ]
        return [record_mapping.instance(row) for row in self._rows(chosen)]

    def _rows(self, chosen: list[ColumnElement[bool]]) -> list[InstanceRow]:
        with self._reading() as session:
            found = list(
                session.scalars(select(InstanceRow).where(*chosen).order_by(InstanceRow.id))
            )
            session.expunge_all()
            return found

    def spooled(self, study_uid: str) -> list[Instance]:
        """Return every Instance of a study whose file is in the spool, conflicts included."""
        chosen = [InstanceRow.study_instance_uid == study_uid, InstanceRow.removed_at.is_(None)]
        return [record_mapping.instance(row) for row in self._rows(chosen)]

    def mark_instance_removed(self, instance: Instance) -> None:
        """Record that the file of an Instance was removed from the spool."""
        with self._writing() as session:
            changed_rows(
                session,
                update(InstanceRow)
                .where(
                    InstanceRow.sop_instance_uid == instance.sop_instance_uid,
                    InstanceRow.digest == instance.digest,
                    InstanceRow.removed_at.is_(None),
                )
                .values(removed_at=self.now()),
            )


def _is_younger(arrived: ArrivedInstance, known: KnownInstance, files: StoredFiles) -> bool:
    """Return whether the file of `arrived` is newer than its row, whose file was missing or damaged.

    It was written for this arrival, or for an earlier one whose row was not committed.
    """
    written = files.written_at(arrived.instance.path) or known.received_at
    return arrived.file_is_new or written > known.received_at


def _lacks_file(known: KnownInstance, arrived: ArrivedInstance, files: StoredFiles) -> bool:
    """Return whether the file that a row names was missing or damaged before `image` came."""
    if known.path == arrived.instance.path:
        return _is_younger(arrived, known, files)
    return files.digest(known.path, like=known.digest) != known.digest


def _key(arrived: ArrivedInstance) -> tuple[str, str]:
    return arrived.instance.sop_instance_uid, arrived.instance.digest


def _study_columns(arrived: ArrivedInstance, now: datetime) -> dict[str, Any]:
    return {
        "study_instance_uid": arrived.instance.study_instance_uid,
        "calling_ae": arrived.calling_ae,
        "urgent": arrived.urgent,
        "last_arrival": now,
        "quiet_at": now + timedelta(seconds=arrived.quiet_seconds) if arrived.begins_job else None,
    }


def _columns(arrived: ArrivedInstance, now: datetime) -> dict[str, Any]:
    instance = arrived.instance
    return {
        "study_instance_uid": instance.study_instance_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "series_instance_uid": instance.series_instance_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "digest": instance.digest,
        "size": instance.size,
        "path": str(instance.path),
        "calling_ae": arrived.calling_ae,
        "association_id": arrived.association_id,
        "eligible": arrived.eligible,
        "received_at": now,
    }
