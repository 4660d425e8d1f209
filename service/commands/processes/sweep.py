"""`wetread sweep`."""

import click

from service.log import configure_logging
from service.settings.config import load_settings
from service.sweeper.sweeper import serve
from service.system.signals import ignore_sighup


@click.command()
def sweep() -> None:
    """Run the sweeper: schedules complete studies, recovers lost jobs, removes old files."""
    ignore_sighup()
    settings = load_settings()
    configure_logging(settings.log, process="sweep")
    serve(settings)
