"""Internal parts of kombu's Redis transport that we use: its list names, its messages, its batches.

kombu keeps one Redis list for each priority and encodes a message as JSON with a base64 body. With a
version that was not tried, kombu itself counts the messages, they are sent one by one, and the ids of
waiting jobs are unknown: the sweeper then publishes unclaimed jobs again, which is harmless.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from celery import Celery
from kombu.messaging import Producer

from dicom.library import Library

LIBRARY: Final = Library(
    name="kombu",
    tested=("5.7.0",),
    consequence=(
        "the ids of jobs that wait in Redis are not read, so the sweeper may publish a job twice, and "
        "messages are sent one by one"
    ),
)

URGENT: Final = 0
ROUTINE: Final = 9
# Between the queue's name and a priority above 0: "reading", and "reading\x06\x169".
_SEPARATOR: Final = "\x06\x16"

TRANSPORT_OPTIONS: Final[dict[str, Any]] = {
    "priority_steps": [URGENT, ROUTINE],
    "queue_order_strategy": "priority",
    "sep": _SEPARATOR,
}


def lists_of(queue: str) -> tuple[str, ...]:
    """Return the names of a queue's Redis lists, the list of urgent jobs first."""
    return queue, f"{queue}{_SEPARATOR}{ROUTINE}"


def batch(producer: Producer) -> AbstractContextManager[Any]:
    """Return a context in which the messages of `producer` are sent together, if kombu was tried."""
    if LIBRARY.is_tested:
        return producer.batch()  # type: ignore[no-any-return]
    return nullcontext()


def count_by_kombu(app: Celery, queue: str) -> int:
    """Return the number of messages in `queue`, by public parts of kombu only.

    Raises:
        KombuError, OSError: Redis does not answer.
    """
    with app.connection_for_write() as connection:
        try:
            declared = connection.default_channel.queue_declare(queue, passive=True)
        except connection.channel_errors:
            return 0  # an empty queue does not exist in Redis
        return int(declared.message_count)


def job_ids(messages: Iterable[bytes]) -> Iterator[str]:
    """Yield the job ids of our messages; other messages are left out."""
    for message in messages:
        try:
            arguments, *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
            yield str(arguments[0])
        except (ValueError, KeyError, IndexError, TypeError, binascii.Error):
            continue  # the worker will refuse it
