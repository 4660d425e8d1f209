"""What the page of models shows of the model that a worker has loaded."""

from service.records.models import ModelFacts
from service.settings.config import Settings
from workers.model.profiles.profile import Card
from workers.reading.reader import Reader


def facts_of(reader: Reader, settings: Settings) -> ModelFacts:
    """Return the facts of a loaded model, with the license and the trial that its profile states."""
    identity, checkpoint = reader.identity, reader.checkpoint
    return ModelFacts(
        kind=settings.reading.kind,
        version=identity.version,
        own_name=identity.name,
        device=checkpoint.device,
        dtype=checkpoint.dtype,
        weights_sha256=identity.weights_sha256,
        licence=identity.licence,
        intended_use=identity.intended_use,
        caveat=identity.caveat,
        tried=_tried(reader.profile.card) if reader.profile else "",
        cannot=identity.cannot,
    )


def _tried(card: Card) -> str:
    begun = "Tried with real weights" if card.tried_with_real_weights else "Untried"
    return f"{begun}: {card.tried}"
