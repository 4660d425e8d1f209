"""The keys of the table `[stow]` of the settings."""

from typing import ClassVar

from pydantic import Field

from service.settings.keys.base import Host, Port, Section, tls_pair
from service.settings.keys.tls_files import ServerCertificate, ServerKey
from service.settings.rules import Rule


class Stow(Section):
    """The STOW-RS endpoint (PS3.18 10.5), where senders authenticate by bearer tokens."""

    host: Host = Field(
        "127.0.0.1", description="Interface to listen on; another one should have TLS."
    )
    port: Port | None = Field(
        None, description="Port to listen on; 0 takes a free one; absent: no STOW-RS service."
    )
    tls_certificate: ServerCertificate = None
    tls_key: ServerKey = None
    max_requests: int = Field(
        64, ge=1, description="Requests at the same time; one more is answered 503."
    )
    max_request_bytes: int = Field(
        4 * 2**30,
        ge=2**20,
        description="A longer request is refused; its parts that were complete stay stored.",
    )
    max_parts: int = Field(1000, ge=1, description="Objects in one request.")

    rules: ClassVar[tuple[Rule, ...]] = (tls_pair,)
