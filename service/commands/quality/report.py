"""`wetread report`: documents for the site's quality department, as drafts without patient data."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import click

from service.audit import AuditAction
from service.commands.audited import note
from service.commands.opened import open_store
from service.quality.document import DocumentKind
from service.quality.evaluation_folder import read_evaluation
from service.quality.files import write_documents
from service.quality.inputs import Change, Inputs
from service.quality.limits import read_limits
from service.quality.period import Period, QualityInputError
from service.settings.config import load_settings
from service.support.pseudonyms import Pseudonyms, installation_key

_T = TypeVar("_T")
_DAY: Final = click.DateTime(["%Y-%m-%d"])
_TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_CHANGE_NEEDS: Final = "--before, --after and --limits belong together: give all three"


@click.command()
@click.option("--from", "first", type=_DAY, required=True, help="First day, YYYY-MM-DD.")
@click.option("--to", "last", type=_DAY, required=True, help="Last day, included.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; files of an earlier call are replaced.",
)
@click.option(
    "--only",
    "kinds",
    multiple=True,
    type=click.Choice([each.value for each in DocumentKind]),
    help="Only this document; may be repeated.",
)
@click.option(
    "--evaluation",
    "evaluations",
    multiple=True,
    type=_FOLDER,
    help="Folder of `wetread evaluate`, for the model card of its model; may be repeated.",
)
@click.option("--before", type=_FOLDER, help="Folder of `wetread evaluate` before a change.")
@click.option("--after", type=_FOLDER, help="Folder of `wetread evaluate` after it.")
@click.option(
    "--limits",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of the limits that were set beforehand.",
)
@click.option(
    "--created",
    type=_TIME,
    help="Time of creation that the documents state; the end of the period if absent.",
)
@click.option(
    "--with-notes",
    is_flag=True,
    help="Include reasons and notes that people typed: check them for names first.",
)
def report(  # noqa: PLR0913 - one parameter an option
    *,
    first: datetime,
    last: datetime,
    out: Path,
    kinds: tuple[str, ...],
    evaluations: tuple[Path, ...],
    before: Path | None,
    after: Path | None,
    limits: Path | None,
    created: datetime | None,
    with_notes: bool,
) -> None:
    """Write documents about a period: model cards, change log, surveillance, audit log, SBOM, digests.

    Each is a draft for the site's own quality system, as one HTML file without script and as JSON. The
    same inputs give the same bytes. No file holds a patient attribute.
    """
    chosen = {DocumentKind(each) for each in kinds} or set(DocumentKind)
    if DocumentKind.CHANGE_EVALUATION in chosen and kinds and before is None:
        raise click.UsageError(_CHANGE_NEEDS)
    settings = load_settings()
    period = _read(lambda: Period(first.date(), last.date()))
    folders = _read(lambda: tuple(read_evaluation(path) for path in evaluations))
    change = _change(before, after, limits)
    with open_store() as store:
        note(store, AuditAction.EXPORTED, detail=f"quality documents {period.words}")
        inputs = Inputs(
            store=store,
            settings=settings,
            period=period,
            pseudonyms=Pseudonyms(installation_key(settings)),
            evaluations=folders,
            change=change,
            with_notes=with_notes,
            created=created.astimezone() if created else None,
        )
        written = _read(lambda: write_documents(inputs, out, chosen))
    for path in written:
        click.echo(path)
    click.echo("Drafts for the site's own quality system: a person checks and completes them.")


def _change(before: Path | None, after: Path | None, limits: Path | None) -> Change | None:
    if before is None and after is None and limits is None:
        return None
    if before is None or after is None or limits is None:
        raise click.UsageError(_CHANGE_NEEDS)
    return _read(
        lambda: Change(
            before=read_evaluation(before),
            after=read_evaluation(after),
            limits=read_limits(limits),
        )
    )


def _read(read: Callable[[], _T]) -> _T:
    """Return what `read` returns; an input that cannot be used ends the command with status 2."""
    try:
        return read()
    except QualityInputError as error:
        raise click.UsageError(str(error)) from error
