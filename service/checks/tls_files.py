"""Checks that each TLS file exists, can be read by this user, can be used, and has not expired.

Every key `tls_*` of the settings that names a file is checked, so a new table needs no change here.
"""

import os
import re
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from service.checks.check import Check, Grade, Outcome
from service.checks.pem import Validity, validities
from service.settings.config import Settings

_CERTIFICATE: Final = "tls_certificate"
_KEY: Final = "tls_key"
_LARGEST: Final = 4 * 2**20
_SOON: Final = timedelta(days=30)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----")
_ENCRYPTED: Final = re.compile(r"BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED")
# OpenSSL's reasons for a key that does not belong to the certificate.
_OF_ANOTHER: Final = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
_DER: Final = "\x30"  # the first byte of a certificate or key that is not PEM


class _Unusable(Exception):
    """A file cannot be used; the message states why and what to do."""


def tls_file_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each TLS file that the settings name."""
    for where, table in _tables(settings, ""):
        for name in type(table).model_fields:
            path = getattr(table, name)
            if name.startswith("tls_") and isinstance(path, Path):
                yield Check(f"{where}{name}", partial(_outcome, table, name, f"{where}{name}"))


def tls_fault(settings: Settings, where: str) -> str:
    """Return the first fault of a TLS file whose setting begins with `where`, or ""."""
    for check in tls_file_checks(settings):
        if check.what.startswith(where) and (found := check.probe()).grade is Grade.FAULT:
            return f"{check.what}: {found.detail}"
    return ""


def _tables(table: BaseModel, where: str) -> Iterator[tuple[str, BaseModel]]:
    """Yield each table at any depth with the prefix of its keys, such as `receiver.`."""
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            yield f"{where}{name}.", value
            yield from _tables(value, f"{where}{name}.")
        for entry in value if isinstance(value, tuple) else ():
            if isinstance(entry, BaseModel):
                before = f'{where}{name} "{getattr(entry, "name", "")}", '
                yield before, entry
                yield from _tables(entry, before)


def _outcome(table: BaseModel, name: str, key: str) -> Outcome:
    path: Path = getattr(table, name)
    try:
        text = _text(path, key)
        if name == _KEY:
            return _private_key(path, text, getattr(table, _CERTIFICATE, None))
        if name == _CERTIFICATE:
            return _certificate(path, text)
        return _authorities(path, text)
    except _Unusable as unusable:
        return Outcome(str(unusable), Grade.FAULT)


def _text(path: Path, key: str) -> str:
    """Return the content of a file, decoded as Latin-1; 4 MiB of it at most.

    Raises:
        _Unusable: The file does not exist, is not a regular file, or cannot be read by this user.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _Unusable(f"{path} is not a file: set {key} to a PEM file")
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("latin-1")
    except FileNotFoundError:
        raise _Unusable(f"{path} does not exist: put the file there, or correct {key}") from None
    except PermissionError:
        raise _Unusable(
            f"{path} cannot be read by user {os.geteuid()}: allow the service's user to read it (owner "
            "and mode of the file and of each folder above it)"
        ) from None
    except OSError as error:
        raise _Unusable(
            f"{path} cannot be read ({error.strerror}): check its disk, or correct {key}"
        ) from None


def _certificate(path: Path, text: str) -> Outcome:
    own, *chain = _validities(path, text)
    found = _valid(path, own, "the certificate")
    if found.grade is not Grade.OK:
        return found
    for issuer in chain:
        of_issuer = _valid(path, issuer, "a certificate of the chain")
        if of_issuer.grade is Grade.FAULT:
            return Outcome(of_issuer.detail, Grade.WARNING)
    return found


def _authorities(path: Path, text: str) -> Outcome:
    """Judge the certificates of authorities: a warning if some have expired, a fault if all have."""
    every = _validities(path, text)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise _Unusable(_refused(path, error)) from None
    outcomes = [_valid(path, each, "the certificate of an authority") for each in every]
    faults = [each for each in outcomes if each.grade is Grade.FAULT]
    if len(faults) == len(every):
        return faults[0]
    if faults:
        return Outcome(faults[0].detail, Grade.WARNING)
    last = max(each.ends for each in every)
    return Outcome(f"{path}: {len(every)} authorities, valid until {last:%Y-%m-%d}")


