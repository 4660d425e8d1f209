"""Sends a message to a target by Apprise; the only module that imports it, when it is used.

Apprise reports why a message was not sent to its logger only. Of what it logs, warnings are taken: they
name the host at most, its debug lines also secrets of the URL.
"""

import logging
import threading
from typing import Final

from service.errors import WetreadError
from service.monitoring.alert_text import Message
from service.settings.keys.notify import SCHEMES, NotifyTarget, scheme_of

_LOGGER: Final = "apprise"
_LONGEST: Final = 200


class NotSent(WetreadError):
    """A message was not sent; the text says why, without a secret."""


def send(target: NotifyTarget, message: Message, timeout: float) -> None:
    """Send a message and return once the target's server has accepted it.

    Args:
        target: The target.
        message: The message.
        timeout: Seconds for connecting, and for each answer.

    Raises:
        NotSent: It was not accepted.
    """
    import apprise  # noqa: PLC0415 - heavy; only a process that sends needs it

    url = url_of(target)
    asset = apprise.AppriseAsset(app_id="Wetread", app_desc="Wetread", secure_logging=True)
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        raise NotSent("its url cannot be used: see docs/operations.md")
    service.socket_connect_timeout = service.socket_read_timeout = timeout
    collected = _Warnings()
    logger = logging.getLogger(_LOGGER)
    logger.addHandler(collected)
    was, logger.propagate = logger.propagate, False
    try:
        accepted = service.notify(
            title=message.title,
            body=message.body,
            notify_type=apprise.NotifyType.WARNING,
            body_format=apprise.NotifyFormat.TEXT,
        )
    finally:
        logger.removeHandler(collected)
        logger.propagate = was
    if not accepted:
        raise NotSent(collected.text or "it was not accepted")


def url_of(target: NotifyTarget) -> str:
    """Return the URL of a target.

    Raises:
        NotSent: Its file cannot be read, or holds no URL of a supported service.
    """
    if target.url is not None:
        return target.url.get_secret_value().strip()
    try:
        url = target.url_file.read_text().strip() if target.url_file else ""
    except (OSError, UnicodeDecodeError) as error:
        raise NotSent(f"{target.url_file}: cannot be read ({type(error).__name__})") from None
    if scheme_of(url) not in SCHEMES:
        raise NotSent(f"{target.url_file}: holds no url of a supported service")
    return url


class _Warnings(logging.Handler):
    """Collects warnings of this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._lines.append(record.getMessage())

    @property
    def text(self) -> str:
        """The warnings, as one line."""
        return " ".join(" ".join(self._lines).split())[:_LONGEST]
