"""`wetread worker`."""

import click

from service.log import configure_logging
from service.settings.config import load_settings
from service.system.signals import ignore_sighup
from workers.app import serve

_QUEUES = ("reading", "delivery")


def _split(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    queues = tuple(queue.strip() for queue in value.split(",") if queue.strip())
    unknown = set(queues) - set(_QUEUES)
    if unknown or not queues:
        raise click.BadParameter(f"choose from {', '.join(_QUEUES)}")
    return queues


@click.command()
@click.option(
    "--queues",
    default=",".join(_QUEUES),
    show_default=True,
    callback=_split,
    help="Queues to serve: reading (needs the model), delivery, or both.",
)
@click.option("--model", help="Name of a model of [[models]]; by default that of [reading].")
def worker(queues: tuple[str, ...], model: str | None) -> None:
    """Run a worker: reads studies, sends results."""
    ignore_sighup()
    settings = load_settings()
    configure_logging(
        settings.log, process=f"worker-{'-'.join([*queues, model] if model else queues)}"
    )
    serve(settings, queues, model)
