"""Models in use: stops of drafting, the choice for new studies, what the workers have loaded."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftingStop:
    """A person has stopped drafting; no study is read until a person starts it again."""

    id: int
    stopped_at: datetime
    stopped_by: str
    reason: str

    @property
    def sentence(self) -> str:
        """Who stopped drafting and why, as a sentence."""
        return f"Drafting was stopped by {self.stopped_by}: {self.reason.rstrip('.')}."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A person's choice of the model that reads new studies."""

    at: datetime
    chosen_by: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a worker knows of the model that it has loaded.

    Attributes:
        kind: As in the settings: built-in, transformers, openai.
        version: As in the settings.
        own_name: The name in its drafts.
        weights_sha256: Of its weights; "" of a model behind a server.
        tried: Whether it was tried with real weights, in words; "" if not stated.
    """

    kind: str
    version: str
    own_name: str
    device: str
    dtype: str
    weights_sha256: str
    licence: str = ""
    intended_use: str = ""
    caveat: str = ""
    tried: str = ""
    cannot: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the facts that `to_json` of this or another version wrote."""
        blank = {each.name: "" for each in fields(cls)}
        known = {name: value for name, value in data.items() if name in blank}
        return cls(**(blank | known | {"cannot": tuple(data.get("cannot", ()))}))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """The model that a reading worker loaded, and since when."""

    role: str
    host: str
    model: str
    loaded_at: datetime
    facts: ModelFacts
