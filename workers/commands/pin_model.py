"""`wetread pin-model`: records the digests of a checkpoint's files, so that no others are loaded."""

from pathlib import Path

import click

from service.errors import PermanentReadingError
from workers.model.errors import CheckpointError
from workers.model.files import snapshot


@click.command("pin-model")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def pin_model(*, folder: Path) -> None:
    """Write SHA256SUMS in FOLDER and print the setting that pins it."""
    absent = snapshot.absent(folder)
    if absent:
        # On stderr: the output is a line for the settings.
        click.echo(
            f"warning: {folder} has {' and '.join(absent)}: is it the folder of a model?", err=True
        )
    try:
        click.echo(f'model_sha256 = "{snapshot.pin(folder)}"')
    except CheckpointError as error:
        raise PermanentReadingError(str(error)) from None
