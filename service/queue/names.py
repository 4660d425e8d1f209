"""Names of the queues and of their tasks, without an import of Celery."""

from typing import Final

from service.records import ProcessRole
from service.settings.config import Settings

READ: Final = "wetread.read"
DELIVER: Final = "wetread.deliver"
ANSWER: Final = "wetread.answer"
READING: Final = ProcessRole.READING.value
DELIVERY: Final = ProcessRole.DELIVERY.value
SHADOW: Final = "shadow"


def reading_queues(settings: Settings) -> dict[str, str]:
    """Return the queue of each model, by the model's name; the model of `[reading]` has `READING`.

    A reading worker has one model and one queue, and uses the queue's name as its role in heartbeats.
    """
    return {name: queue_of(settings, name) for name in settings.readings()}


def queue_of(settings: Settings, model: str) -> str:
    """Return the queue of a model's jobs; no worker reads the queue of a model not configured."""
    return READING if model == settings.reading.model else f"{READING}.{model}"


def shadow_role(model: str) -> str:
    """Return the role of a shadow model's worker in heartbeats; it has no queue in the broker."""
    return f"{SHADOW}.{model}"
