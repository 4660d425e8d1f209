"""Loads the model that the settings name, and derives how it decodes."""

import dataclasses
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

import numpy as np

from service.settings.config import Settings
from service.settings.keys.reading import BUILT_IN, MODELS_WITHOUT_FILES
from service.settings.server_rules import OPENAI
from service.settings.site_networks import permitted
from workers.model.checkpoints import registry
from workers.model.checkpoints.llava import Llava
from workers.model.engine.engine import Engine
from workers.model.errors import CheckpointError
from workers.model.files import snapshot
from workers.model.placement import Place, place
from workers.model.profiles.load import find_profile, load_profile, shipped_names
from workers.model.profiles.profile import Profile
from workers.model.profiles.reading_model import ReadingModel
from workers.model.prompts import Task
from workers.model.servers.chat_client import Server
from workers.model.servers.retrying import RetryPolicy
from workers.model.servers.served_model import ServedModel, recorded
from workers.model.vlm import Decoding
from workers.reading.content.finding_regions import QUESTIONS

_TINY_FOLDER: Final = Path("models", "tiny-2")  # raise the number when the recipe changes
# Short: the job itself is tried again later, and meanwhile the worker reads others.
_SERVER_RETRY: Final = RetryPolicy(tries=3, most_seconds=10.0, longest_retry_after=30.0)
_ONE_BY_ONE: Final = (
    "images are read one at a time: with this model, the results of a batch differ from "
    "those of single images"
)
_WARM_UP_PIXELS: Final = 64
_PROFILE_KEYS: Final = ("temperature", "top_p", "top_k", "max_new_tokens")


def reading_model(settings: Settings, progress: Callable[[str], None]) -> ReadingModel:
    """Load and return the model of the settings, ready to answer many callers.

    Args:
        settings: The site's; `reading.kind` says which kind of model.
        progress: Called with a line before each slow step.

    Raises:
        CheckpointError: Its files or its profile do not fit or are not the pinned ones.
        DeviceError: The device is missing, or lacks the memory or a format that the settings name.
    """
    reading = settings.reading
    where = reading.server_url if reading.kind == OPENAI else reading.device
    progress(f"loading {settings.model_name} on {where} ...")
    match reading.kind:
        case "built-in":
            return _built_in(settings, progress)
        case "openai":
            return _served(settings)
        case "transformers":
            return _of_library(settings, progress)
        case other:
            raise CheckpointError(f"kind = {other!r}: no such kind; use {BUILT_IN!r}")


def no_progress(line: str) -> None:
    """Discard a line of progress."""
    del line


def answer_once(model: ReadingModel) -> None:
    """Have the model answer a blank image, so that no study waits for its first, slow answer.

    Raises:
        ModelError: The model failed.
    """
    blank = np.zeros((_WARM_UP_PIXELS, _WARM_UP_PIXELS), dtype=np.float32)
    model.answer(blank, Task.REPORT, decoding=Decoding(max_new_tokens=2))


def _built_in(settings: Settings, progress: Callable[[str], None]) -> Engine:
    reading = settings.reading
    loaded = load_model(settings)
    if reading.compile:
        progress("compiling (reading.compile), which takes minutes ...")
    return Engine(
        loaded,
        rows=rows(settings),
        new_tokens=reading.max_new_tokens,
        step_timeout=_step_timeout(settings),
        compiled=reading.compile,
    )


def _served(settings: Settings) -> ReadingModel:
    reading = settings.reading
    if reading.server_url is None or reading.profile is None:
        raise CheckpointError(f'kind = "{OPENAI}" needs server_url, server_model and profile')
    profile = load_profile(find_profile(reading.profile))
    server = Server(
        url=reading.server_url,
        model=reading.server_model,
        reported_model=reading.server_reported_model,
        permitted=permitted(allow_remote=reading.allow_remote),
        api_key=reading.server_api_key.get_secret_value(),
        seconds=reading.server_seconds,
        connections=rows(settings),
        tls_ca=reading.server_tls_ca,
        retry=_SERVER_RETRY,
    )
    scored = reading.scores == "on"
    record = recorded(
        server,
        profile,
        remote=reading.allow_remote,
        indication=reading.server_indication,
        scores=scored,
    )
    model = ServedModel(server, profile, record)
    if scored:
        # Not at the first study: a server without probabilities cannot be used with these settings.
        model.chances(np.zeros((64, 64), dtype=np.float32), sorted(QUESTIONS)[:1])
    return model


