"""`wetread check`: is everything in place? A line a check, and exit status 1 with the fault's name."""

import sys
from collections.abc import Iterator
from functools import partial

import click

from service.checks.broker import broker
from service.checks.check import Check, Outcome, results
from service.checks.database import database
from service.checks.destinations import destination_checks
from service.checks.model import model_checks
from service.checks.pictures import pictures
from service.checks.storage import spool
from service.config import Settings, load_settings


@click.command()
@click.option("--no-model", is_flag=True, help="Leave out loading the model (on a front machine).")
def check(*, no_model: bool) -> None:
    """Check configuration, database, broker, spool, model and destinations."""
    settings = load_settings()
    faults = []
    for result in results(_checks(settings, with_models=not no_model)):
        click.echo(result.line())
        if result.is_fault:
            faults.append(result.what)
    if faults:
        click.echo(f"wetread check: failed: {', '.join(faults)}", err=True)
        sys.exit(1)


def _checks(settings: Settings, *, with_models: bool) -> Iterator[Check]:
    """Yield every check; those that take seconds come last."""
    yield Check("configuration", lambda: Outcome("valid"))
    yield Check("database", partial(database, settings))
    yield Check("broker", partial(broker, settings))
    yield Check("spool", partial(spool, settings))
    yield Check("pictures", pictures)
    yield from destination_checks(settings)
    if with_models:
        yield from model_checks(settings)
