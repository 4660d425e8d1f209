"""`wetread receive-hl7`."""

import click

from service.hl7.server import serve
from service.log import configure_logging
from service.settings.config import load_settings
from service.system.signals import ignore_sighup


@click.command("receive-hl7")
def receive_hl7() -> None:
    """Run the HL7 listener: the reporting system sends final reports here (ORU^R01 by MLLP)."""
    ignore_sighup()
    settings = load_settings()
    configure_logging(settings.log, process="receive-hl7")
    serve(settings)
