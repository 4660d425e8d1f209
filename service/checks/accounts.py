"""Checks who can log in: accounts, the OpenID provider, the rights of secrets, and the audit trail."""

import stat
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from service.accounts import Account, Role
from service.audit import first_fault
from service.checks.check import Check, Grade, Outcome
from service.checks.first_start import unless_first_start
from service.database.schema import sqlite_file
from service.settings.config import Settings, config_path
from service.store import Store
from service.store.audit.trail import AuditFilter

# Seconds until a provider counts as unavailable, and how many of the newest audit records are checked.
_PROVIDER_SECONDS: Final = 10.0
_NEWEST: Final = 50_000
_MISSING: Final = "none: the database does not exist yet"


def account_checks(settings: Settings) -> Iterator[Check]:
    """Yield the checks of accounts, the provider if there is one, secrets and the audit trail."""
    yield Check("accounts", partial(accounts, settings))
    if settings.oidc.issuer:
        yield Check("OpenID provider", partial(provider, settings))
    yield Check("secrets", partial(secrets, settings))
    yield Check("audit trail", partial(audit_trail, settings))


def accounts(settings: Settings) -> Outcome:
    """Check that at least one account can log in, and that one of them is an admin.

    Raises:
        StoreError: The database cannot be reached, or is at another revision.
    """
    return unless_first_start(settings, lambda: _accounts(settings), _MISSING)


def _accounts(settings: Settings) -> Outcome:
    with closing(Store.open(settings)) as store:
        found = store.accounts()
    in_force = [each for each in found if each.disabled_at is None]
    if settings.oidc.issuer:
        return _with_provider(settings, in_force)
    if not found:
        return Outcome(
            "none: no login is possible. `wetread up` prints a set-up link, or run `wetread user add "
            "NAME --role admin`",
            Grade.WARNING,
        )
    if not in_force:
        return Outcome(
            f"all {len(found)} are disabled: no login is possible. Run `wetread user enable NAME`",
            Grade.FAULT,
        )
    if not _admins(in_force):
        return Outcome(
            f"none of the {len(in_force)} in force has the role admin: run `wetread user roles NAME "
            "--role admin`",
            Grade.FAULT,
        )
    return Outcome(f"{_summary(in_force)}; passwords only, no OpenID provider is set ([oidc])")


def _with_provider(settings: Settings, in_force: list[Account]) -> Outcome:
    if not settings.oidc.admin_groups and not _admins(in_force):
        return Outcome(
            "no account can have the role admin: set oidc.admin_groups, or run `wetread user add NAME "
            "--role admin --break-glass`",
            Grade.FAULT,
        )
    usable = [
        each
        for each in _admins(in_force)
        if each.has_password and (each.break_glass or settings.oidc.local_accounts)
    ]
    if not usable:
        return Outcome(
            "no admin can log in while the OpenID provider is unavailable: run `wetread user add NAME "
            "--role admin --break-glass`",
            Grade.WARNING,
        )
    return Outcome(f"{_summary(in_force)}; others come from the OpenID provider")


def _admins(found: list[Account]) -> list[Account]:
    return [each for each in found if Role.ADMIN in each.person.roles]


def _summary(in_force: list[Account]) -> str:
    counts = {role: sum(role in each.person.roles for each in in_force) for role in Role}
    roles = ", ".join(f"{count} {role}" for role, count in counts.items() if count)
    return f"{len(in_force)} in force ({roles})"


def provider(settings: Settings) -> Outcome:
    """Check that the OpenID provider answers and calls itself by the configured issuer."""
    issuer = (settings.oidc.issuer or "").rstrip("/")
    url = f"{issuer}/.well-known/openid-configuration"
    try:
        answer = httpx.get(url, timeout=_PROVIDER_SECONDS, follow_redirects=True)
        answer.raise_for_status()
        stated = str(answer.json()["issuer"])
    except httpx.HTTPStatusError as error:
        return _provider_fault(url, f"it answers {error.response.status_code}")
    except httpx.HTTPError as error:
        return _provider_fault(url, str(error) or type(error).__name__)
    except (ValueError, KeyError, TypeError):
        return _provider_fault(url, "the answer is not the metadata of an OpenID provider")
    if stated.rstrip("/") != issuer:
        return Outcome(
            f"{url} states the issuer {stated!a:.120}, oidc.issuer is {issuer}: every login is "
            "refused. Correct oidc.issuer",
            Grade.FAULT,
        )
    return Outcome(f"{issuer} answers")


def _provider_fault(url: str, reason: str) -> Outcome:
    return Outcome(
        f"no login by it is possible: {url}: {reason}. Check oidc.issuer, the network, and the "
        "certificate of the provider",
        Grade.FAULT,
    )


def secrets(settings: Settings) -> Outcome:
    """Check that other users of this machine can neither read nor change files that hold secrets.

    The settings file holds passwords and the key of the login's cookie (`oidc.client_secret`); an SQLite
    database holds the hashes of passwords, sessions and tokens.
    """
    modes = {path: path.stat().st_mode for path in _secret_files(settings) if path.exists()}
    open_to_all = {path: mode for path, mode in modes.items() if _is_reachable(path)}
    writable = [path for path, mode in open_to_all.items() if mode & stat.S_IWOTH]
    readable = [path for path, mode in open_to_all.items() if mode & stat.S_IROTH]
    if writable:
        return Outcome(_rights(writable, "can be changed by every user"), Grade.FAULT)
    if readable:
        return Outcome(_rights(readable, "can be read by every user"), Grade.WARNING)
    if settings.oidc.issuer and not settings.oidc.client_secret.get_secret_value():
        return Outcome(
            "oidc.client_secret is empty: the cookie of a login in progress is signed with a key that "
            "others can compute. Register Wetread as a confidential client, and set it",
            Grade.WARNING,
        )
    names = ", ".join(path.name for path in modes) or "no file"
    return Outcome(f"readable by their owner or group only: {names}")


def _secret_files(settings: Settings) -> Iterator[Path]:
    if (config := config_path()) is not None:
        yield config
    if (file := sqlite_file(settings.database_url)) is not None:
        yield file


def _is_reachable(path: Path) -> bool:
    """Return whether every user may enter all folders above a file."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in path.resolve().parents)


def _rights(paths: list[Path], fault: str) -> str:
    names = " ".join(str(each) for each in paths)
    return f"{names}: {fault} of this machine: chmod o-rwx {names}"


def audit_trail(settings: Settings) -> Outcome:
    """Check the chain of the newest records of the audit trail.

    Raises:
        StoreError: The database cannot be reached, or is at another revision.
    """
    return unless_first_start(settings, lambda: _audit_trail(settings), _MISSING)


def _audit_trail(settings: Settings) -> Outcome:
    with closing(Store.open(settings)) as store:
        newest = store.audit_records(AuditFilter(), limit=1)
        if not newest:
            return Outcome("no records")
        before = max(0, newest[0].id - _NEWEST)
        fault = first_fault(store.whole_audit(before), after=store.audit_record(before))
    if fault:
        return Outcome(
            f"broken: {fault}. Compare it with the syslog server or a backup (`wetread audit verify`)",
            Grade.FAULT,
        )
    count = newest[0].id - before
    return Outcome(f"{count} records follow each other, the newest is {newest[0].id}")
