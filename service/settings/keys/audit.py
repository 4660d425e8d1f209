"""The keys of the table `[audit]` of the settings."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from service.settings.keys.base import Host, PeerPort, Seconds, Section, tls_pair
from service.settings.keys.tls_files import Authorities, ClientCertificate, ClientKey
from service.settings.rules import Conflict, Rule, conflict


def _tls_files_are_used(audit: "Audit") -> Iterator[Conflict]:
    if audit.syslog_tls:
        return
    for key in ("tls_ca", "tls_certificate"):
        if getattr(audit, key) is not None:
            yield conflict(key, "needs syslog_tls = true", "syslog_tls")


class Audit(Section):
    """The audit trail, and the syslog server that gets it as DICOM Audit Trail messages (PS3.15 A.5)."""

    syslog_host: Host | None = Field(
        None,
        description=(
            "Host name or address of the syslog server; absent: the audit trail is not exported."
        ),
    )
    syslog_port: PeerPort = Field(6514, description="Its TCP port.")
    syslog_tls: bool = Field(
        True, description="TLS (RFC 5425); off: plain TCP, for a server on a closed network."
    )
    syslog_timeout: Seconds = Field(
        10.0, description="Timeout of each exchange with it, in seconds."
    )
    tls_ca: Authorities = None
    tls_certificate: ClientCertificate = None
    tls_key: ClientKey = None

    rules: ClassVar[tuple[Rule, ...]] = (tls_pair, _tls_files_are_used)
