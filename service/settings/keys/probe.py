"""The keys of the table `[probe]` of the settings."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from service.settings.keys.base import Addresses, AETitle, Host, PeerPort, Section, tls_pair
from service.settings.keys.tls_files import ClientKey
from service.settings.rules import Conflict, Rule, conflict


def _ends_before_the_next(probe: "Probe") -> Iterator[Conflict]:
    if probe.limit_minutes > probe.every_minutes:
        message = (
            f"is longer than every_minutes = {probe.every_minutes:g}: a check must end before the "
            "next one begins"
        )
        yield conflict("limit_minutes", message, "every_minutes")


class Probe(Section):
    """The end-to-end check: a synthetic study that goes through the whole service.

    It is off by default, because it stores result objects at destinations: the site chooses which.
    """

    enabled: bool = Field(
        False,
        description="Send a synthetic image to the receiver at regular intervals, and check its draft "
        "at the destinations.",
    )
    every_minutes: float = Field(60.0, ge=1, description="Minutes between two checks.")
    limit_minutes: float = Field(
        10.0, gt=0, description="A check that has not ended after this time has failed."
    )
    ae_title: AETitle = Field(
        "WETREADPROBE",
        description="Calling AE title of the check; it needs no entry in receiver.callers.",
    )
    address: Addresses = Field(
        ("127.0.0.1", "::1"),
        description="IP addresses or networks from which the receiver accepts this AE title: those of "
        "the machines that run the sweeper.",
    )
    host: Host | None = Field(
        None,
        description="Host of the receiver; absent: receiver.host, and this machine if that is every "
        "interface.",
    )
    port: PeerPort | None = Field(
        None, description="Port of the receiver; absent: receiver.port, else receiver.tls_port."
    )
    tls: bool | None = Field(
        None, description="Use DICOM TLS; absent: only if the receiver has no plain port."
    )
    tls_ca: Path | None = Field(
        None,
        description="PEM file of the authorities that the receiver's certificate must come from; "
        "absent: those of the system.",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file of the client certificate and its chain; absent: none is sent."
    )
    tls_key: ClientKey = None
    model: str | None = Field(
        None,
        description="The one of `[[models]]` that reads the image; absent: the model that reads new "
        "studies.",
    )
    destinations: tuple[str, ...] | None = Field(
        None,
        description="Names of the destinations that take part. Absent: those with `may_remove`, where "
        "nothing is left behind. At others the objects stay, marked as of a phantom.",
    )
    finding: Literal["pneumothorax", "pleural effusion", "cardiomegaly", "consolidation"] = Field(
        "pneumothorax",
        description="The finding in the synthetic image, which the draft must state.",
    )
    require_finding: bool = Field(
        True,
        description="Off: the draft need not state the finding, for a model that does not recognize it "
        "on synthetic images (`wetread load-model` says so).",
    )

    rules: ClassVar[tuple[Rule, ...]] = (tls_pair, _ends_before_the_next)

    @property
    def period(self) -> timedelta:
        """The time between two checks."""
        return timedelta(minutes=self.every_minutes)

    @property
    def limit(self) -> timedelta:
        """The time in which a check must end."""
        return timedelta(minutes=self.limit_minutes)
