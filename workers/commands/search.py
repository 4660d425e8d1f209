"""`wetread search`: studies by words or by an image; `wetread search rebuild`: the missing vectors."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from dicom.errors import DicomError
from dicom.selection.local_files import describe
from dicom.study import Study
from service.audit import AuditAction
from service.commands.audited import note
from service.commands.opened import open_store
from service.errors import ConfigurationError
from service.log import configure_logging
from service.search.described import CAUTION, findings_words, study_words
from service.search.query import TextQuery
from service.search.similar import FoundStudy, SearchResult, StudySearch
from service.search.words import similarity_words
from service.settings.config import Settings, load_settings
from service.store import Store
from workers.model.names import TOWER_MODEL

_REBUILD: Final = "rebuild"
_NO_VECTORS: Final = (
    "the model {name} gives no image vectors: only built-in models do (docs/models.md, Similar "
    "studies)"
)
_NOTHING: Final = 3


@click.command()
@click.argument("query", nargs=-1, required=True, metavar="TEXT|FILE|rebuild")
@click.option("--model", help="Name of a model of [[models]]; by default that of [reading].")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 100))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def search(query: tuple[str, ...], *, model: str | None, limit: int, as_json: bool) -> None:
    """Search the studies whose images are here.

    TEXT finds drafts and kept final reports that state its findings; with the text tower of LLaVA-Rad,
    images. FILE, a DICOM image, finds similar images by the vector of the site's model. `rebuild` makes
    the vectors that are missing and enters all texts again.

    Exit status: 0 if something was found or rebuilt, 3 if nothing was found. Results are of an
    unverified AI search, never a diagnosis.
    """
    site = load_settings()
    configure_logging(site.log, process="search")
    settings = site.for_model(model or site.reading.model)
    text = " ".join(query)
    with open_store() as store:
        if text == _REBUILD:
            _rebuild(store, settings)
            return
        file = _file(text)
        note(store, AuditAction.SEARCHED, detail=f"studies by {'an image' if file else 'text'}")
        result = (
            _by_image(store, settings, file, limit)
            if file
            else _by_text(store, settings, text, limit)
        )
    _print(result, as_json=as_json)
    sys.exit(0 if result.studies else _NOTHING)


def _file(text: str) -> Path | None:
    """Return the file of this name; None if there is none."""
    path = Path(text)
    try:
        return path if path.is_file() else None
    except OSError:  # too long for a name
        return None


def _by_text(store: Store, settings: Settings, text: str, limit: int) -> SearchResult:
    searching = StudySearch(store, settings)
    tower = _text_tower(settings)
    if tower is not None and tower.space in store.vector_spaces():
        return searching.similar_to_vector(tower.space, tower.vector(text), limit=limit)
    return searching.with_text(TextQuery.of(text), limit=limit)


def _text_tower(settings: Settings) -> Any:  # noqa: ANN401 - a TextTower, whose module loads torch
    """Return the text tower of the site's model; None if it has none."""
    if settings.reading.model != TOWER_MODEL:
        return None
    from workers.reading.text_tower import text_tower  # noqa: PLC0415 - loads torch

    return text_tower(settings)


def _by_image(store: Store, settings: Settings, file: Path, limit: int) -> SearchResult:
    from workers.reading.image_vector import vector_of_study  # noqa: PLC0415 - loads torch

    try:
        instance = describe(file)
    except DicomError as error:
        raise ConfigurationError(f"{file}: {error}") from None
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    found = vector_of_study(_model(settings), settings, study)
    return StudySearch(store, settings).similar_to_vector(found.space, found.values, limit=limit)


def _rebuild(store: Store, settings: Settings) -> None:
    from workers.reading.text_tower import export_text_tower  # noqa: PLC0415 - loads torch
    from workers.reading.vector_rebuild import VectorRebuild  # noqa: PLC0415 - likewise

    done = VectorRebuild(store, settings, _model(settings), _say).run()
    export_text_tower(settings)
    click.echo(
        f"{done.made} vectors made, {done.kept} were there, {done.removed} removed, "
        f"{done.unreadable} images could not be read; {done.texts} texts of final reports and "
        "all drafts entered."
    )


def _model(settings: Settings) -> Any:  # noqa: ANN401 - a Llava, whose module loads torch
    """Load and return the model of the settings.

    Raises:
        ConfigurationError: It gives no image vectors.
        ReadingError: It cannot be loaded.
    """
    from workers.reading.error_mapping import reading_errors  # noqa: PLC0415 - loads torch
    from workers.reading.model_loading import load_model  # noqa: PLC0415 - likewise

    if settings.reading.kind != "built-in":
        raise ConfigurationError(_NO_VECTORS.format(name=settings.model_name))
    with reading_errors():
        return load_model(settings)


def _print(result: SearchResult, *, as_json: bool) -> None:
    if as_json:
        studies = [_plain(each, result.compared) for each in result.studies]
        answer = {"caution": CAUTION, "compared": result.compared, "studies": studies}
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    click.echo(f"{CAUTION}.")
    if result.only_by_words:
        click.echo("No text states these findings; these texts share words only.")
    if not result.studies:
        click.echo(result.nothing.value if result.nothing else "Nothing was found.")
    for each in result.studies:
        click.echo("  ".join(_line(each, result.compared)))


def _line(found: FoundStudy, compared: int) -> Sequence[str]:
    near = found.neighbor
    close = f"{similarity_words(near, compared)} ({near.cosine:.3f})" if near else ""
    return list(filter(None, (found.study_uid, found.day, close, study_words(found))))


def _plain(found: FoundStudy, compared: int) -> dict[str, Any]:
    near = found.neighbor
    return {
        "study_instance_uid": found.study_uid,
        "date": found.day,
        "cosine": round(near.cosine, 6) if near else None,
        "similarity": similarity_words(near, compared) if near else None,
        "findings": findings_words(found),
        "decision": found.decision.request.verdict.value if found.decision else None,
    }


def _say(line: str) -> None:
    click.echo(line, err=True)
