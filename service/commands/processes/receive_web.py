"""`wetread receive-web`."""

import click

from service.log import configure_logging
from service.settings.config import load_settings
from service.stow.server import serve
from service.system.signals import ignore_sighup


@click.command("receive-web")
def receive_web() -> None:
    """Run the STOW-RS service: PACS that route by DICOMweb send here."""
    ignore_sighup()
    settings = load_settings()
    configure_logging(settings.log, process="receive-web")
    serve(settings)
