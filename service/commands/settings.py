"""`wetread settings`."""

import click
from rich.console import Console
from rich.table import Column, Table

from service.errors import ConfigurationError
from service.settings.advice import advice
from service.settings.config import config_path, load_settings
from service.settings.profile_faults import profile_faults
from service.settings.reference import as_markdown, in_force


@click.command()
@click.option(
    "--markdown", is_flag=True, help="Print the reference of docs/configuration.md instead."
)
def settings(*, markdown: bool) -> None:
    """Print every setting with the value in force; secrets are not shown.

    Exit status 1 if a profile that the settings name cannot be used.
    """
    if markdown:
        click.echo(as_markdown(), nl=False)
        return
    in_use = load_settings()
    columns = (Column(each, overflow="fold") for each in ("setting", "value"))
    table = Table(*columns, title=str(config_path() or "no wetread.toml; defaults"))
    for name, value in in_force(in_use):
        table.add_row(name, value)
    Console().print(table)
    for sentence in advice(in_use):
        click.echo(f"warning: {sentence}")
    if faults := tuple(profile_faults(in_use)):
        raise ConfigurationError("\n".join(faults))
