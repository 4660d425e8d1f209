"""The keys of the table `[[reconcile]]` of the settings: an archive and how it is compared."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from service.settings.keys.base import AETitle, Section
from service.settings.keys.destinations import (
    DimseDestination,
    OrthancDestination,
    StowDestination,
    kind_of,
)
from service.settings.rules import Conflict, Rule, conflict

Archive = Annotated[
    Annotated[OrthancDestination, Tag("orthanc")]
    | Annotated[DimseDestination, Tag("dimse")]
    | Annotated[StowDestination, Tag("stow")],
    Discriminator(kind_of),
]


def _one_connection(table: "Reconcile") -> Iterator[Conflict]:
    if (table.destination is None) == (table.archive is None):
        message = "give either `destination` (a name) or `archive` (a table)"
        yield conflict("destination", message, "archive")


class Reconcile(Section):
    """An archive whose Studies (by default those with CR or DX Series) must all be received here."""

    destination: str | None = Field(
        None, description="Name of the destination whose connection is used; not of kind `folder`."
    )
    archive: Archive | None = Field(
        None,
        description="Connection to an archive that is no destination: keys as in `[[destinations]]`.",
    )
    calling_ae: AETitle = Field(
        description="Fetched images count as sent by this one of `receiver.callers`."
    )
    modalities: tuple[str, ...] = Field(
        ("CR", "DX"), min_length=1, description="Modality of the Series that are compared."
    )
    hours: float = Field(
        24.0, gt=0, le=87_600, description="How far back studies are compared, in hours."
    )
    every_seconds: float = Field(
        60.0, gt=0, description="Seconds between two comparisons of `wetread reconcile --watch`."
    )
    after_seconds: float = Field(
        60.0,
        ge=0,
        description="An instance counts as missing when it was absent this long, because it may "
        "still arrive.",
    )
    fetch: bool = Field(False, description="Fetch the missing images, too.")
    retrieval: Literal["get", "move"] = Field(
        "get",
        description="Kind `dimse`: fetch by C-GET, or by C-MOVE to our own AE title and port.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (_one_connection,)

    @property
    def name(self) -> str:
        """The name of the archive in pages, incidents and metrics."""
        return self.destination or (self.archive.name if self.archive else "")
