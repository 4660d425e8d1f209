"""Rules of the keys `server_...` and `allow_remote` of `[reading]`: a model behind a server."""

from collections.abc import Iterator
from typing import Final, Protocol

from service.settings.rules import Conflict, Rule, conflict
from service.settings.site_networks import is_outside

OPENAI: Final = "openai"
_NEEDED: Final = {
    "server_url": "the root of the server's API, such as http://10.0.0.5:8000/v1",
    "server_model": "the model's name on that server",
}
_KEYS: Final = (
    *_NEEDED,
    "server_reported_model",
    "server_api_key",
    "server_tls_ca",
    "server_indication",
    "allow_remote",
)


class Served(Protocol):
    """The keys that these rules compare."""

    kind: str
    server_url: str | None
    server_indication: bool
    allow_remote: bool


def leaves_site(key: str, url: str | None, what: str) -> Iterator[Conflict]:
    """Yield a conflict if the URL in a key names an address outside the site; `what` would go there."""
    if url is not None and is_outside(url):
        message = (
            f"names an address outside the loopback and private networks: {what} would leave the site. "
            "Name a server within it, or set allow_remote = true"
        )
        yield conflict(key, message, "allow_remote")


def _server_is_named(reading: Served) -> Iterator[Conflict]:
    if reading.kind != OPENAI:
        return
    for key, what in _NEEDED.items():
        if not getattr(reading, key):
            yield conflict(key, f"is needed for kind = {OPENAI!r}: {what}", "kind")


def _server_is_used(reading: Served) -> Iterator[Conflict]:
    if reading.kind == OPENAI:
        return
    for key in _KEYS:
        if getattr(reading, key):
            yield conflict(key, f"is for kind = {OPENAI!r} only: remove it", "kind")


def _server_is_within_site(reading: Served) -> Iterator[Conflict]:
    if not reading.allow_remote:
        yield from leaves_site("server_url", reading.server_url, "images")


def _indication_stays_within_site(reading: Served) -> Iterator[Conflict]:
    if reading.server_indication and reading.allow_remote:
        message = (
            "cannot be set with allow_remote: its free text may identify the patient; remove one"
        )
        yield conflict("server_indication", message, "allow_remote")


SERVER_RULES: Final[tuple[Rule, ...]] = (
    _server_is_named,
    _server_is_used,
    _server_is_within_site,
    _indication_stays_within_site,
)
