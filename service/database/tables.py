"""The tables as mapped classes. No column holds a patient attribute; times are UTC to the microsecond.

    studies ─< instances          jobs ─< job_events       processes   incidents   tokens
       └────< jobs                  ├──< result_objects        refusals
                                    └──< deliveries           reconciliations

Only `service.store` and the migrations know these classes; everybody else sees `service.records`.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime in UTC: timestamptz in PostgreSQL, fixed-width text in SQLite, so it sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return `value` in UTC; a naive one raises ValueError, for nobody knows what it means."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what was stored as an aware datetime in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite gives a self-counting key to the type INTEGER only.
Counter = BigInteger().with_variant(Integer, "sqlite")
UID = String(64)
JobId = String(32)


class Base(DeclarativeBase):
    """The declarative base; the names of constraints are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class StudyRow(Base):
    """A study of which at least one film arrived.

    `quiet_at` is when the sweeper schedules it unless a film or a release comes first; NULL when no
    film waits for a job.
    """

    __tablename__ = "studies"

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    calling_ae: Mapped[str] = mapped_column(String(16))
    urgent: Mapped[bool] = mapped_column(Boolean)
    first_arrival: Mapped[datetime] = mapped_column(UtcTime)
    last_arrival: Mapped[datetime] = mapped_column(UtcTime)
    quiet_at: Mapped[datetime | None] = mapped_column(UtcTime, index=True)


class InstanceRow(Base):
    """A film as received; the highest id of a study tells which films a job has read.

    Attributes:
        compared_at: Of a conflict: when it was compared with the film; NULL: it is to be compared.
        differs: Of a conflict: in what it differs, where that puts a draft in doubt.
    """

    __tablename__ = "instances"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "digest"),
        # One content of a SOP Instance UID is the film; any other is kept as a conflict.
        Index(
            "ux_instances_sop_instance_uid",
            "sop_instance_uid",
            unique=True,
            sqlite_where=text("NOT conflict"),
            postgresql_where=text("NOT conflict"),
        ),
        # The sweeper asks for these each second; there are next to none.
        Index(
            "ix_instances_to_compare",
            "id",
            sqlite_where=text("conflict = 1 AND compared_at IS NULL"),
            postgresql_where=text("conflict AND compared_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("studies.study_instance_uid"), index=True
    )
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    sop_class_uid: Mapped[str] = mapped_column(UID)
    series_instance_uid: Mapped[str] = mapped_column(UID)
    transfer_syntax_uid: Mapped[str] = mapped_column(UID)
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[str] = mapped_column(Text)
    calling_ae: Mapped[str] = mapped_column(String(16))
    association_id: Mapped[str] = mapped_column(String(64), index=True)
    eligible: Mapped[bool] = mapped_column(Boolean)
    conflict: Mapped[bool] = mapped_column(Boolean)
    received_at: Mapped[datetime] = mapped_column(UtcTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    compared_at: Mapped[datetime | None] = mapped_column(UtcTime)
    differs: Mapped[str] = mapped_column(Text, server_default="")


class JobRow(Base):
    """One reading of one study by one model.

    Attributes:
        forced: Asked for by a person: read although nothing changed.
        destinations: Names of where its results go; NULL in jobs made before this was kept.
        produced_at: The first claim; the time that the results carry, so that a second attempt makes
            the same bytes.
        read_through: Highest instances.id that the job reads.
        published_at: When a message was last sent for it; NULL: nobody has been told.
        removed_at: When retention removed its files.
        doubt: In what a later copy of the draft's image differs, a sentence.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("study_instance_uid", "model_name", "revision"),
        Index("ix_jobs_state_published_at", "state", "published_at"),
        Index("ix_jobs_created_at_id", "created_at", "id"),
        # The queue's page and the metrics count these again and again; there are next to none.
        Index(
            "ix_jobs_withdrawn",
            "created_at",
            "id",
            sqlite_where=text("reason_code = 'RECALLED'"),
            postgresql_where=text("reason_code = 'RECALLED'"),
        ),
        Index(
            "ix_jobs_in_doubt",
            "created_at",
            "id",
            sqlite_where=text("doubt != ''"),
            postgresql_where=text("doubt != ''"),
        ),
    )

    id: Mapped[str] = mapped_column(JobId, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(ForeignKey("studies.study_instance_uid"))
    calling_ae: Mapped[str] = mapped_column(String(16))
    model_name: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    urgent: Mapped[bool] = mapped_column(Boolean)
    forced: Mapped[bool] = mapped_column(Boolean)
    destinations: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    reason_code: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    produced_at: Mapped[datetime | None] = mapped_column(UtcTime)
    not_before: Mapped[datetime | None] = mapped_column(UtcTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    read_through: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    first_error: Mapped[str] = mapped_column(Text, default="")
    last_error: Mapped[str] = mapped_column(Text, default="")
    lease_owner: Mapped[str] = mapped_column(String(128), default="")
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    fence: Mapped[int] = mapped_column(Integer, default=0)
    supersedes: Mapped[str | None] = mapped_column(JobId)
    superseded_by: Mapped[str | None] = mapped_column(JobId)
    draft: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    doubt: Mapped[str] = mapped_column(Text, server_default="")
    doubted_at: Mapped[datetime | None] = mapped_column(UtcTime)


class EventRow(Base):
    """One line of a job's history; only ever inserted."""

    __tablename__ = "job_events"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(32))
    from_state: Mapped[str | None] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)


