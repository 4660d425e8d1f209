"""The records that the store returns and accepts: immutable, detached from any session, times in UTC."""

from service.records.commitments import CommitmentBacklog, CommitmentReport, CommitmentState
from service.records.deliveries import Delivery, ResultObject, UnderWay
from service.records.instances import (
    Arrival,
    ArrivedInstance,
    ArrivingStudy,
    Conflict,
    JobNeed,
    ReceivedInstance,
)
from service.records.jobs import (
    DraftedModel,
    DraftFilter,
    Job,
    JobEvent,
    JobRequest,
    JobWithDraft,
    PastClaims,
    Position,
    first_to_read,
)
from service.records.monitoring import (
    NOTHING,
    Incident,
    IncidentKind,
    ProcessBeat,
    ProcessRole,
    ProcessStatus,
    Reconciliation,
    RefusalCount,
    StatusReport,
)

__all__ = [
    "NOTHING",
    "Arrival",
    "ArrivedInstance",
    "ArrivingStudy",
    "CommitmentBacklog",
    "CommitmentReport",
    "CommitmentState",
    "Conflict",
    "Delivery",
    "DraftFilter",
    "DraftedModel",
    "Incident",
    "IncidentKind",
    "Job",
    "JobEvent",
    "JobNeed",
    "JobRequest",
    "JobWithDraft",
    "PastClaims",
    "Position",
    "ProcessBeat",
    "ProcessRole",
    "ProcessStatus",
    "ReceivedInstance",
    "Reconciliation",
    "RefusalCount",
    "ResultObject",
    "StatusReport",
    "UnderWay",
    "first_to_read",
]
