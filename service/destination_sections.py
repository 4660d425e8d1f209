"""What may stand in a table `[[destinations]]` of the settings, by its kind."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from service.section import AETitle, Host, HttpRoot, PeerPort, Section, matching

Name = Annotated[
    str, matching(r"[A-Za-z0-9_-]{1,40}", "1 to 40 letters, digits, hyphens and underscores")
]


class _Destination(Section):
    name: Name = Field(description="Its name in pages and events.")
    max_in_flight: int = Field(4, ge=1, description="Deliveries to it at the same time.")
    timeout: float = Field(30.0, gt=0, description="Seconds until an exchange counts as failed.")
    not_analysed: bool = Field(
        False, description="Send a notice when a study was not read, and why: silence is no result."
    )


class OrthancDestination(_Destination):
    """An Orthanc, by its REST API."""

    kind: Literal["orthanc"] = Field(description="Says which kind of destination this table is.")
    may_remove: bool = Field(
        False,
        description="It is ours: superseded results are removed from it once the new ones are "
        "confirmed, withdrawn ones by `wetread recall`.",
    )
    url: HttpRoot = Field(description="Root of its REST API.")
    username: str = Field("", description="User name for basic authentication.")
    password: SecretStr = Field(SecretStr(""), description="Password for it.")


class DimseDestination(_Destination):
    """Any PACS, by C-STORE."""

    kind: Literal["dimse"] = Field(description="Says which kind of destination this table is.")
    host: Host = Field(description="Host name or address.")
    port: PeerPort = Field(description="DICOM port.")
    ae_title: AETitle = Field(description="Its AE title (called).")
    verify: bool = Field(
        True, description="Read the result back by C-FIND before it counts as confirmed."
    )


class StowDestination(_Destination):
    """Any archive, by DICOMweb STOW-RS; read back by WADO-RS."""

    kind: Literal["stow"] = Field(description="Says which kind of destination this table is.")
    url: HttpRoot = Field(description="DICOMweb root, e.g. http://host:8042/dicom-web.")
    username: str = Field("", description="User name for basic authentication.")
    password: SecretStr = Field(SecretStr(""), description="Password for it.")
    token: SecretStr = Field(
        SecretStr(""), description="Bearer token, instead of user and password."
    )


class FolderDestination(_Destination):
    """A folder: one sub-folder a study, one file an object."""

    kind: Literal["folder"] = Field(description="Says which kind of destination this table is.")
    path: Path = Field(description="The folder; made when missing.")
    json_sidecar: bool = Field(
        False, description="Also the draft as JSON, named as the draft report: `<its UID>.json`."
    )


Destination = Annotated[
    OrthancDestination | DimseDestination | StowDestination | FolderDestination,
    Field(discriminator="kind"),
]