class ObjectRow(Base):
    """One object made for a job."""

    __tablename__ = "result_objects"
    __table_args__ = (UniqueConstraint("job_id", "sop_instance_uid"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    kind: Mapped[str] = mapped_column(String(32))
    sop_class_uid: Mapped[str] = mapped_column(UID)
    sop_instance_uid: Mapped[str] = mapped_column(UID)
    series_instance_uid: Mapped[str] = mapped_column(UID)
    study_instance_uid: Mapped[str] = mapped_column(UID)
    path: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))


def _latest(column: str) -> Index:
    """Return the index by which the latest delivery to a destination is found that has this time."""
    only = text(f"{column} IS NOT NULL")
    name = f"ix_deliveries_destination_{column}"
    return Index(name, "destination", column, sqlite_where=only, postgresql_where=only)


class DeliveryRow(Base):
    """Where one job's results stand with one destination; leased and fenced like a job.

    Attributes:
        lapses: Claims in a row whose worker was lost.
        notice: Empty for the job's results; for the notice that its draft is in doubt the digest of the
            copy that caused it.
        unlisted: Tries after which the destination had acknowledged objects and did not list them.
        read_back: How it was confirmed: read back, or acknowledged only; NULL before, and in rows of
            an earlier version.
        failed_at: When the latest try that failed ended.
        trouble: What that try showed, a value of `service.destination_backlog.Trouble`; "" before.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("job_id", "destination", "notice"),
        Index("ix_deliveries_state_destination_created_at", "state", "destination", "created_at"),
        _latest("confirmed_at"),
        _latest("failed_at"),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    destination: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    not_before: Mapped[datetime | None] = mapped_column(UtcTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcTime)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    first_error: Mapped[str] = mapped_column(Text, default="")
    last_error: Mapped[str] = mapped_column(Text, default="")
    lease_owner: Mapped[str] = mapped_column(String(128), default="")
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    fence: Mapped[int] = mapped_column(Integer, default=0)
    lapses: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    notice: Mapped[str] = mapped_column(String(64), default="", server_default="")
    unlisted: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    read_back: Mapped[bool | None] = mapped_column(Boolean)
    failed_at: Mapped[datetime | None] = mapped_column(UtcTime)
    trouble: Mapped[str] = mapped_column(String(16), default="", server_default="")


class ProcessRow(Base):
    """One of the service's processes as it last reported itself."""

    __tablename__ = "processes"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    role: Mapped[str] = mapped_column(String(32))
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    seen_at: Mapped[datetime] = mapped_column(UtcTime)
    restarts: Mapped[int] = mapped_column(Integer)
    detail: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), server_default="WORKING")
    reason: Mapped[str] = mapped_column(Text, server_default="")


class IncidentRow(Base):
    """What a person should know although the service went on."""

    __tablename__ = "incidents"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    actor: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    detail: Mapped[str] = mapped_column(Text)


class RefusalRow(Base):
    """How often the receiver did not accept the same thing of the same peer.

    Attributes:
        cause: A value of `dicom.scp.refusals.Cause`.
        calling_ae: "" where no association was requested.
        sop_class_uid: Of a refused presentation context; else "".
    """

    __tablename__ = "refusals"
    __table_args__ = (UniqueConstraint("cause", "calling_ae", "address", "sop_class_uid"),)

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    cause: Mapped[str] = mapped_column(String(64))
    calling_ae: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(UID)
    count: Mapped[int] = mapped_column(BigInteger)
    first_at: Mapped[datetime] = mapped_column(UtcTime)
    last_at: Mapped[datetime] = mapped_column(UtcTime, index=True)


class ReconcileRow(Base):
    """The latest comparison with one archive.

    Attributes:
        position: The archive's last change before which everything is here; 0 where it has none.
        compared_at: When the archive last answered.
        complete_at: When everything that it had was last here.
        missing: Studies that it has and that are not here, or not whole.
        fault: Why the latest comparison failed; "" when it did not.
    """

    __tablename__ = "reconciliations"

    archive: Mapped[str] = mapped_column(String(40), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    tried_at: Mapped[datetime] = mapped_column(UtcTime)
    compared_at: Mapped[datetime | None] = mapped_column(UtcTime)
    complete_at: Mapped[datetime | None] = mapped_column(UtcTime)
    missing: Mapped[int] = mapped_column(Integer)
    fault: Mapped[str] = mapped_column(Text)


class TokenRow(Base):
    """A bearer token, without its secret; kept for good, so that it can be told who came in.

    Attributes:
        id: The part of the token that is no secret.
        secret_hash: SHA-256 of the other part.
        scopes: Words with spaces between them.
    """

    __tablename__ = "tokens"
    __table_args__ = (
        # A name is given again only after its token was revoked.
        Index(
            "ux_tokens_name",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    secret_hash: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str] = mapped_column(String(64))
    ae_title: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    created_by: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime)
