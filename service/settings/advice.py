"""Warnings about valid settings whose effect their author may not expect. Pure."""

from collections.abc import Iterator
from typing import Final

from service.settings.config import Settings
from service.settings.keys.reading import BUILT_IN, Model, Reading

_INSISTED: Final = (
    "demo_reads_patients is set for the model {}: a demonstration model, or one with random weights, "
    "reads patients' images here. Its text is meaningless."
)


def advice(settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each setting that has no effect or that must be noticed."""
    return (*cautions(settings), *without_effect(settings))


def cautions(settings: Settings) -> tuple[str, ...]:
    """Return the warnings about settings that every page must show.

    They depend on the settings only: the weights that a worker has loaded are not known here.
    """
    names = [name for name, each in settings.readings().items() if each.demo_reads_patients]
    return (_INSISTED.format(", ".join(names)),) if names else ()


def without_effect(settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each setting of a model that has no effect."""
    return tuple(
        f"{_table(each)}: {sentence}"
        for each in settings.readings().values()
        for sentence in _unused(each)
    )


def _table(reading: Reading) -> str:
    return f"models {reading.name}" if isinstance(reading, Model) else "reading"


def _unused(reading: Reading) -> Iterator[str]:
    if reading.kind != BUILT_IN:
        if reading.where == "on":
            yield f'where = "on" has no effect: a model of kind = "{reading.kind}" shows no regions'
        return
    if reading.where == "on" and reading.scores == "off":
        yield 'where = "on" has no effect while scores = "off": only findings with scores are outlined'
    if reading.where == "on" and reading.scores == "auto" and reading.model != "demo":
        yield (
            'where = "on" has no effect while scores = "auto": this model\'s scores have not been '
            'measured, so it is asked for none; set scores = "on"'
        )
    if reading.model == "tiny" and "on" in {reading.where, reading.scores}:
        yield "scores and where have no effect: random weights are asked for no scores"
    if reading.model == "demo" and reading.model_dir is not None:
        yield f"model_dir has no effect: the model {reading.model} is part of Wetread"
