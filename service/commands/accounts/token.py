"""`wetread token`: the bearer tokens for HTTP requests."""

import json
from collections.abc import Sequence
from datetime import datetime

import click
from rich.console import Console
from rich.table import Column, Table

from service.audit import AuditAction
from service.commands.audited import event
from service.commands.opened import actor, open_store
from service.maintenance.issued_tokens import issue_token, unknown_calling_ae
from service.settings.config import load_settings
from service.tokens import Scope, Token, new_token


@click.group()
def token() -> None:
    """Add, list and revoke the bearer tokens of programs that use HTTP."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="stow: store images; read: the JSON API and metrics; metrics: only these; decisions:read: the "
    "decisions of radiologists; reports:write: send final reports; admin: what read allows, and to "
    "retry, cancel, urgent. Repeatable.",
)
@click.option("--expires", default="90d", show_default=True, help="12h, 90d, 8w or never.")
@click.option(
    "--ae-title", default="", help="Calling AE title of what it stores, one of receiver.callers."
)
def add(name: str, scopes: tuple[str, ...], expires: str, ae_title: str) -> None:
    """Make a token and print it once: it cannot be shown again."""
    wanted = new_token(name, scopes, expires=expires, ae_title=ae_title)
    with open_store() as store:
        value = issue_token(store, wanted, event(AuditAction.CHANGED_TOKEN))
    if warning := unknown_calling_ae(load_settings(), wanted.ae_title):
        click.echo(f"warning: {warning}", err=True)
    click.echo(value)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def list_tokens(*, as_json: bool) -> None:
    """List tokens, the newest first; their secret parts are not stored."""
    with open_store() as store:
        found, now = store.tokens(), store.now()
    if as_json:
        click.echo(json.dumps([_summary(each, now) for each in found], indent=1))
        return
    Console(markup=False).print(_table(found, now) if found else "no tokens")


def _table(found: Sequence[Token], now: datetime) -> Table:
    """Return the table of tokens; a value too long for its column is wrapped, never cut."""
    names = ("name", "state", "allows", "AE title", "made", "expires", "last used", "id")
    columns = (Column(name, overflow="fold") for name in names)
    table = Table(*columns, box=None, padding=(0, 1, 0, 0))
    for each in found:
        cells = {
            **_summary(each, now),
            "created_at": _local(each.created_at),
            "expires_at": _local(each.expires_at),
            "last_used_at": _local(each.last_used_at),
        }
        table.add_row(*(str(cell or "-") for cell in cells.values()))
    return table


def _local(at: datetime | None) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}" if at else ""


@token.command()
@click.argument("names", nargs=-1, required=True)
def revoke(names: tuple[str, ...]) -> None:
    """Revoke tokens, given by name or id."""
    with open_store() as store:
        for name in names:
            revoked = store.revoke_token(name, actor(), event(AuditAction.CHANGED_TOKEN))
            click.echo(f"{revoked.name} revoked")


def _summary(each: Token, now: datetime) -> dict[str, str | None]:
    return {
        "name": each.name,
        "state": each.state(now),
        "scopes": " ".join(sorted(each.scopes)),
        "ae_title": each.ae_title or None,
        "created_at": _time(each.created_at),
        "expires_at": _time(each.expires_at),
        "last_used_at": _time(each.last_used_at),
        "id": each.id,
    }


def _time(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
