"""The `wetread` command. A subcommand's module is imported only when it is used, for a fast start."""

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

import click

from dicom.errors import DicomError
from service.errors import ConfigurationError, WetreadError
from service.jobs import IllegalTransition
from service.settings.model_names import TABLES
from service.system.gc_tuning import exempt_all, imports_without_scans
from service.system.signals import end_quietly

# Name -> (module:command, help line). The list of commands must not import any of them.
_COMMANDS = {
    "audit": ("service.commands.audit:audit", "List, verify and export the audit trail."),
    "backup": (
        "service.commands.backup:backup",
        "Copy database, images, results and settings to a folder.",
    ),
    "check": ("service.commands.check:check", "Check the configuration and every part."),
    "commitment": (
        "service.commands.commitment:commitment",
        "List storage commitment reports; send given-up ones again.",
    ),
    "db": ("service.commands.database:db", "Upgrade the database schema, or show its revision."),
    "decisions": (
        "service.commands.quality.decisions:decisions",
        "Figures and export of radiologists' decisions.",
    ),
    "demo": ("service.commands.demo:demo", "Run the whole service here with synthetic images."),
    "destination": (
        "service.commands.destination:destination",
        "List, test, pause and resume destinations.",
    ),
    "drafting": (
        "service.commands.drafting:drafting",
        "Stop drafting for all studies, and start it again.",
    ),
    "echo": ("service.commands.echo:echo", "Send a C-ECHO to a DICOM peer."),
    "jobs": ("service.commands.jobs:jobs", "List, show, retry and cancel jobs."),
    "model": ("service.commands.models:model", "List models; choose the one for new studies."),
    "reader-study": (
        "service.commands.quality.reader_study:reader_study",
        "Blinded comparison of drafts and reference reports by radiologists.",
    ),
    "notify": (
        "service.commands.notify:notify",
        "List and acknowledge alerts; test the targets of messages.",
    ),
    "probe": ("service.commands.probe:probe", "List end-to-end checks; make one now."),
    "receive": ("service.commands.processes.receive:receive", "Run the storage SCP."),
    "receive-hl7": (
        "service.commands.processes.receive_hl7:receive_hl7",
        "Run the HL7 listener for final reports.",
    ),
    "receive-web": (
        "service.commands.processes.receive_web:receive_web",
        "Run the STOW-RS service.",
    ),
    "reconcile": (
        "service.commands.reconcile:reconcile",
        "List or fetch studies of an archive that are missing here.",
    ),
    "report": (
        "service.commands.quality.report:report",
        "Write documents for the quality department about a period.",
    ),
    "restore": ("service.commands.backup:restore", "Restore a site from a backup."),
    "openapi": (
        "service.commands.openapi:openapi",
        "Print the OpenAPI description of the JSON API.",
    ),
    "settings": ("service.commands.settings:settings", "Print every setting in force."),
    "spool": ("service.commands.spool:spool", "Compare spool and database."),
    "support-bundle": (
        "service.commands.support_bundle:support_bundle",
        "Write a ZIP file for the maintainers, without patient data.",
    ),
    "sweep": ("service.commands.processes.sweep:sweep", "Run the sweeper."),
    "token": ("service.commands.accounts.token:token", "Add, list and revoke bearer tokens."),
    "up": ("service.commands.processes.up:up", "Run all parts on this machine, supervised."),
    "user": (
        "service.commands.accounts.user:user",
        "Add, list, disable accounts; set passwords and roles.",
    ),
    "validate": ("service.commands.validate:validate", "Validate SR and SC files."),
    "web": ("service.commands.processes.web:web", "Run the pages, the API, health and metrics."),
}


@cache
def _commands() -> Mapping[str, tuple[str, str]]:
    tables = [point.load() for point in entry_points(group=TABLES)]
    return {name: line for table in [_COMMANDS, *tables] for name, line in table.items()}


class _LazyGroup(click.Group):
    """A group that imports a subcommand's module when the subcommand is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _commands():
            return None
        module, _, name = _commands()[cmd_name][0].partition(":")
        try:
            with imports_without_scans():
                command: click.Command = getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"`wetread {cmd_name}` needs {error.name}, which is not installed here: "
                "install the extra `worker` (the other processes run without it)"
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(_commands().items())])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wetread")
def wetread() -> None:
    """Drafts chest X-ray reports for a radiologist to verify.

    Settings come from wetread.toml in this folder (or the file that WETREAD_CONFIG names), each key
    overridable by environment. A draft is never a diagnosis.
    """


def main() -> None:
    """Run the command line; a known error gives one message and exit status 1."""
    # Files hold patients' data: other users get no access, and the group's access is kept.
    os.umask(os.umask(0o077) | 0o007)
    try:
        wetread(prog_name="wetread")
    except (WetreadError, DicomError, IllegalTransition) as error:
        _tell(error)
        sys.exit(1)
    except OSError as error:
        click.echo(f"wetread: {error.filename or 'system'}: {error.strerror or error}", err=True)
        sys.exit(1)
    finally:
        end_quietly()
        exempt_all()


def _tell(error: Exception) -> None:
    """Report the error that ends this process: as a log line if the log is JSON, else as text."""
    from service.log import get_logger, writes_json  # noqa: PLC0415 - not needed for a start

    if writes_json():
        get_logger(__name__).error("ended_by_error", error=type(error).__name__, reason=str(error))
    else:
        click.echo(f"wetread: {error}", err=True)


if __name__ == "__main__":
    main()
