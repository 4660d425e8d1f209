"""`wetread echo AE`: tests whether a DICOM peer answers a C-ECHO."""

import time

import click

from dicom.identifiers import check_ae_title
from dicom.scu.store_scu import echo as c_echo
from service.errors import ConfigurationError
from service.settings.config import Settings, load_settings
from service.settings.keys.destinations import DimseDestination


@click.command()
@click.argument("peer")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds.")
def echo(peer: str, timeout: float) -> None:
    """Send a C-ECHO to PEER: the name or AE title of a DICOM destination, or AE@HOST:PORT."""
    settings = load_settings()
    called, host, port = _address(settings, peer)
    begun = time.monotonic()
    c_echo(host, port, calling=settings.receiver.ae_title, called=called, timeout=timeout)
    click.echo(f"{called}@{host}:{port} answered in {1000 * (time.monotonic() - begun):.0f} ms")


def _address(settings: Settings, peer: str) -> tuple[str, str, int]:
    title, at, address = peer.partition("@")
    host, colon, port = address.rpartition(":")
    if at and colon and port.isdigit():
        # An IPv6 address stands in brackets before a port (RFC 3986 3.2.2).
        return check_ae_title(title), host.removeprefix("[").removesuffix("]"), int(port)
    known = [one for one in settings.destinations if isinstance(one, DimseDestination)]
    for destination in known:
        if peer in (destination.name, destination.ae_title):
            return destination.ae_title, destination.host, destination.port
    for other in settings.destinations:
        if peer == other.name:
            raise ConfigurationError(
                f"{peer} is of kind {other.kind}, which has no C-ECHO: `wetread check` asks it"
            )
    names = ", ".join(f"{one.name} ({one.ae_title})" for one in known) or "none"
    raise ConfigurationError(
        f"{peer}: neither AE@HOST:PORT nor a destination of kind dimse (configured: {names})"
    )
