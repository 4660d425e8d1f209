"""`wetread up`: runs all processes on one machine and restarts those that end."""

import click

from service.all_in_one import AllInOne, parts, sole_owner
from service.checks.ports import ports_of_others
from service.errors import ConfigurationError
from service.log import configure_logging, get_logger
from service.settings.config import as_environment, load_settings
from service.system.signals import ignore_sighup, stop_event

log = get_logger(__name__)


@click.command()
def up() -> None:
    """Run receiver, workers, sweeper and web page here; start again what dies.

    A private Redis is started when broker.url is not set; the database is brought up to date first.
    Ctrl-C stops everything in order.
    """
    ignore_sighup()
    settings = load_settings()
    configure_logging(settings.log, process="up")
    stop = stop_event()
    if taken := list(ports_of_others(settings)):
        # Not half a site: its workers would deliver beside those of the other one.
        raise ConfigurationError("\n".join(taken))
    with sole_owner(settings.run_dir):
        machine = AllInOne(settings, parts(settings, as_environment({})))
        try:
            machine.start()
            log.info(
                "up",
                receiver=f"{settings.receiver.ae_title}@{settings.receiver.host}:{settings.receiver.ports[0]}",
                destinations=[destination.name for destination in settings.destinations],
            )
            machine.run(until=stop)
        finally:
            machine.stop()
