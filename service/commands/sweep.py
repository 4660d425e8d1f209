"""`wetread sweep`."""

import click

from service.config import load_settings
from service.log import configure_logging
from service.stopping import survive_hangup
from service.sweep import serve


@click.command()
def sweep() -> None:
    """Run the sweeper: completes quiet studies, takes back what a dead process held, tidies."""
    survive_hangup()
    settings = load_settings()
    configure_logging(settings.log, process="sweep")
    serve(settings)
