"""What the page of models and `/api/models` show."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from service.queue.names import queue_of, shadow_role
from service.records.models import DraftingStop, LoadedModel, ModelChoice
from service.records.plain_json import plain
from service.records.shadow_summary import ShadowSummary, summary
from service.settings.config import Settings
from service.settings.keys.reading import Reading
from service.store import Store
from service.web.status.status_text import SystemStatus

DAYS: Final = 30
_MONTH: Final = timedelta(days=DAYS)
# Of a shadow model, only so many of the latest readings are compared.
READINGS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A worker of a model: where it runs, since when, and what it has loaded, if it said so."""

    host: str
    pid: int
    since: datetime
    alive: bool
    report: str
    loaded: LoadedModel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLine:
    """One configured model.

    Attributes:
        reads_new: Whether it reads new studies of calling AEs that name no model.
        callers: AE titles whose table names this model.
        drafts: Drafts of the last `DAYS` days; of a shadow model those that are kept.
        failed_at: When its latest failed job failed; None if none did.
        loaded: What its workers loaded last, also if none is alive.
    """

    name: str
    version: str
    kind: str
    is_shadow: bool
    reads_new: bool
    callers: tuple[str, ...]
    drafts: int
    failed_at: datetime | None
    failure: str
    places: tuple[Place, ...]
    loaded: LoadedModel | None
    shadow: ShadowSummary | None

    @property
    def is_alive(self) -> bool:
        """Whether a worker of it works."""
        return any(each.alive for each in self.places)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsView:
    """All models, the choice for new studies, and the stop that holds."""

    models: tuple[ModelLine, ...]
    reads_new: str
    choice: ModelChoice | None
    stop: DraftingStop | None


def models_view(store: Store, settings: Settings, situation: SystemStatus) -> ModelsView:
    """Return the models as they are now.

    Raises:
        StoreError: The database does not answer.
    """
    choice = store.model_choice()
    chosen = choice is not None and choice.model in settings.readings()
    reads_new = choice.model if choice is not None and chosen else settings.model_name
    return ModelsView(
        models=tuple(_lines(store, settings, situation, reads_new)),
        reads_new=reads_new,
        choice=choice,
        stop=situation.stop,
    )


def _lines(
    store: Store, settings: Settings, situation: SystemStatus, reads_new: str
) -> Iterator[ModelLine]:
    loaded, drafts, failures = (
        store.loaded_models(),
        store.drafts_made(_MONTH),
        store.last_failures(),
    )
    for name, table in _tables(settings).items():
        is_shadow = name in settings.shadows()
        role = shadow_role(name) if is_shadow else queue_of(settings, name)
        own = [each for each in loaded if each.role == role and each.model == name]
        figures = summary(store.shadow_readings(name, limit=READINGS)) if is_shadow else None
        failed_at, failure = failures.get(name) or (None, "")
        yield ModelLine(
            name=name,
            version=table.model_version,
            kind=table.kind,
            is_shadow=is_shadow,
            reads_new=name == reads_new,
            callers=tuple(
                each.ae_title for each in settings.receiver.callers if each.model == name
            ),
            drafts=figures.drafted if figures else drafts.get(name, 0),
            failed_at=failed_at,
            failure=failure,
            places=tuple(_places(situation, role, own)),
            loaded=max(own, key=lambda each: each.loaded_at, default=None),
            shadow=figures,
        )


def _tables(settings: Settings) -> Mapping[str, Reading]:
    return {**settings.readings(), **settings.shadows()}


def _places(situation: SystemStatus, role: str, loaded: list[LoadedModel]) -> Iterator[Place]:
    by_host = {each.host: each for each in loaded}
    for process in situation.processes:
        if process.role == role:
            yield Place(
                host=process.host,
                pid=process.pid,
                since=process.started_at,
                alive=situation.alive(process),
                report=process.text,
                loaded=by_host.get(process.host),
            )


def as_json(view: ModelsView) -> dict[str, Any]:
    """Return the view as JSON types."""
    return {
        "reads_new": view.reads_new,
        "choice": plain(asdict(view.choice)) if view.choice else None,
        "drafting": _stop_json(view.stop),
        "models": [_line_json(each) for each in view.models],
    }


def _stop_json(stop: DraftingStop | None) -> dict[str, Any]:
    if stop is None:
        return {"stopped": False}
    return {
        "stopped": True,
        "by": stop.stopped_by,
        "reason": stop.reason,
        "since": stop.stopped_at.isoformat(),
    }


def _line_json(line: ModelLine) -> dict[str, Any]:
    values: dict[str, Any] = plain(asdict(line))
    return {**values, "alive": line.is_alive}
