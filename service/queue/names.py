"""What the queues and their tasks are called; no Celery is loaded to know it."""

from typing import Final

from service.settings.config import Settings

READ: Final = "wetread.read"
DELIVER: Final = "wetread.deliver"
READING: Final = "reading"
DELIVERY: Final = "delivery"


def reading_queues(settings: Settings) -> dict[str, str]:
    """Return the queue of each model's jobs, by the model's name; `READING` is that of `[reading]`.

    A reading worker has one model, reads one queue, and reports itself by that queue's name.
    """
    return {name: queue_of(settings, name) for name in settings.readings()}


def queue_of(settings: Settings, model: str) -> str:
    """Return the queue of a model's jobs; nobody reads that of a model that is not configured."""
    return READING if model == settings.reading.model else f"{READING}.{model}"
