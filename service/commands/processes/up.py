"""`wetread up`: runs all processes on one machine and restarts those that end."""

from contextlib import closing

import click

from service.all_in_one import AllInOne, parts, sole_owner
from service.checks.ports import ports_of_others
from service.commands.opened import actor
from service.errors import ConfigurationError
from service.first_account import setup_link
from service.log import configure_logging, get_logger
from service.settings.config import Settings, as_environment, load_settings
from service.store import Store
from service.system.signals import ignore_sighup, stop_event

log = get_logger(__name__)


@click.command()
def up() -> None:
    """Run receiver, workers, sweeper and web pages; restart a process that ends.

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
            _show_setup_link(settings)
            log.info(
                "up",
                receiver=f"{settings.receiver.ae_title}@{settings.receiver.host}:{settings.receiver.ports[0]}",
                destinations=[destination.name for destination in settings.destinations],
            )
            machine.run(until=stop)
        finally:
            machine.stop()


def _show_setup_link(settings: Settings) -> None:
    """Print a link that makes the first account, where there is none; it is not logged."""
    with closing(Store.open(settings)) as store:
        link = setup_link(store, settings, actor())
    if link:
        click.echo(
            "No account exists, so no login is possible. Within an hour this link makes the first "
            f"account, once:\n\n  {link}\n\nOr: wetread user add NAME --role admin"
        )
