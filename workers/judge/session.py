"""A run of `wetread judge` from pairs to outcomes: estimate, probe, requests, replies."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.errors import ConfigurationError, WetreadError
from service.evaluation.chexprompt.prompt import Prompt, prompt_of_file
from service.evaluation.chexprompt.summary import Judged
from service.evaluation.values import EvaluationInputError
from service.settings.keys.judge import Judge as JudgeSettings
from service.settings.site_networks import permitted
from workers.judge.asking import CHARACTERS_PER_TOKEN, Judge
from workers.judge.estimate import estimate
from workers.judge.journal import Journal
from workers.judge.pairs import Pair
from workers.judge.probe import Probe, probe, record, recorded_faults
from workers.judge.results import Provenance
from workers.judge.run import JudgeRun
from workers.model.errors import ServerError
from workers.model.servers.chat_client import ChatClient, Server
from workers.model.servers.retrying import RetryPolicy

Say = Callable[[str], None]


class JudgeFailed(WetreadError):
    """The judge's server refused or did not answer, or the judge failed the probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How pairs are judged.

    Attributes:
        settings: The table `[judge]`.
        folder: Where the replies are recorded.
        allow_untested: Whether a judge that fails the probe is used.
        say: Called with each line for the terminal.
        retry: When a request is repeated.
    """

    settings: JudgeSettings
    folder: Path
    allow_untested: bool
    say: Say
    retry: RetryPolicy

    def judged(self, pairs: Sequence[Pair]) -> tuple[list[Judged], Provenance]:
        """Return what became of each pair, and what the figures come from.

        Raises:
            ConfigurationError: No server is configured, or the examples or records cannot be used.
            JudgeFailed: The server refused or did not answer, or the judge failed the probe.
        """
        judge, server = judge_of(self.settings), server_of(self.settings, self.retry)
        with _as_failure(), Journal.opened(self.folder) as journal:
            return asyncio.run(self._judged(judge, server, journal, pairs))

    def probed(self) -> Probe:
        """Return what the probe finds; no pair is sent.

        Raises:
            ConfigurationError: No server is configured, or the examples cannot be used.
            JudgeFailed: The server refused or did not answer.
        """
        judge, server = judge_of(self.settings), server_of(self.settings, self.retry)

        async def ask() -> Probe:
            async with ChatClient(server) as client:
                return await probe(judge, client)

        with _as_failure():
            return asyncio.run(ask())

    async def _judged(
        self, judge: Judge, server: Server, journal: Journal, pairs: Sequence[Pair]
    ) -> tuple[list[Judged], Provenance]:
        async with ChatClient(server) as client:
            found = None
            if any(pair.candidate and journal.known(judge.key(pair)) is None for pair in pairs):
                found = await probe(judge, client)
                self._need_passed(found)
                record(self.folder, judge, found)
            run = JudgeRun(
                judge,
                client,
                journal,
                most_characters=self._most_characters(found),
                say=self.say,
            )
            self._say_estimate(judge, run.to_send(pairs), found)
            outcomes = await run.run(pairs)
        source = Provenance(
            judge=judge,
            host=server.host,
            remote=self.settings.allow_remote,
            probe=found,
            faults=recorded_faults(self.folder, judge),
            replies=run.replies,
        )
        return outcomes, source

    def _need_passed(self, found: Probe) -> None:
        for fault in found.faults:
            self.say(f"probe: {fault}")
        if found.faults and not self.allow_untested:
            raise JudgeFailed(
                "judge: the model failed the probe, so that its counts mean nothing; use another model, "
                "or give --allow-untested-judge"
            )

    def _most_characters(self, found: Probe | None) -> int:
        tokens = self.settings.context_tokens - self.settings.max_tokens
        return int(tokens * (found.characters_per_token if found else CHARACTERS_PER_TOKEN))

    def _say_estimate(self, judge: Judge, pairs: Sequence[Pair], found: Probe | None) -> None:
        per_token = found.characters_per_token if found else CHARACTERS_PER_TOKEN
        self.say(cost_of(self.settings, judge, pairs, per_token))


@contextmanager
def _as_failure() -> Iterator[None]:
    """Raise an error of the server as JudgeFailed, with the server's own words."""
    try:
        yield
    except ServerError as error:
        detail = f" ({error.detail})" if error.detail else ""
        raise JudgeFailed(
            f"judge: {error}{detail}. Recorded replies are kept: the same command continues"
        ) from error


def cost_of(
    settings: JudgeSettings,
    judge: Judge,
    pairs: Sequence[Pair],
    characters_per_token: float = CHARACTERS_PER_TOKEN,
) -> str:
    """Return a sentence on the tokens and costs of the pairs."""
    characters = sum(judge.characters(pair) for pair in pairs)
    return estimate(characters, len(pairs), characters_per_token, settings).sentence()


def judge_of(settings: JudgeSettings) -> Judge:
    """Return the judge of the settings.

    Raises:
        ConfigurationError: The file of the examples cannot be used.
    """
    prompt = Prompt()
    if settings.examples is not None:
        try:
            prompt = prompt_of_file(settings.examples.read_text("utf-8"))
        except (EvaluationInputError, UnicodeDecodeError, OSError) as error:
            raise ConfigurationError(f"judge.examples ({settings.examples}): {error}") from None
    return Judge(prompt, settings.model, settings.max_tokens)


def server_of(settings: JudgeSettings, retry: RetryPolicy) -> Server:
    """Return the judge's server.

    Raises:
        ConfigurationError: None is configured.
    """
    if settings.url is None:
        raise ConfigurationError(
            "judge.url is not set: name an OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1"
        )
    return Server(
        url=settings.url,
        model=settings.model,
        reported_model=settings.reported_model,
        permitted=permitted(allow_remote=settings.allow_remote),
        api_key=settings.api_key.get_secret_value(),
        seconds=settings.request_seconds,
        connections=settings.concurrency,
        tls_ca=settings.tls_ca,
        retry=retry,
        keys="judge.",
    )
