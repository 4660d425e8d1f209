"""`wetread web`."""

import click

from service.log import configure_logging
from service.settings.config import load_settings
from service.system.signals import ignore_sighup
from service.web.app import serve


@click.command()
def web() -> None:
    """Run the web page, the JSON API, health and metrics."""
    ignore_sighup()
    settings = load_settings()
    configure_logging(settings.log, process="web")
    serve(settings)
