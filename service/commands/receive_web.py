"""`wetread receive-web`."""

import click

from service.config import load_settings
from service.log import configure_logging
from service.stopping import survive_hangup
from service.web.stow_server import serve


@click.command("receive-web")
def receive_web() -> None:
    """Run the STOW-RS door: PACS that route by DICOMweb send here."""
    survive_hangup()
    settings = load_settings()
    configure_logging(settings.log, process="receive-web")
    serve(settings)
