"""`wetread receive`."""

import click

from service.log import configure_logging, get_logger
from service.receiver.receiver import serve
from service.settings.config import Settings, load_settings
from service.system.signals import ignore_sighup, stop_event
from service.system.supervisor import Part, PartExit, Supervisor, wetread_command

log = get_logger(__name__)


@click.command()
@click.option("--process", "number", type=int, hidden=True)
def receive(number: int | None) -> None:
    """Run the storage SCP: modalities and PACS send here."""
    ignore_sighup()
    settings = load_settings()
    configure_logging(settings.log, process="receive")
    if number is None and settings.receiver.processes > 1:
        _run_processes(settings)
    else:
        serve(settings, number=number or 1)


def _run_processes(settings: Settings) -> None:
    """Run `receiver.processes` receivers on one port until SIGTERM or SIGINT; restart those that end."""
    parts = [
        Part(
            name=f"receive-{number}",
            command=wetread_command("receive", "--process", str(number)),
        )
        for number in range(1, settings.receiver.processes + 1)
    ]
    # A receiver ends its associations within stop_seconds; the supervisor must not kill it before.
    limit = settings.receiver.stop_seconds + 5
    Supervisor(parts, on_exit=_note, stop_seconds=limit).run(stop_event())


def _note(ended: PartExit) -> None:
    log.error(
        "receiver_not_started" if ended.not_started else "receiver_died",
        part=ended.part.name,
        ended_by=ended.ended_by,
        reason=ended.not_started,
        again_in=ended.wait,
    )
