"""The keys of the table `[hl7]` of the settings."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import Field
from pydantic.functional_validators import AfterValidator

from service.final_reports.oru import DEFAULT_ACCESSION, FIELD
from service.settings.keys.base import Addresses, Host, Port, Section, tls_pair
from service.settings.keys.tls_files import ServerCertificate, ServerKey
from service.settings.rules import Rule

_LARGEST: Final = 64 * 2**20


def _fields(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        if not re.fullmatch(FIELD, each):
            raise ValueError(f"{each[:20]!r} is no field of HL7: write OBR-18 or OBR-3.1")
    return value


class Hl7(Section):
    """The MLLP listener: final reports as HL7 v2 ORU^R01."""

    host: Host = Field(
        "127.0.0.1", description="Interface to listen on; another one should have TLS."
    )
    port: Port | None = Field(
        None, description="Port to listen on; 0 takes a free one; absent: no HL7 listener."
    )
    peers: Addresses = Field(
        ("127.0.0.1", "::1"),
        description="IP addresses or networks that may connect; all others are disconnected.",
    )
    tls_certificate: ServerCertificate = None
    tls_key: ServerKey = None
    tls_client_ca: Path | None = Field(
        None,
        description="PEM file of the authorities that must have issued the certificates of peers; "
        "absent: no client certificate is required.",
    )
    accession_fields: Annotated[tuple[str, ...], AfterValidator(_fields)] = Field(
        DEFAULT_ACCESSION,
        min_length=1,
        description="Fields in which the accession number is searched; the first that is not empty "
        "holds it.",
    )
    max_connections: int = Field(
        16, ge=1, le=1000, description="Connections at the same time; one more is closed."
    )
    max_message_bytes: int = Field(
        4 * 2**20,
        ge=2**10,
        le=_LARGEST,
        description="A longer message is answered AR, and its connection closed.",
    )
    message_seconds: float = Field(
        30.0,
        gt=0,
        description="Time for one message from its first to its last byte, and for its answer.",
    )
    idle_seconds: float = Field(
        3600.0, gt=0, description="A connection without a message for this time is closed."
    )

    rules: ClassVar[tuple[Rule, ...]] = (tls_pair,)