def _of_library(settings: Settings, progress: Callable[[str], None]) -> ReadingModel:
    # Imported when needed: it loads the transformers library, which built-in models do not use.
    automodel = import_module("workers.model.automodel.batches")
    loading = import_module("workers.model.automodel.loading")
    reading = settings.reading
    if reading.model_dir is None or reading.profile is None:
        raise CheckpointError('kind = "transformers" needs model_dir and profile')
    profile = load_profile(find_profile(reading.profile))
    adapter = reading.adapter_dir
    loaded = loading.load(
        snapshot.resolved_folder(_existing(reading.model_dir, "model_dir"), reading.model_sha256),
        profile,
        _place(settings),
        adapter=adapter
        and snapshot.resolved_folder(_existing(adapter, "adapter_dir"), reading.adapter_sha256),
    )
    if not loaded.batches and rows(settings) > 1:
        progress(f"warning: {_ONE_BY_ONE}")
    engine: ReadingModel = automodel.BatchEngine(
        loaded, rows=rows(settings), step_timeout=_step_timeout(settings)
    )
    return engine


def _existing(folder: Path, key: str) -> Path:
    """Return a folder of the settings.

    Raises:
        CheckpointError: It does not exist, or is a file; names the key.
    """
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(
            f"{folder.absolute()}: is a file: correct reading.{key}, which names the folder with "
            "config.json and the other files of the model"
        )
    raise CheckpointError(f"{folder.absolute()}: there is no such folder: correct reading.{key}")


def _step_timeout(settings: Settings) -> float:
    """Return the seconds without a step after which a caller stops waiting.

    A worker replaces itself sooner (`JobWatch`); this limit is for use without a worker.
    """
    return 2 * settings.reading.hang_seconds


def _place(settings: Settings) -> Place:
    reading = settings.reading
    return place(
        reading.device,
        reading.dtype,
        quantisation=reading.quantisation,
        rows=rows(settings),
        new_tokens=reading.max_new_tokens,
    )


def load_model(settings: Settings) -> Llava:
    """Load and return the model of the settings.

    Raises:
        CheckpointError: Its files do not fit or are not the pinned ones.
        DeviceError: The device is missing, or lacks the memory or a format that the settings name.
    """
    reading = settings.reading
    folder = reading.model_dir or settings.data_dir / _TINY_FOLDER
    base = reading.base_model_dir
    if reading.model not in MODELS_WITHOUT_FILES:
        _existing(folder, "model_dir")
    if base is not None:
        _existing(base, "base_model_dir")
    if reading.model_sha256 is not None:
        folder = snapshot.resolved_folder(folder, reading.model_sha256)
    if base is not None and reading.base_model_sha256 is not None:
        base = snapshot.resolved_folder(base, reading.base_model_sha256)
    model = registry.load(reading.model, folder, _place(settings), base=base)
    if reading.model in shipped_names():
        card = load_profile(find_profile(reading.model)).card
        model.checkpoint = dataclasses.replace(
            model.checkpoint, licence=card.licence, intended_use=card.intended_use
        )
    if reading.where == "on" or (reading.where == "auto" and model.checkpoint.places_measured):
        model.located = QUESTIONS
    return model


def rows(settings: Settings) -> int:
    """Return the number of answers written at once: for each study its report and samples."""
    reading = settings.reading
    return reading.concurrency * (1 + reading.samples)


def decoding(settings: Settings, bound: int | None, profile: Profile | None = None) -> Decoding:
    """Return how tokens are chosen: by the settings that are given, else by the profile.

    Args:
        settings: The site's.
        bound: The checkpoint's own limit on new tokens, or None.
        profile: The model's profile, if it has one.
    """
    given = settings.reading
    options = {key: getattr(given, key) for key in (*_PROFILE_KEYS, "seed")}
    if profile is not None:
        stated = {key: getattr(profile.decoding, key) for key in _PROFILE_KEYS}
        options |= {k: value for k, value in stated.items() if k not in given.model_fields_set}
    if given.kind == OPENAI:
        options["top_k"] = 0  # the API has no such key
    most = options.pop("max_new_tokens")
    return Decoding(**options, max_new_tokens=min(most, bound or most))


def sampling(settings: Settings, draft: Decoding) -> tuple[Decoding, ...]:
    """Return the decoding of the samples that a draft is compared with, each with its own seed."""
    reading = settings.reading
    return tuple(
        dataclasses.replace(draft, temperature=reading.sample_temperature, seed=draft.seed + number)
        for number in range(1, reading.samples + 1)
    )
