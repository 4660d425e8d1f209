"""The tables as mapped classes. No column here holds a patient attribute; times are UTC in microseconds.

    studies ─< instances          jobs ─< job_events       processes   incidents   tokens
       └────< jobs                  ├──< result_objects        refusals
                                    └──< deliveries           reconciliations

Only `service.store` and the migrations use these classes; all other code uses `service.records`.
"""

from datetime import UTC, datetime
from typing import Any, Final

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
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime in UTC: timestamptz in PostgreSQL, sortable text of fixed width in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return `value` in UTC; raise ValueError for a naive datetime, whose zone is unknown."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored time as an aware datetime in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite numbers rows by itself only if the type of the key is INTEGER.
Counter = BigInteger().with_variant(Integer, "sqlite")
UID = String(64)
JobId = String(32)


class Base(DeclarativeBase):
    """The declarative base; constraints have fixed names so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class StudyRow(Base):
    """A study of which at least one Instance arrived.

    Attributes:
        quiet_at: When the sweeper makes its job, unless an Instance or a release comes first; NULL if
            the study does not wait for a job.
    """

    __tablename__ = "studies"

    study_instance_uid: Mapped[str] = mapped_column(UID, primary_key=True)
    calling_ae: Mapped[str] = mapped_column(String(16))
    urgent: Mapped[bool] = mapped_column(Boolean)
    first_arrival: Mapped[datetime] = mapped_column(UtcTime, index=True)
    last_arrival: Mapped[datetime] = mapped_column(UtcTime)
    quiet_at: Mapped[datetime | None] = mapped_column(UtcTime, index=True)


class InstanceRow(Base):
    """A received Instance; ids are in order of arrival, and a job reads those up to `read_through`.

    Attributes:
        conflict: It has the SOP Instance UID of an earlier Instance and other content.
        compared_at: When a conflict was compared with the first Instance; NULL: it is to be compared.
        differs: In what a conflict differs, if that puts drafts in doubt; else "".
    """

    __tablename__ = "instances"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "digest"),
        # The first content of a SOP Instance UID is the Instance; any other is kept as a conflict.
        Index(
            "ux_instances_sop_instance_uid",
            "sop_instance_uid",
            unique=True,
            sqlite_where=text("NOT conflict"),
            postgresql_where=text("NOT conflict"),
        ),
        # A partial index: the sweeper queries these each second, and there are few.
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


# The draft of a job awaits a decision. A query states these very words, because a partial index serves
# only a query that contains its condition.
AWAITS_DECISION: Final = (
    "draft IS NOT NULL AND superseded_by IS NULL AND removed_at IS NULL AND NOT decided "
    "AND state != 'CANCELED' AND reason_code NOT IN ('RECALLED', 'WITHHELD')"
)


def _worklist_index(name: str, *columns: str, only: str) -> Index:
    where = text(f"{AWAITS_DECISION} AND {only}")
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


class JobRow(Base):
    """One reading of one study by one model.

    Attributes:
        forced: A person asked for it: it is read although nothing changed.
        destinations: Names of its destinations; NULL in jobs of versions that did not record them.
        produced_at: Time of the first claim. The results carry it, so that a second attempt makes the
            same bytes.
        read_through: Highest instances.id that the job reads.
        published_at: When a message was last sent for it; NULL: the sweeper has to publish it.
        removed_at: When retention removed its files.
        has_draft: Whether there is a draft; known without loading it.
        urgent_finding: Whether the draft states a finding that cannot wait (`urgent_findings`).
        decided: Whether a decision on the draft stands; the rows of the decisions are the record.
        doubt: A sentence: in what a later copy of the draft's image differs; "" without doubt.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("study_instance_uid", "model_name", "revision"),
        Index("ix_jobs_state_published_at", "state", "published_at"),
        Index("ix_jobs_created_at_id", "created_at", "id"),
        # The lists of the queue's page, each in the order of its pages.
        Index("ix_jobs_state_created_at", "state", "created_at", "id"),
        Index("ix_jobs_calling_ae_created_at", "calling_ae", "created_at", "id"),
        Index("ix_jobs_model_name_created_at", "model_name", "created_at", "id"),
        Index(
            "ix_jobs_state_reason_code",
            "state",
            "reason_code",
            "created_at",
            "id",
            sqlite_where=text("reason_code != ''"),
            postgresql_where=text("reason_code != ''"),
        ),
        # The page of models counts the drafts of a month by model.
        Index(
            "ix_jobs_drafted",
            "created_at",
            "model_name",
            sqlite_where=text("draft IS NOT NULL"),
            postgresql_where=text("draft IS NOT NULL"),
        ),
        # Partial indexes: the queue's page and the metrics count these often, and there are few.
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
        # The worklist, in its order: by age within each urgency.
        _worklist_index("ix_jobs_awaiting_urgent", "created_at", "id", only="urgent"),
        _worklist_index(
            "ix_jobs_awaiting", "urgent_finding", "created_at", "id", only="NOT urgent"
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
    has_draft: Mapped[bool] = column_property(draft.is_not(None))
    urgent_finding: Mapped[bool] = mapped_column(Boolean, server_default=false())
    decided: Mapped[bool] = mapped_column(Boolean, server_default=false())
    doubt: Mapped[str] = mapped_column(Text, server_default="")
    doubted_at: Mapped[datetime | None] = mapped_column(UtcTime)


class EventRow(Base):
    """One line of a job's history; rows are only inserted.

    Attributes:
        code: The job's `reason_code` from then on; "" if the event does not change the job's state, and
            in rows of earlier versions.
    """

    __tablename__ = "job_events"
    __table_args__ = (
        # A partial index: the hourly figures count failures, and there are few.
        Index(
            "ix_job_events_failed",
            "at",
            sqlite_where=text("action = 'fail'"),
            postgresql_where=text("action = 'fail'"),
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcTime)
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(32))
    from_state: Mapped[str | None] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(String(64), default="", server_default="")


class ObjectRow(Base):
    """One result object of a job."""

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
    """Return the index for the latest value of this time among a destination's deliveries."""
    only = text(f"{column} IS NOT NULL")
    name = f"ix_deliveries_destination_{column}"
    return Index(name, "destination", column, sqlite_where=only, postgresql_where=only)


class DeliveryRow(Base):
    """The delivery of one job's results to one destination; leased and fenced like a job.

    Attributes:
        lapses: Number of claims in a row whose worker was lost.
        notice: "" for the job's results; for a notice of doubt the digest of the copy that caused it.
        unlisted: Number of tries after which the destination did not list what it had acknowledged.
        read_back: True: confirmed by reading back. False: acknowledged only. NULL: not confirmed, no
            object of a kind for the destination, or a row of an earlier version.
        failed_at: When the latest try that showed `trouble` ended.
        trouble: Its value of `service.destination_backlog.Trouble`; "" before.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("job_id", "destination", "notice"),
        Index("ix_deliveries_state_destination_created_at", "state", "destination", "created_at"),
        _latest("confirmed_at"),
        _latest("failed_at"),
        # The failed ones alone, with what the groups of failures need: a small part of the table.
        Index(
            "ix_deliveries_failed",
            "notice",
            "id",
            "job_id",
            "destination",
            sqlite_where=text("state = 'FAILED'"),
            postgresql_where=text("state = 'FAILED'"),
        ),
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
    """An event that a person should know of although the service continued.

    Attributes:
        alerted: Whether an alert stands for it (`incident_alerts`), or none is to be opened.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        # A partial index: the sweeper queries these every few seconds, and there are few.
        Index(
            "ix_incidents_unalerted",
            "id",
            sqlite_where=text("NOT alerted"),
            postgresql_where=text("NOT alerted"),
        ),
    )

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    actor: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    detail: Mapped[str] = mapped_column(Text)
    alerted: Mapped[bool] = mapped_column(Boolean, server_default=false())


class RefusalRow(Base):
    """A count of what the receiver did not accept, for one cause, peer and SOP Class.

    Attributes:
        cause: A value of `dicom.scp.refusals.Cause`.
        calling_ae: "" if no association was requested.
        sop_class_uid: SOP Class of a refused presentation context; else "".
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
        position: Number of the archive's last change up to which everything is here; 0 if it has none.
        compared_at: When the archive last answered.
        complete_at: Latest known time such that all that the archive had then is here.
        missing: Number of Studies of the archive that are missing or incomplete here.
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
    """A bearer token without its secret; never deleted, so that its past use can be traced.

    Attributes:
        id: The part of the token that is not secret.
        secret_hash: SHA-256 of the secret part.
        scopes: Values of `service.tokens.Scope`, separated by spaces.
    """

    __tablename__ = "tokens"
    __table_args__ = (
        # A name can be used again after its token was revoked.
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
