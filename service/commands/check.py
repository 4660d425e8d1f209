"""`wetread check`: checks the installation; one line per check, exit status 1 if one finds a fault."""

import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain

import click

from service.checks.accounts import account_checks
from service.checks.archives import archive_checks
from service.checks.broker import broker
from service.checks.check import Check, Grade, Outcome, results
from service.checks.database import database
from service.checks.destinations import destination_checks
from service.checks.installation import fonts, library_checks, time_zone
from service.checks.model import model_checks
from service.checks.ports import port_checks
from service.checks.profiles import profile_checks
from service.checks.storage import storage_checks
from service.checks.tls_files import tls_file_checks
from service.checks.tokens import tokens
from service.settings.advice import advice
from service.settings.config import Settings, load_settings


@click.command()
@click.option(
    "--no-model", is_flag=True, help="Do not load the models (on a machine without workers)."
)
@click.option(
    "--model-seconds",
    default=900.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Time limit for loading one model and reading a synthetic image.",
)
def check(*, no_model: bool, model_seconds: float) -> None:
    """Check settings, folders, database, accounts, broker, ports, TLS files, destinations and models.

    Prints one line per check: ok, note (missing; the first start will create it), warning or FAULT. The
    exit status is 1 if there is a FAULT. Each model is loaded and reads a synthetic image.
    """
    settings = load_settings()
    faults = []
    checks = _checks(settings)
    if not no_model:
        checks = chain(checks, model_checks(settings, _progress, model_seconds))
    for result in results(checks):
        click.echo(result.line())
        if result.is_fault:
            faults.append(result.what)
    if faults:
        click.echo(f"wetread check: failed: {', '.join(faults)}", err=True)
        sys.exit(1)


def _progress(line: str) -> None:
    click.echo(f"{'...':<8} {line}")


def _checks(settings: Settings) -> Iterator[Check]:
    """Yield every check except those of the models."""
    yield Check("configuration", lambda: Outcome("valid"))
    for number, sentence in enumerate(advice(settings), start=1):
        yield Check(f"setting {number}", partial(Outcome, sentence, Grade.WARNING))
    yield from profile_checks(settings)
    yield Check("time zone", time_zone)
    yield from library_checks()
    yield from storage_checks(settings)
    yield Check("database", partial(database, settings))
    yield from account_checks(settings)
    yield Check("tokens", partial(tokens, settings))
    yield Check("broker", partial(broker, settings))
    yield from port_checks(settings)
    yield from tls_file_checks(settings)
    yield Check("fonts", fonts)
    yield from destination_checks(settings)
    yield from archive_checks(settings)
