"""Responses and bodies about calling AEs and destinations."""

from pydantic import BaseModel, Field

from service.destination_backlog import DestinationState
from service.records import CommitmentBacklog
from service.web.openapi.schema_types import Time


class Refusal(BaseModel):
    """What was refused of a calling AE."""

    sentence: str
    last_at: Time
    advice: str


class CallingAe(BaseModel):
    """A calling AE: what the settings say of it, what it sent, and what was refused."""

    ae_title: str
    configured: bool
    permitted_from: str = Field(description="Addresses that the settings permit; empty for any.")
    address: str = Field(description="Of the latest association.")
    associated_at: Time | None
    associations: int
    arrived_at: Time | None
    instances: int
    studies: int
    day_instances: int
    day_studies: int
    refusals: list[Refusal]
    commitments: list[CommitmentBacklog]


class Pause(BaseModel):
    """A pause of the deliveries to a destination."""

    destination: str
    paused_at: Time
    paused_by: str
    reason: str


class Destination(BaseModel):
    """A destination of results."""

    name: str
    kind: str
    address: str
    state: DestinationState
    waiting: int
    oldest_at: Time | None
    succeeded_at: Time | None
    failed_at: Time | None
    last_error: str
    overdue: bool
    pause: Pause | None
    commitments: list[CommitmentBacklog]


class Network(BaseModel):
    """The calling AEs and destinations."""

    calling_aes: list[CallingAe]
    other_refusals: list[str]
    destinations: list[Destination]


class PauseReason(BaseModel):
    """Why a destination is paused."""

    reason: str = Field(min_length=1, description="Pages show it.")
