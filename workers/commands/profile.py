"""`wetread profile`: lists the shipped model profiles, prints one, or checks one of the site's own."""

from pathlib import Path

import click

from service.errors import PermanentReadingError
from workers.model.profiles.load import ProfileError, find_profile, load_profile, shipped_names


@click.command("profile")
@click.argument("name", required=False)
@click.option(
    "--check",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Check this file instead: every fault with its line and key.",
)
def profile(*, name: str | None, check: Path | None) -> None:
    """List the shipped model profiles; with NAME print one, to be copied and adapted."""
    if check is not None and name is not None:
        raise click.UsageError("give NAME or --check FILE, not both")
    try:
        if check is not None:
            click.echo(f"{check}: valid: {_summary(check)}")
        elif name is not None:
            click.echo(find_profile(name).read_text(encoding="utf-8"), nl=False)
        else:
            for one in shipped_names():
                click.echo(f"{one:<16} {_summary(find_profile(one))}")
    except ProfileError as error:
        raise PermanentReadingError(str(error)) from None


def _summary(path: Path) -> str:
    found = load_profile(path)
    real = "tried" if found.card.tried_with_real_weights else "not tried"
    lacks = f"; cannot: {', '.join(found.cannot)}" if found.cannot else ""
    return f"{found.name}, {real} with real weights{lacks}; license: {found.card.licence}"
