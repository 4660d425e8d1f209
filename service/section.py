"""What the tables of the settings have in common: their base, and values that are checked."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field
from pydantic.functional_validators import AfterValidator

from dicom.errors import DicomError
from dicom.identifiers import check_ae_title


def _ae_title(value: str) -> str:
    try:
        return check_ae_title(value)
    except DicomError as error:
        raise ValueError(str(error)) from None


def _http_root(value: str) -> str:
    """Refuse what is no web address, and credentials in it: addresses are shown in pages and logs."""
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


AETitle = Annotated[str, AfterValidator(_ae_title)]
HttpRoot = Annotated[str, AfterValidator(_http_root)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0)]
Priority = Literal["routine", "urgent"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """One table: what is not known in it is an error, and nothing changes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
