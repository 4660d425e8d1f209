"""`wetread check`: checks the installation; one line per check, exit status 1 if one finds a fault."""

import sys
from itertools import chain

import click

from service.checks.check import results
from service.checks.model import model_checks
from service.checks.site import site_checks
from service.settings.config import load_settings


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
    checks = site_checks(settings)
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
