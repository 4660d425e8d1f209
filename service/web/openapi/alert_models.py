"""Responses about alerts and the end-to-end check."""

from typing import Literal

from pydantic import BaseModel, Field

from service.records.alerts import NotificationEvent, NotificationOutcome
from service.records.probes import ProbeOutcome, ProbeStage
from service.web.openapi.schema_types import Time


class Alert(BaseModel):
    """An alert about incidents of one cause."""

    id: int
    kind: str = Field(description="Of the incidents.")
    level: Literal["notice", "warning", "alarm"]
    subject: str
    detail: str = Field(description="Of the latest incident.")
    count: int = Field(description="Incidents that it stands for.")
    acknowledged_by: str
    opened_at: Time
    last_at: Time
    recovered_at: Time | None
    acknowledged_at: Time | None
    closed_at: Time | None


class Message(BaseModel):
    """A message about an alert to one target."""

    alert: int
    target: str
    event: NotificationEvent
    outcome: NotificationOutcome
    attempts: int
    error: str
    created_at: Time
    ended_at: Time | None


class Alerts(BaseModel):
    """The open alerts, the latest closed ones, and the latest messages."""

    open: list[Alert]
    closed: list[Alert]
    messages: list[Message]


class EndToEndCheck(BaseModel):
    """One end-to-end check."""

    id: str
    outcome: ProbeOutcome
    stage: ProbeStage
    reason: str
    started_at: Time
    ended_at: Time | None
    seconds: float | None
    stages: dict[str, Time] = Field(description="When each stage was begun.")
    removed: bool
    left_at: list[str] = Field(description="Destinations at which its objects stay.")


class EndToEndChecks(BaseModel):
    """The latest end-to-end checks, and what they say about the service."""

    enabled: bool
    fault: str
    late: bool
    last_success: Time | None
    checks: list[EndToEndCheck]
