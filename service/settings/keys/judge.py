"""The keys of the table `[judge]` of the settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from service.settings.keys.base import ApiRoot, BearerKey, Section
from service.settings.keys.tls_files import Authorities
from service.settings.rules import Conflict, Rule, conflict
from service.settings.server_rules import leaves_site


def _server_has_model(judge: "Judge") -> Iterator[Conflict]:
    if judge.url is not None and not judge.model:
        yield conflict("model", "is needed when url is set: the model's name on that server", "url")


def _server_is_within_site(judge: "Judge") -> Iterator[Conflict]:
    if not judge.allow_remote:
        yield from leaves_site("url", judge.url, "report texts")


def _answer_fits_context(judge: "Judge") -> Iterator[Conflict]:
    if judge.max_tokens >= judge.context_tokens:
        message = f"{judge.max_tokens} must be less than context_tokens ({judge.context_tokens})"
        yield conflict("max_tokens", message, "context_tokens")


class Judge(Section):
    """The OpenAI-compatible server that `wetread judge` sends pairs of report texts to."""

    url: ApiRoot | None = Field(
        None,
        description="Root of its API with the version, e.g. http://127.0.0.1:8000/v1; absent: none.",
    )
    model: str = Field("", max_length=200, description="The model's name in requests.")
    reported_model: str = Field(
        "",
        max_length=200,
        description="Its name in answers, where the server reports another than `model`; `any` accepts "
        "every name.",
    )
    api_key: BearerKey = Field(SecretStr(""), description="Sent as a bearer token.")
    allow_remote: bool = Field(
        False,
        description="Accept a server outside the loopback and private networks: report texts leave the "
        "site, and every result of the judge states this.",
    )
    tls_ca: Authorities = None
    examples: Path | None = Field(
        None,
        description="File with the published examples: `src/chexprompt/evaluator.py` of "
        "microsoft/chexprompt. Without it the metric is `chexprompt-zero-shot`.",
    )
    concurrency: int = Field(4, ge=1, le=256, description="Requests at the same time.")
    request_seconds: float = Field(
        120.0, gt=0, description="Timeout of one request; it is then repeated."
    )
    max_tokens: int = Field(
        128,
        ge=64,
        le=32768,
        description="Longest reply in tokens. 128 is published; a model that reasons before it answers "
        "needs more.",
    )
    context_tokens: int = Field(
        4096,
        ge=512,
        description="The model's context in tokens. A longer prompt is not sent: some servers cut it "
        "without notice.",
    )
    prompt_price: float = Field(
        0.0, ge=0, description="Price of a million prompt tokens, for the estimate of costs."
    )
    reply_price: float = Field(0.0, ge=0, description="Price of a million reply tokens.")

    rules: ClassVar[tuple[Rule, ...]] = (
        _server_has_model,
        _server_is_within_site,
        _answer_fits_context,
    )
