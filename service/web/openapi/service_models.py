"""Responses and bodies about models, the stop of drafting, and final reports."""

from pydantic import BaseModel, Field

from service.final_reports.report import FinalState
from service.records.models import LoadedModel
from service.records.shadow_summary import ShadowSummary
from service.web.openapi.schema_types import Time


class Worker(BaseModel):
    """A worker of a model."""

    host: str
    pid: int
    since: Time
    alive: bool
    report: str
    loaded: LoadedModel | None


class ConfiguredModel(BaseModel):
    """One configured model."""

    name: str
    version: str
    kind: str
    is_shadow: bool = Field(description="Whether its drafts are for comparison only.")
    reads_new: bool
    callers: list[str] = Field(description="AE titles whose table names this model.")
    drafts: int = Field(description="Drafts of the last 30 days.")
    failed_at: Time | None
    failure: str
    places: list[Worker]
    loaded: LoadedModel | None
    shadow: ShadowSummary | None
    alive: bool


class ModelChoice(BaseModel):
    """A person's choice of the model that reads new studies."""

    at: Time
    chosen_by: str
    model: str


class Drafting(BaseModel):
    """Whether drafting is stopped; the other fields are present while it is."""

    stopped: bool
    by: str | None = None
    reason: str | None = None
    since: Time | None = None


class ModelsInUse(BaseModel):
    """The models, the choice for new studies and the stop of drafting."""

    reads_new: str
    choice: ModelChoice | None
    drafting: Drafting
    models: list[ConfiguredModel]


class ModelToUse(BaseModel):
    """The model that is to read new studies."""

    model: str


class StopReason(BaseModel):
    """Why drafting is stopped."""

    reason: str = Field(min_length=1, description="Shown on pages and in the histories of jobs.")


class FinalReports(BaseModel):
    """Final reports of the reporting system."""

    reports: list[dict[str, str | None]] = Field(
        min_length=1, max_length=100, description="Keys: the columns of docs/evaluation.md."
    )


class TakenReport(BaseModel):
    """What became of a final report."""

    state: FinalState | str = Field(description='A state, or "preliminary, not used".')
    new: bool


class TakenReports(BaseModel):
    """What became of each final report, in the order of the request."""

    reports: list[TakenReport]
