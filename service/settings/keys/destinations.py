"""The keys of the table `[[destinations]]` of the settings, by its `kind`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import Discriminator, Field, SecretStr, Tag

from dicom.content.output_kind import NoticeForm, OutputKind
from service.settings.keys.base import (
    AETitle,
    BearerKey,
    Digest,
    Host,
    HttpRoot,
    PeerPort,
    Section,
    matching,
    tls_pair,
)
from service.settings.keys.tls_files import Authorities, ClientCertificate, ClientKey
from service.settings.rules import Conflict, Rule, conflict

Name = Annotated[
    str, matching(r"[A-Za-z0-9_-]{1,40}", "1 to 40 letters, digits, hyphens and underscores")
]

ObjectKind = Literal[
    "report", "findings", "images", "overlay", "report-page", "presentation-state", "report-pdf"
]
# The results that each word of `objects` selects; a notice that a Study was not read goes with reports.
_KINDS: Final[dict[str, frozenset[str]]] = {
    "report": frozenset(
        {OutputKind.DRAFT_REPORT, OutputKind.NOT_ANALYSED, OutputKind.VERIFIED_REPORT}
    ),
    "findings": frozenset({OutputKind.FINDINGS, OutputKind.FINDINGS_3D}),
    "images": frozenset({OutputKind.OVERLAY, OutputKind.REPORT_PAGE, OutputKind.NOT_ANALYSED_PAGE}),
    "overlay": frozenset({OutputKind.OVERLAY}),
    "report-page": frozenset({OutputKind.REPORT_PAGE, OutputKind.NOT_ANALYSED_PAGE}),
    "presentation-state": frozenset({OutputKind.PRESENTATION_STATE}),
    "report-pdf": frozenset({OutputKind.REPORT_PDF}),
}


ALL_OBJECTS: Final[tuple[ObjectKind, ...]] = get_args(ObjectKind)


def includes_kind(kinds: Sequence[ObjectKind], kind: str) -> bool:
    """Return whether a destination with `objects = kinds` receives results of this kind."""
    return any(kind in _KINDS[word] for word in kinds)


def notice_form(kinds: Sequence[ObjectKind] | None) -> NoticeForm | None:
    """Return the form of notices about drafts for a destination with these `objects`; None for none."""
    if kinds is None or includes_kind(kinds, OutputKind.DRAFT_REPORT):
        return NoticeForm.DOCUMENT
    if includes_kind(kinds, OutputKind.OVERLAY) or includes_kind(kinds, OutputKind.REPORT_PAGE):
        return NoticeForm.PAGE
    return None


class _Destination(Section):
    name: Name = Field(description="Its name in pages and events.")
    max_in_flight: int = Field(4, ge=1, description="Deliveries to it at the same time.")
    timeout: float = Field(
        30.0,
        gt=0,
        description="Timeout of a whole exchange in seconds; over HTTP one more second for each "
        "128 KiB.",
    )
    objects: tuple[ObjectKind, ...] | None = Field(
        None,
        min_length=1,
        description="Results that are sent to it: `report`, `findings`, `images` (or one of "
        "them: `overlay`, `report-page`), `presentation-state`, `report-pdf`; all "
        "of them when absent.",
    )
    not_analysed: bool = Field(
        False, description="Send a notice with the reason when a study was not read."
    )


class _TlsDestination(_Destination):
    """The TLS keys of every destination over a network."""

    tls_ca: Authorities = None
    tls_certificate: ClientCertificate = None
    tls_key: ClientKey = None
    tls_sha256: Digest | None = Field(
        None,
        description="SHA-256 of its certificate (DER): no other is accepted. Without `tls_ca` this "
        "alone decides, e.g. for a self-signed certificate.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (tls_pair,)


class _HttpDestination(_TlsDestination):
    """The keys of every destination over HTTP."""

    proxy: HttpRoot | None = Field(
        None,
        description="HTTP proxy to reach it by, e.g. http://proxy:3128; proxies that the environment "
        "names are not used.",
    )


class OrthancDestination(_HttpDestination):
    """An Orthanc, by its REST API."""

    kind: Literal["orthanc"] = Field(description="The kind of destination.")
    may_remove: bool = Field(
        False,
        description="Wetread may remove its own results there: superseded ones once the new ones are "
        "confirmed, withdrawn ones by `wetread recall`.",
    )
    url: HttpRoot = Field(description="Root of its REST API.")
    username: str = Field("", description="User name for basic authentication.")
    password: SecretStr = Field(SecretStr(""), description="Password for it.")


def _tls_is_used(dimse: "DimseDestination") -> Iterator[Conflict]:
    keys = ("tls_ca", "tls_certificate", "tls_sha256")
    given = [key for key in keys if getattr(dimse, key) is not None]
    if given and not dimse.tls:
        yield conflict("", "tls_ca, tls_certificate and tls_sha256 need tls = true", *given, "tls")


class DimseDestination(_TlsDestination):
    """Any PACS, by C-STORE."""

    kind: Literal["dimse"] = Field(description="The kind of destination.")
    host: Host = Field(description="Host name or address.")
    port: PeerPort = Field(description="DICOM port.")
    ae_title: AETitle = Field(description="Its AE title (called).")
    tls: bool = Field(False, description="Use DICOM over TLS (1.2 or later); see `tls_ca`.")
    verify: bool = Field(
        True,
        description="Read the result back by C-FIND before it counts as confirmed. Otherwise "
        "the status Success confirms it, and the page shows `acknowledged, not read "
        "back`.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (tls_pair, _tls_is_used)


class StowDestination(_HttpDestination):
    """Any archive, by DICOMweb STOW-RS; read back by WADO-RS."""

    kind: Literal["stow"] = Field(description="The kind of destination.")
    url: HttpRoot = Field(description="DICOMweb root, e.g. http://host:8042/dicom-web.")
    username: str = Field("", description="User name for basic authentication.")
    password: SecretStr = Field(SecretStr(""), description="Password for it.")
    token: BearerKey = Field(
        SecretStr(""), description="Bearer token, instead of user and password."
    )


class FolderDestination(_Destination):
    """A folder: one sub-folder a study, one file an object."""

    kind: Literal["folder"] = Field(description="The kind of destination.")
    path: Path = Field(description="The folder; created if missing.")
    json_sidecar: bool = Field(
        False, description="Also the draft as JSON, named as the draft report: `<its UID>.json`."
    )


def kind_of(given: Any) -> str | None:  # noqa: ANN401 - whatever the file holds
    """Return the `kind` of a destination's table, which selects its class; None if it is not text."""
    kind = given.get("kind") if isinstance(given, Mapping) else getattr(given, "kind", None)
    return kind if isinstance(kind, str) else None


Destination = Annotated[
    Annotated[OrthancDestination, Tag("orthanc")]
    | Annotated[DimseDestination, Tag("dimse")]
    | Annotated[StowDestination, Tag("stow")]
    | Annotated[FolderDestination, Tag("folder")],
    Discriminator(kind_of),
]


def address_of(destination: Destination) -> str:
    """Return where a destination is, for pages and commands; without user names and passwords."""
    match destination:
        case DimseDestination():
            tls = " with TLS" if destination.tls else ""
            return f"{destination.ae_title} at {destination.host}:{destination.port}{tls}"
        case FolderDestination():
            return str(destination.path)
        case _:
            return str(destination.url)
