"""`wetread user`: the accounts of people who use the pages."""

import json
import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Column, Table

from service.accounts import (
    Account,
    InvalidAccount,
    Role,
    added_detail,
    check_dicom_name,
    check_display_name,
    check_login,
    check_password,
    check_roles,
)
from service.audit import AuditAction
from service.commands.audited import event
from service.commands.opened import actor, open_store
from service.passwords import hash_password
from service.store import Store

_ROLE = click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([role.value for role in Role]),
    help="admin: operates the service; radiologist: decides on drafts; viewer: reads only. Repeatable.",
)


@click.group()
def user() -> None:
    """Add, list, disable and change the accounts of people.

    A password is asked for, or read as one line from standard input; it is never an argument, which
    other users of this machine could see.
    """


@user.command()
@click.argument("login")
@_ROLE
@click.option("--name", "display_name", default="", help="Name shown on pages.")
@click.option(
    "--dicom-name",
    default="",
    help="The name in verified reports: Family^Given^Middle^Prefix^Suffix; --name when absent.",
)
@click.option(
    "--break-glass",
    is_flag=True,
    help="For emergencies at a site with OpenID Connect: each login is an incident.",
)
def add(
    login: str, roles: tuple[str, ...], display_name: str, dicom_name: str, *, break_glass: bool
) -> None:
    """Add an account; ask for its password."""
    name = check_login(login)
    chosen = check_roles(roles)
    shown, in_dicom = check_display_name(display_name), check_dicom_name(dicom_name)
    password_hash = hash_password(check_password(_new_password(), name))
    with open_store() as store:
        if break_glass:
            _check_only_one(store, chosen)
        store.add_person(
            name,
            roles=chosen,
            password_hash=password_hash,
            actor=actor(),
            display_name=shown,
            dicom_name=in_dicom,
            break_glass=break_glass,
            audit=event(AuditAction.CHANGED_ACCOUNT, added_detail(name, chosen)),
        )
    click.echo(f"{name} added: {', '.join(sorted(chosen))}")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_accounts(*, as_json: bool) -> None:
    """List the accounts."""
    with open_store() as store:
        found = store.accounts()
    if as_json:
        click.echo(json.dumps([_summary(each) for each in found], indent=1))
        return
    none = "no accounts: `wetread user add NAME --role admin` makes the first"
    Console(markup=False).print(_table(found) if found else none)


@user.command()
@click.argument("login")
def password(login: str) -> None:
    """Set a new password; the sessions of the account end."""
    name = check_login(login)
    with open_store() as store:
        store.account_of(name)
        new = hash_password(check_password(_new_password(), name))
        audit = event(AuditAction.CHANGED_ACCOUNT, f"password of {name}")
        store.set_password_hash(name, new, audit)
    click.echo(f"{name}: password set, sessions ended")


@user.command()
@click.argument("login")
@_ROLE
def roles(login: str, roles: tuple[str, ...]) -> None:
    """Replace the roles of an account; its sessions end."""
    with open_store() as store:
        name, chosen = check_login(login), check_roles(roles)
        detail = f"{name}: {', '.join(sorted(chosen))}"
        changed = store.set_roles(name, chosen, event(AuditAction.CHANGED_ROLES, detail))
    click.echo(f"{changed.person.login}: {', '.join(sorted(changed.person.roles))}")


@user.command()
@click.argument("login")
def disable(login: str) -> None:
    """Refuse logins of an account from now on; its sessions end, its history stays."""
    with open_store() as store:
        name = check_login(login)
        store.disable_person(name, audit=event(AuditAction.CHANGED_ACCOUNT, f"disabled {name}"))
    click.echo(f"{login} disabled, sessions ended")


@user.command()
@click.argument("login")
def enable(login: str) -> None:
    """Allow logins of a disabled account again."""
    with open_store() as store:
        name = check_login(login)
        audit = event(AuditAction.CHANGED_ACCOUNT, f"enabled {name}")
        store.disable_person(name, disabled=False, audit=audit)
    click.echo(f"{login} enabled")


def _check_only_one(store: Store, roles: frozenset[Role]) -> None:
    """Raise InvalidAccount if an account for emergencies exists, or the new one is not an admin's."""
    others = [each for each in store.accounts() if each.break_glass and each.disabled_at is None]
    if others:
        raise InvalidAccount(
            f"{others[0].person.login} is the account for emergencies: disable it first"
        )
    if Role.ADMIN not in roles:
        raise InvalidAccount("the account for emergencies needs the role admin")


def _new_password() -> str:
    """Return a new password: typed twice at a terminal, else the first line of standard input.

    Raises:
        InvalidAccount: Standard input is empty.
    """
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    line = sys.stdin.readline()
    if not line:
        raise InvalidAccount("standard input is empty: give the password as one line")
    return line.rstrip("\r\n")


def _table(found: Sequence[Account]) -> Table:
    """Return the table of accounts; a value too long for its column is wrapped, never cut."""
    names = ("login", "state", "roles", "name", "kept", "made", "last login")
    table = Table(
        *(Column(name, overflow="fold") for name in names), box=None, padding=(0, 1, 0, 0)
    )
    for each in found:
        made, last = each.created_at.astimezone(), each.last_login_at
        table.add_row(
            each.person.login,
            each.state,
            ", ".join(sorted(each.person.roles)),
            each.person.display_name or "-",
            each.source,
            f"{made:%Y-%m-%d %H:%M}",
            f"{last.astimezone():%Y-%m-%d %H:%M}" if last else "-",
        )
    return table


def _summary(account: Account) -> dict[str, object]:
    person = account.person
    return {
        "id": person.id,
        "login": person.login,
        "display_name": person.display_name,
        "dicom_name": person.dicom_name,
        "roles": sorted(person.roles),
        "source": account.source,
        "state": account.state,
        "created_at": account.created_at.isoformat(timespec="seconds"),
        "created_by": account.created_by,
        "last_login_at": (
            account.last_login_at.isoformat(timespec="seconds") if account.last_login_at else None
        ),
    }
