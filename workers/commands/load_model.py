"""`wetread load-model`: loads and tries a model; `wetread check` runs it in a process of its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from service.errors import ReadingError
from service.settings.advice import without_effect
from service.settings.config import Settings, load_settings
from workers.model.errors import ServerError
from workers.model.profiles.card import model_card
from workers.reading.reader import Reader
from workers.reading.self_test import memory_in_use, read_phantoms
from workers.reading.trial import trial


@click.command("load-model")
@click.option("--model", help="Name of a model of [[models]]; by default that of [reading].")
@click.option(
    "--card",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the model card of a model with a profile to this file, as Markdown.",
)
def load_model(*, model: str | None, card: Path | None) -> None:
    """Load a model, read synthetic images with it, and print one line for each step.

    A line that ends in "..." is a step that begins; one that begins with "warning:" is for the
    administrator. With a profile, lines that begin with "shown:" contain the image as sent, prompt,
    answer, sections, findings, time and memory.
    """
    site = load_settings()
    settings = site.for_model(model or site.reading.model)
    with _with_server_message():
        _load_and_read(settings, card)


@contextmanager
def _with_server_message() -> Iterator[None]:
    """Add a model server's own words to an error; it got a synthetic image, so they are no secret."""
    try:
        yield
    except ReadingError as error:
        detail = error.__cause__.detail if isinstance(error.__cause__, ServerError) else ""
        if not detail:
            raise
        raise type(error)(f"{error}; the server says: {detail}") from error


def _load_and_read(settings: Settings, card: Path | None) -> None:
    begun = time.monotonic()
    reader = Reader.from_settings(settings, progress=_say)
    _say(f"loaded in {time.monotonic() - begun:.1f} s: {_identity(reader)}")
    if card is not None:
        _write_card(reader, card)
    _say("reading a synthetic image ...")
    for line in trial(reader, settings.data_dir / "check" / f"{settings.model_name}.png"):
        _say(f"shown: {line}")
    begun = time.monotonic()
    found = read_phantoms(reader)
    _say(f"{found.sentence}, in {time.monotonic() - begun:.1f} s")
    for sentence in found.warnings:
        _say(f"warning: {sentence}")
    _warn(reader, settings)


def _write_card(reader: Reader, path: Path) -> None:
    if reader.profile is None:
        raise click.UsageError("--card: this model is built in; docs/models.md describes it")
    path.write_text(model_card(reader.profile, reader.checkpoint), encoding="utf-8")


def _say(line: str) -> None:
    click.echo(line)


def _warn(reader: Reader, settings: Settings) -> None:
    for sentence in without_effect(settings):
        _say(f"warning: {sentence}")
    if not reader.checkpoint.synthetic_only:
        return
    if settings.reading.demo_reads_patients:
        _say(
            "warning: demo_reads_patients is set: this model reads patients' images and writes "
            f"meaningless text. {reader.checkpoint.caveat}"
        )
    else:
        _say(
            "warning: no model for patients: this one reads synthetic images only, and a patient's "
            "study is not analyzed (docs/models.md says how to get one)"
        )


def _identity(reader: Reader) -> str:
    checkpoint, identity = reader.checkpoint, reader.identity
    return (
        f"{identity.name} {identity.version}, {checkpoint.dtype} on {checkpoint.device}, "
        f"memory {memory_in_use(checkpoint)}, weights sha256 {identity.weights_sha256 or 'not known'}"
    )