def _validities(path: Path, text: str) -> list[Validity]:
    """Return the validity of each certificate in a file, at least one.

    Raises:
        _Unusable: The file holds no certificate, or a damaged one.
    """
    try:
        found = validities(text)
    except ValueError:
        raise _Unusable(f"{path} holds a damaged certificate: write the file again") from None
    if found:
        return found
    if _PRIVATE_KEY.search(text):
        reason = "holds a private key and no certificate: the files may be exchanged"
    elif text.startswith(_DER):
        reason = (
            "is not PEM but DER: convert it with `openssl x509 -inform der -in FILE -out FILE.pem`"
        )
    else:
        reason = "holds no certificate: it must be PEM (-----BEGIN CERTIFICATE-----)"
    raise _Unusable(f"{path} {reason}")


def _valid(path: Path, found: Validity, what: str) -> Outcome:
    """Judge whether a certificate is valid now; a warning if it expires within 30 days."""
    now = datetime.now(UTC)
    if found.ends < now:
        text = f"{what} in {path} expired on {found.ends:%Y-%m-%d}"
        return Outcome(f"{text}: get a new one and write it to this file", Grade.FAULT)
    if found.begins > now:
        text = (
            f"{what} in {path} is valid only from {found.begins.astimezone():%Y-%m-%d %H:%M %Z} on"
        )
        return Outcome(f"{text}: check this machine's clock, or get another one", Grade.FAULT)
    if found.ends < now + _SOON:
        text = f"{what} in {path} expires on {found.ends:%Y-%m-%d}"
        return Outcome(f"{text}: get a new one and write it to this file", Grade.WARNING)
    return Outcome(f"{path}: valid until {found.ends:%Y-%m-%d}")


def _private_key(path: Path, text: str, certificate: Path | None) -> Outcome:
    """Judge whether a private key can be used and belongs to the certificate.

    Raises:
        _Unusable: The key cannot be used or belongs to another certificate.
    """
    if not _PRIVATE_KEY.search(text):
        raise _Unusable(f"{path} {_no_key(text)}")
    if _ENCRYPTED.search(text):
        raise _Unusable(
            f"the key in {path} has a password: write it without one, e.g. with `openssl pkey -in FILE "
            "-out NEW`, readable for the service's user only"
        )
    if certificate is None:
        return Outcome(f"{path}: there is no certificate to compare it with")
    try:
        _validities(certificate, _text(certificate, _CERTIFICATE))
    except _Unusable:  # reported by the certificate's own check
        return Outcome(f"{path}: not compared with the certificate, which cannot be used")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, path)
    except ssl.SSLError as error:
        raise _Unusable(_pair_refused(path, certificate, error)) from None
    return Outcome(f"{path} belongs to {certificate}")


def _no_key(text: str) -> str:
    if "BEGIN CERTIFICATE" in text:
        return "holds a certificate and no private key: the files may be exchanged"
    if text.startswith(_DER):
        return (
            "is not PEM but DER: convert it with `openssl pkey -inform der -in FILE -out FILE.pem`"
        )
    return "holds no private key: it must be PEM (-----BEGIN PRIVATE KEY-----)"


def _pair_refused(path: Path, certificate: Path, error: ssl.SSLError) -> str:
    if error.reason in _OF_ANOTHER:
        return (
            f"the key in {path} does not belong to the certificate in {certificate}: set both to files "
            "of one pair (the certificate itself must be the first in its file)"
        )
    if error.reason in {None, "PEM_LIB", "BAD_DECODE", "UNSUPPORTED"}:
        return f"the key in {path} is damaged or of an unknown kind: write the file again"
    return _refused(path, error)


def _refused(path: Path, error: ssl.SSLError) -> str:
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    return f"{path} cannot be used: OpenSSL refuses it ({reason}). Make a new one"
