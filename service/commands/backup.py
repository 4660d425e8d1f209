"""`wetread backup` and `wetread restore`."""

from pathlib import Path

import click

from service.errors import ConfigurationError
from service.maintenance.backup import SETTINGS, Backup
from service.maintenance.restore import damaged_files, read_backup
from service.maintenance.restore import restore as restored
from service.settings.config import config_path, load_settings

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--dump", type=_FILE, help="A copy of PostgreSQL that pg_dump has just made.")
def backup(folder: Path, dump: Path | None) -> None:
    """Copy database, images, results and settings to FOLDER, also while the service runs.

    Also copied: commitments that are due, the installation's device UID, and tokens (in the database).
    Not copied: models, TLS files, and Redis, which may be emptied at any time.
    """
    settings = load_settings()
    try:
        manifest = Backup(settings, folder).make(config_path(), dump)
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror}: {error.filename}") from None
    click.echo(f"{folder}: {manifest.files} files, {manifest.bytes / 2**20:.1f} MiB")


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option(
    "--check",
    is_flag=True,
    help="Only compare the backup's files with their digests; change nothing.",
)
def restore(folder: Path, *, check: bool) -> None:
    """Restore the backup in FOLDER to the empty data_dir and the empty database of the settings.

    The data folder may have another path than the copied one.
    """
    if check:
        _check(folder)
        return
    settings = load_settings()
    try:
        manifest = restored(settings, folder)
    except OSError as error:
        raise ConfigurationError(
            f"{settings.data_dir}: {error.strerror}; remove it, then restore again"
        ) from None
    click.echo(f"{settings.data_dir}: the state of {manifest.created_at}. Now: wetread check")
    ours, theirs = config_path(), folder / SETTINGS
    if theirs.is_file() and not (ours and ours.read_bytes() == theirs.read_bytes()):
        click.echo(f"The settings in force are not those of the backup: compare with {theirs}")


def _check(folder: Path) -> None:
    manifest, digests = read_backup(folder)
    damaged = list(damaged_files(folder, digests))
    for name in damaged:
        click.echo(f"damaged or missing: {name}", err=True)
    if damaged:
        raise ConfigurationError(f"{folder}: {len(damaged)} of {manifest.files} files are damaged")
    click.echo(f"{folder}: {manifest.files} files of {manifest.created_at} are intact")
