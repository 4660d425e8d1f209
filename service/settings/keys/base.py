"""The base class of the settings' tables, and the types of their values with their checks."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import (
    AfterValidator,
    BeforeValidator,
    ModelWrapValidatorHandler,
)
from pydantic_core import PydanticCustomError

from dicom.errors import DicomError
from dicom.identifiers import check_ae_title
from service.settings.rules import (
    BETWEEN_KEYS,
    LENIENT,
    Conflict,
    Rule,
    conflict,
    lenient_table,
    lenient_value,
    own_conflicts,
)

_BEARER: Final = re.compile(r"[\x21-\x7e]*")
_ENDPOINT: Final = re.compile(r"/((chat/)?completions|responses)/*$", re.IGNORECASE)


def _ae_title(value: str) -> str:
    try:
        return check_ae_title(value)
    except DicomError:
        raise ValueError(
            f"{value[:40]!r} ({len(value)} characters) is not an AE title: it has 1 to 16 ASCII "
            "characters, no backslash and no control character (PS3.5 6.2)"
        ) from None


def _http_root(value: str) -> str:
    """Refuse a value that is no web address, or holds credentials: pages and logs show addresses."""
    try:
        parts = urlsplit(value)
        credentials = parts.username or parts.password
    except ValueError:
        raise ValueError("not a web address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    if credentials:
        raise ValueError("holds a user name or password; give them as `username` and `password`")
    return value


def matching(pattern: str, allowed: str) -> AfterValidator:
    """Return a validator that the whole text matches `pattern`; its message names what is `allowed`."""
    form = re.compile(pattern)

    def check(value: str) -> str:
        if not form.fullmatch(value):
            raise ValueError(f"allowed are {allowed}")
        return value

    return AfterValidator(check)


def _bearer(value: SecretStr) -> SecretStr:
    """Refuse characters that an HTTP header cannot hold, such as the line break at a file's end."""
    key = value.get_secret_value()
    if not _BEARER.fullmatch(key):
        cause = ""
        if _BEARER.fullmatch(key.strip()):
            cause = "; it begins or ends with a space or a line break: remove that"
        raise ValueError(f"allowed are ASCII characters without spaces and line breaks{cause}")
    return value


def _api_root(value: str) -> str:
    """Refuse the address of one endpoint of an OpenAI-compatible API in place of its root."""
    root = _ENDPOINT.sub("", value)
    if root != value:
        raise ValueError(f"is the address of one endpoint: give the root of the API, {root}")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            raise ValueError(
                f"{each!r} is no IP address (10.0.0.5) and no network (10.0.0.0/24)"
            ) from None
    return value


def _as_list(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def expanded(value: Any) -> Any:  # noqa: ANN401 - any setting
    """Return a path with `~` replaced by the home folder; other values unchanged."""
    if not isinstance(value, Path):
        return value
    try:
        return value.expanduser()
    except RuntimeError:
        raise ValueError(f"{value}: there is no such home folder") from None


def _redis_url(value: SecretStr) -> SecretStr:
    """Refuse any form but redis://[user:password@]host[:port][/number] or rediss://...

    The messages never repeat the value, which may hold a password.
    """
    try:
        parts = urlsplit(value.get_secret_value())
        _ = parts.port
    except ValueError:
        raise ValueError(f"the port is not a number from 0 to 65535; {_REDIS_FORM}") from None
    if parts.scheme not in {"redis", "rediss"}:
        raise ValueError(f"{parts.scheme[:20]!r} is not supported; {_REDIS_FORM}")
    if not parts.hostname:
        raise ValueError(f"names no host; {_REDIS_FORM}")
    if any(name.startswith("ssl_") for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError("holds a parameter ssl_...: use tls_ca, tls_certificate and tls_key")
    if not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError(f"the part after the host must be the database's number; {_REDIS_FORM}")
    return value


def _database_url(value: SecretStr) -> SecretStr:
    scheme = value.get_secret_value().partition("://")[0]
    if scheme not in _DATABASE_SCHEMES:
        raise ValueError(
            f"{scheme[:20]!r} is not supported; the URL begins with sqlite:// or postgresql+psycopg://"
        )
    return value


_REDIS_FORM = "the form is redis://:password@host:6379/0, or rediss:// for TLS"
_DATABASE_SCHEMES = ("sqlite", "postgresql+psycopg", "postgresql", "postgres")

RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]


def _none(value: object) -> object:
    """Return None for the text `none`: TOML and the environment have no null value."""
    return None if value == "none" else value


AETitle = Annotated[str, AfterValidator(_ae_title)]
# Sent in an HTTP header (RFC 9110 section 5.5); "" for none.
BearerKey = Annotated[SecretStr, AfterValidator(_bearer)]
HttpRoot = Annotated[str, AfterValidator(_http_root)]
ApiRoot = Annotated[HttpRoot, AfterValidator(_api_root)]
Port = Annotated[int, Field(ge=0, le=65535)]
PeerPort = Annotated[int, Field(ge=1, le=65535)]
Host = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Addresses = Annotated[tuple[str, ...], BeforeValidator(_as_list), AfterValidator(_networks)]
OptionalPort = Annotated[Port | None, BeforeValidator(_none)]
Seconds = Annotated[float, Field(ge=0)]
Priority = Literal["routine", "urgent"]
Digest = Annotated[str, matching(r"[0-9a-f]{64}", "64 characters of 0-9 and a-f (a SHA-256)")]


class Section(BaseModel):
    """One table of the settings; immutable, and an unknown key is an error.

    Attributes:
        rules: Functions that yield the conflicts between keys of this table and of the tables in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    rules: ClassVar[tuple[Rule, ...]] = ()

    _expand_home = field_validator("*")(expanded)

    @field_validator("*", mode="wrap")
    @classmethod
    def _unknown_where_wrong(
        cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> object:
        return lenient_value(value, handler) if info.context == LENIENT else handler(value)

    @model_validator(mode="wrap")
    @classmethod
    def _keys_agree(
        cls, given: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if info.context == LENIENT:
            return handler(lenient_table(cls, given))
        table = handler(given)
        for found in own_conflicts(table):
            message = ".".join((*map(str, found.subject), found.message))
            raise PydanticCustomError(BETWEEN_KEYS, "{message}", {"message": message})
        return table


def is_in_networks(address: str, networks: Sequence[str]) -> bool:
    """Return whether an IP address is one of these addresses or in one of these networks.

    An IPv4-mapped IPv6 address counts as IPv4; a zone identifier (`%eth0`) is ignored.
    """
    peer = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
        peer = peer.ipv4_mapped
    return any(peer in ipaddress.ip_network(each) for each in networks)


def tls_pair(table: Any) -> Iterator[Conflict]:  # noqa: ANN401 - any table with the two keys
    """Yield a conflict if only one of certificate and private key is given."""
    if (table.tls_certificate is None) != (table.tls_key is None):
        missing = "tls_certificate" if table.tls_certificate is None else "tls_key"
        message = f"tls_certificate and tls_key belong together; {missing} is missing"
        yield conflict("", message, "tls_certificate", "tls_key")
