"""The `wetread` command. Each subcommand is loaded only when it is asked for, so that all start fast."""

import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import click

from dicom.errors import DicomError
from service.errors import WetreadError

_COMMANDS = {
    "check": "service.commands.check:check",
    "db": "service.commands.database:db",
    "demo": "service.commands.demo:demo",
    "echo": "service.commands.echo:echo",
    "jobs": "service.commands.jobs:jobs",
    "receive": "service.commands.receive:receive",
    "settings": "service.commands.settings:settings",
    "sweep": "service.commands.sweep:sweep",
    "up": "service.commands.up:up",
    "validate": "service.commands.validate:validate",
    "web": "service.commands.web:web",
}
# The compute adds its commands (worker, read, ...) by entry points: service never imports workers.
_ENTRY_POINT_GROUP = "wetread.commands"


class _LazyGroup(click.Group):
    """A group that imports a subcommand's module when the subcommand is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted([*_COMMANDS, *(point.name for point in _worker_commands())])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name in _COMMANDS:
            module, _, name = _COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(import_module(module), name)
            return command
        for point in _worker_commands():
            if point.name == cmd_name:
                loaded: click.Command = point.load()
                return loaded
        return None


def _worker_commands() -> Any:  # noqa: ANN401 - EntryPoints; its stubs differ between Pythons
    return entry_points(group=_ENTRY_POINT_GROUP)


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wetread")
def wetread() -> None:
    """Drafts chest X-ray reports for a radiologist to verify.

    Settings come from wetread.toml in this folder (or the file that WETREAD_CONFIG names), each key
    overridable by environment. A draft is never a diagnosis.
    """


def main() -> None:
    """Run the command line; a known error becomes one message and exit status 1."""
    try:
        wetread(prog_name="wetread")
    except (WetreadError, DicomError) as error:
        click.echo(f"wetread: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
