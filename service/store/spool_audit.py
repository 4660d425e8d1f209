"""Files that should exist by the database, read in pieces so that memory stays bounded."""

from collections.abc import Collection, Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, func, select, tuple_, update

from service.database.tables import DeliveryRow, InstanceRow, JobRow, ObjectRow
from service.jobs import DeliveryState, Event, JobState
from service.records import IncidentKind
from service.spool_findings import Kind, MadeRow, SpooledRow
from service.store.transitions import Transitions, changed_rows

# Also FAILED: when a person tries again, the same files are sent.
_UNSENT = (DeliveryState.PENDING.value, DeliveryState.SENDING.value, DeliveryState.FAILED.value)


class SpoolAudit(Transitions):
    """The part of the store that `wetread spool verify` uses."""

    def instances_after(self, row_id: int, *, limit: int) -> list[SpooledRow]:
        """Return the next Instances with an id above `row_id` whose files should exist, by id."""
        return self._spooled_rows(
            InstanceRow.id > row_id, InstanceRow.removed_at.is_(None), limit=limit
        )

    def instances_named(
        self, names: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], SpooledRow]:
        """Return the Instances with these SOP Instance UIDs and digests, removed ones included."""
        named = tuple_(InstanceRow.sop_instance_uid, InstanceRow.digest).in_(list(names))
        return {(row.sop_instance_uid, row.digest): row for row in self._spooled_rows(named)}

    def instances_of_other_digest(self, sop_instance_uid: str, digest: str) -> list[SpooledRow]:
        """Return the Instances with this UID whose digest is of another algorithm than `digest`."""
        return self._spooled_rows(
            InstanceRow.sop_instance_uid == sop_instance_uid,
            func.length(InstanceRow.digest) != len(digest),
        )

    def instance_at(self, path: Path) -> SpooledRow | None:
        """Return the Instance whose row has this path; slow (no index), for files with unusual names."""
        found = self._spooled_rows(InstanceRow.path == str(path), limit=1)
        return found[0] if found else None

    def _spooled_rows(
        self, *chosen: ColumnElement[bool], limit: int | None = None
    ) -> list[SpooledRow]:
        columns = (
            InstanceRow.id,
            InstanceRow.study_instance_uid,
            InstanceRow.sop_instance_uid,
            InstanceRow.digest,
            InstanceRow.size,
            InstanceRow.path,
            InstanceRow.removed_at,
        )
        with self._reading() as session:
            found = session.execute(
                select(*columns).where(*chosen).order_by(InstanceRow.id).limit(limit)
            )
            return [
                SpooledRow(
                    id=row.id,
                    study_instance_uid=row.study_instance_uid,
                    sop_instance_uid=row.sop_instance_uid,
                    digest=row.digest,
                    size=row.size,
                    path=Path(row.path),
                    is_removed=row.removed_at is not None,
                )
                for row in found
            ]

    def set_instance_path(self, image: SpooledRow, path: Path) -> None:
        """Set the path of an Instance whose file was moved."""
        with self._writing() as session:
            changed_rows(
                session,
                update(InstanceRow)
                .where(InstanceRow.id == image.id, InstanceRow.removed_at.is_(None))
                .values(path=str(path)),
            )

    def give_up_instance(self, image: SpooledRow, actor: str, kind: Kind, detail: str) -> None:
        """Record that the file of an acknowledged Instance is lost; sent again, it counts as new.

        This adds an incident, and a line in the history of each job of the study.
        """
        with self._writing() as session:
            gone = update(InstanceRow).where(
                InstanceRow.id == image.id, InstanceRow.removed_at.is_(None)
            )
            if not changed_rows(session, gone.values(removed_at=self.now())):
                return  # another process has recorded it
            self._incident(
                session,
                IncidentKind(kind.value),
                actor=actor,
                subject=image.sop_instance_uid,
                detail=detail,
            )
            jobs = select(JobRow.id, JobRow.state).where(
                JobRow.study_instance_uid == image.study_instance_uid
            )
            for job_id, state in session.execute(jobs).all():
                states = (JobState(state), JobState(state))
                self._event(session, job_id, Event(kind.value), actor, states, detail)

    def job_states(self, study_uid: str) -> list[tuple[str, JobState]]:
        """Return the id and state of each job of a study, the oldest first."""
        chosen = select(JobRow.id, JobRow.state).where(JobRow.study_instance_uid == study_uid)
        with self._reading() as session:
            found = session.execute(chosen.order_by(JobRow.created_at, JobRow.id))
            return [(job_id, JobState(state)) for job_id, state in found]

    def known_jobs(self, job_ids: Sequence[str]) -> set[str]:
        """Return those of these ids that belong to a job."""
        with self._reading() as session:
            return set(session.scalars(select(JobRow.id).where(JobRow.id.in_(job_ids))))

    def unsent_after(self, row_id: int, *, limit: int) -> list[MadeRow]:
        """Return the next results (id above `row_id`) that a destination has not confirmed, by id."""
        unsent = select(DeliveryRow.id).where(
            DeliveryRow.job_id == ObjectRow.job_id, DeliveryRow.state.in_(_UNSENT)
        )
        chosen = (
            select(ObjectRow.id, ObjectRow.job_id, ObjectRow.path, ObjectRow.sha256)
            .join(JobRow, JobRow.id == ObjectRow.job_id)
            .where(ObjectRow.id > row_id, JobRow.removed_at.is_(None), unsent.exists())
            .order_by(ObjectRow.id)
            .limit(limit)
        )
        with self._reading() as session:
            return [
                MadeRow(id=number, job_id=job_id, path=Path(path), sha256=digest)
                for number, job_id, path, digest in session.execute(chosen)
            ]
