"""The keys of the table `[reading]` of the settings, and of each `[[models]]`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, SecretStr, ValidationInfo
from pydantic.functional_validators import AfterValidator

from service.settings.keys.base import ApiRoot, BearerKey, Digest, Section, matching
from service.settings.keys.tls_files import Authorities
from service.settings.model_names import model_names
from service.settings.nearest_name import choice
from service.settings.rules import Conflict, Rule, conflict
from service.settings.server_rules import OPENAI, SERVER_RULES

# Models that are part of Wetread; each other model has its files in `model_dir`.
MODELS_WITHOUT_FILES: Final = frozenset({"demo", "tiny"})
BUILT_IN: Final = "built-in"
TRANSFORMERS: Final = "transformers"
_ADAPTER: Final = "llava-rad"
_MODEL_NAME: Final = re.compile(r"[a-z0-9-]{1,32}")
_DEVICE: Final = re.compile(r"cpu|cuda(:\d{1,3})?")
_DEVICES: Final = ("cpu", "cuda", "cuda:N (N: number of the card, from 0)")
_MEANT_DEVICES: Final = {"gpu": "cuda", "nvidia": "cuda", "cuda": "cuda", "cpu": "cpu"}

Version = Annotated[str, matching(r"[\x21-\x7e]{1,32}", "1 to 32 ASCII characters without a space")]
_TableName = Annotated[
    str,
    matching(
        r"[a-z0-9][a-z0-9._-]{0,22}",
        "1 to 23 lower-case letters, digits, dots, hyphens and underscores, the first of them a "
        "letter or digit",
    ),
]


def _model_name(value: str, info: ValidationInfo) -> str:
    """Refuse a malformed name, and an unknown built-in one if `workers` is installed here."""
    if not _MODEL_NAME.fullmatch(value):
        raise ValueError("allowed are 1 to 32 lower-case letters, digits and hyphens")
    kind = info.data.get("kind")
    # A wrong kind is reported on its own.
    known = model_names() if isinstance(kind, str) and kind == BUILT_IN else ()
    if known and value not in known:
        raise ValueError(f"not allowed{choice(value, known)}")
    return value


def _device(value: str) -> str:
    if not _DEVICE.fullmatch(value):
        meant = _MEANT_DEVICES.get(value.lower()) or _numbered(value)
        raise ValueError(f"not allowed{choice(value, _DEVICES, meant)}")
    return value


def _numbered(value: str) -> str | None:
    """Return `cuda:N` for a card written in another way, such as `gpu0`; None for other text."""
    found = re.fullmatch(r"(?:cuda|gpu)[ :_\-]*(\d{1,3})", value.lower())
    return f"cuda:{found[1]}" if found else None


def _model_has_files(reading: "Reading") -> Iterator[Conflict]:
    if reading.kind == TRANSFORMERS and reading.model_dir is None:
        message = f"is needed for kind = {TRANSFORMERS!r}: the folder with the checkpoint's files"
        yield conflict("model_dir", message, "kind")
    if reading.kind != BUILT_IN:
        return
    if reading.model not in MODELS_WITHOUT_FILES and reading.model_dir is None:
        message = f"is needed for model = {reading.model!r}: the folder with the checkpoint's files"
        yield conflict("model_dir", message, "model")


def _kind_has_its_keys(reading: "Reading") -> Iterator[Conflict]:
    if reading.kind == BUILT_IN:
        if reading.profile is not None:
            message = (
                f"is for other kinds than {BUILT_IN!r}: set kind = {TRANSFORMERS!r} or {OPENAI!r}, or "
                "remove it"
            )
            yield conflict("profile", message, "kind")
    elif reading.profile is None:
        message = (
            f"is needed for kind = {reading.kind!r}: a TOML file, or the name of a shipped profile"
        )
        yield conflict("profile", message, "kind")
    if reading.kind != TRANSFORMERS and reading.adapter_dir is not None:
        message = f"is for kind = {TRANSFORMERS!r} only: remove it"
        yield conflict("adapter_dir", message, "kind")
    if reading.adapter_dir is None and reading.adapter_sha256 is not None:
        message = "has no effect without adapter_dir: remove it, or name the folder"
        yield conflict("adapter_sha256", message, "adapter_dir")


def _own_model_has_a_name(reading: "Reading") -> Iterator[Conflict]:
    if reading.kind == BUILT_IN or isinstance(reading, Model):
        return
    if reading.model in (model_names() or MODELS_WITHOUT_FILES):
        message = (
            f"{reading.model!r} names a built-in model: give a model of kind = {reading.kind!r} "
            'a name of your own, such as model = "chest-model"'
        )
        yield conflict("model", message, "kind")


def _built_in_only(reading: "Reading") -> Iterator[Conflict]:
    if reading.kind == BUILT_IN:
        return
    message = f"is for kind = {BUILT_IN!r} only: remove it"
    if reading.quantisation != "none":
        yield conflict("quantisation", message, "kind")
    if reading.compile:
        yield conflict("compile", message, "kind")


def _base_model_has_files(reading: "Reading") -> Iterator[Conflict]:
    if reading.kind == BUILT_IN and reading.model == _ADAPTER and reading.base_model_dir is None:
        message = f"is needed for model = {_ADAPTER!r}: the folder with the files of vicuna-7b-v1.5"
        yield conflict("base_model_dir", message, "model")
    if (
        reading.kind != BUILT_IN or reading.model != _ADAPTER
    ) and reading.base_model_dir is not None:
        message = f"is for model = {_ADAPTER!r} only, and model is {reading.model!r}: remove it"
        yield conflict("base_model_dir", message, "model")


def _decoding_is_no_hang(reading: "Reading") -> Iterator[Conflict]:
    if reading.hang_seconds <= reading.decode_seconds:
        message = (
            f"{reading.hang_seconds:g} must be more than decode_seconds ({reading.decode_seconds:g}): "
            "decoding one image is one step"
        )
        yield conflict("hang_seconds", message, "decode_seconds")


class Reading(Section):
    """Which images are read, by which model, and how."""

    kind: Literal["built-in", "transformers", "openai"] = Field(
        "built-in",
        description="`built-in`: a model that Wetread implements, by its name. `transformers`: any "
        "checkpoint that transformers' AutoModelForImageTextToText loads without code of its own, from "
        "`model_dir`, with a `profile`; `model` is then a name of the site's own. `openai`: a model "
        "behind an OpenAI-compatible server (`server_url`), also with a `profile` and an own name.",
    )
    model: Annotated[str, AfterValidator(_model_name)] = Field(
        "demo",
        description="`cxr-llava-v2`, `cxr-llava-v1` or `llava-rad` from `model_dir`; `demo`: small, "
        "shipped, trained on synthetic images only; `tiny`: random weights. The last two read "
        "synthetic images only: a patient's study ends NOT_ANALYSED (NO_MODEL_FOR_PATIENTS).",
    )
    demo_reads_patients: bool = Field(
        False,
        description="Let a model that was trained on synthetic images only, or has random weights, read "
        "patients' images too. The text is meaningless; all pages and results state this. For "
        "tests only.",
    )
    model_version: Version = Field(
        "1",
        description="Release of the weights in use; a new one makes later drafts a new version.",
    )
    model_dir: Path | None = Field(
        None, description="Folder with the published checkpoint's files."
    )
    profile: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        description="Profile of a model that is not built in: prompts, image, sections, "
        "decoding, license and limits. A TOML file, or a shipped profile: "
        "`generic`, `medgemma-1.5-4b`, `chexagent`, `cxr-llava-v2`, `llava-rad` "
        "(docs/models.md).",
    )
    adapter_dir: Path | None = Field(
        None,
        description="Folder with a LoRA adapter (`adapter_config.json`, `adapter_model.safetensors`), "
        "for `transformers`; merged into the weights when they are loaded.",
    )
    adapter_sha256: Digest | None = Field(
        None, description="The digest of the files in `adapter_dir`, as in `model_sha256`."
    )
    base_model_dir: Path | None = Field(
        None, description="Folder with vicuna-7b-v1.5, the base model of the adapter `llava-rad`."
    )
    model_sha256: Digest | None = Field(
        None,
        description="Digest of the list of the files in `model_dir`, as `wetread pin-model` prints it; "
        "other files are not loaded.",
    )
    base_model_sha256: Digest | None = Field(
        None, description="The digest of the files in `base_model_dir`."
    )
    device: Annotated[str, AfterValidator(_device)] = Field(
        "cpu", description="`cpu`, `cuda` or `cuda:N`."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Number format of the weights in memory. `auto`: `float32` on the CPU, `bfloat16` "
        "on a card that supports it, otherwise `float16`.",
    )
    quantisation: Literal["none", "int8", "int4"] = Field(
        "none", description="The decoder's weights in 8 or 4 bits; needs `wetread[quantised]`."
    )
    compile: bool = Field(
        False,
        description="Compile the decoding step before the first study is read: takes minutes at "
        "the start, and less time per token on a GPU. Needs a C++ compiler.",
    )
    max_new_tokens: int = Field(512, ge=1, le=2048, description="Longest report in tokens.")
    temperature: float = Field(
        0.0, ge=0, le=5, description="0: always the most likely token. Above 0: sampling."
    )
    top_p: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Sampling keeps the most likely tokens up to this total probability.",
    )
    top_k: int = Field(
        50, ge=0, description="Sampling keeps at most this number of tokens; 0: all."
    )
    seed: int = Field(
        0, ge=0, lt=2**63, description="Seed of the sampling; the same image gives the same text."
    )
    scores: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Also ask the model a yes-or-no question for each finding, and show its "
        "probability of yes. `auto`: only models whose scores were measured.",
    )
    samples: int = Field(
        0,
        ge=0,
        le=16,
        description="Number of sampled reports of each image; the draft shows how many of them "
        "agree with each finding. 0: none. Each takes the memory of a further answer.",
    )
    sample_temperature: float = Field(
        1.0,
        ge=0.05,
        le=5,
        description="Temperature of the samples; `top_p` and `top_k` are those of the draft.",
    )
    where: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Outline on the image where the model looked for a finding that it answers with "
        "yes; needs `scores`. `auto`: only models whose outlines were measured.",
    )
    minimum_age_years: int = Field(18, ge=0, description="Younger patients count as children.")
    read_children: bool = Field(
        False, description="Read children with the pediatric prompt; the draft states this."
    )
    max_pixels: int = Field(
        64 * 2**20, ge=2**16, description="Larger images (rows x columns) are not read."
    )
    decode_seconds: float = Field(
        60.0,
        gt=0,
        description="Time limit for decoding an image, in seconds; then it is tried again later.",
    )
    hang_seconds: float = Field(
        300.0,
        gt=0,
        description="A reading without progress for this time hangs: its worker returns its jobs and "
        "is replaced. More than `decode_seconds`.",
    )
    concurrency: int = Field(
        2,
        ge=1,
        description="Studies that one reading worker reads in its model at the same time; half "
        "as many more are decoded or written meanwhile.",
    )
    lease_seconds: float = Field(
        60.0,
        gt=0,
        description=(
            "A job whose worker does not extend its lease for this long is returned to the queue."
        ),
    )
    max_attempts: int = Field(3, ge=1, description="Reading attempts before the job fails.")

    server_url: ApiRoot | None = Field(
        None,
        description="For `openai`: root of the server's API with the version, e.g. "
        "http://10.0.0.5:8000/v1.",
    )
    server_model: str = Field("", max_length=200, description="The model's name on that server.")
    server_reported_model: str = Field(
        "",
        max_length=200,
        description="Its name in answers, where the server reports another than `server_model`; `any` "
        "accepts every name.",
    )
    server_api_key: BearerKey = Field(SecretStr(""), description="Sent as a bearer token.")
    server_tls_ca: Authorities = None
    server_seconds: float = Field(
        120.0,
        gt=0,
        description="Timeout of one request; a request is tried three times in all.",
    )
    server_indication: bool = Field(
        False,
        description="Send the indication of the order too, if the profile has a place for it: "
        "free text, which may identify the patient.",
    )
    allow_remote: bool = Field(
        False,
        description="For `openai`: accept a server outside the loopback and private networks. Images "
        "leave the site, and every draft states this with the name of the server.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        *SERVER_RULES,
        _model_has_files,
        _base_model_has_files,
        _kind_has_its_keys,
        _own_model_has_a_name,
        _built_in_only,
        _decoding_is_no_hang,
    )


class Model(Reading):
    """A further model: a table `[[models]]` with a name and the keys of `[reading]`."""

    name: _TableName = Field(
        description="Its name in `receiver.callers`, jobs and `wetread worker --model`. The other "
        "keys are those of `[reading]`, with the same defaults.",
    )
    shadow: bool = Field(
        False,
        description="Only compare: the model reads again what the model in use has read, its drafts are "
        "kept for the page `/models` and are never delivered or shown with a study.",
    )
    shadow_max_open_jobs: int = Field(
        0,
        ge=0,
        description="Of a shadow model: it reads only while at most this many jobs wait or are being "
        "read, and abandons a reading when there are more. Raise it for a device or server of its own.",
    )
    shadow_backlog: int = Field(
        100,
        ge=1,
        description="Of a shadow model: studies that it is behind at most; older ones are skipped.",
    )
    shadow_per_hour: int = Field(
        60, ge=1, description="Of a shadow model: readings begun in an hour at most."
    )
