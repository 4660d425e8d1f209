"""A model behind an OpenAI-compatible server; implements `ReadingModel`.

A request holds the image as PNG without any metadata, the profile's prompt and the decoding: nothing of
the patient or the study. The text comes piece by piece, so that a withdrawn request ends the server's
computation.
"""

import asyncio
import dataclasses
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from workers.model.errors import GenerationError, ModelError, ServerRefused
from workers.model.profiles import chat, described
from workers.model.profiles.picture import image_sent
from workers.model.profiles.profile import Ability, Profile
from workers.model.profiles.report_text import ended
from workers.model.prompts import EarlierAnswer, Task, conversation
from workers.model.servers.chat_client import ChatClient, Message, Server
from workers.model.servers.chat_request import chance_of_yes, messages_of, parameters, png
from workers.model.servers.event_loop import EventLoop
from workers.model.servers.replies import Completion
from workers.model.vlm import SERVED, Answer, Checkpoint, Decoding, never

UNKNOWN_ID: Final = -1  # in place of each token's id: a server reports their number only
_NO_IMAGE_TOKENS: Final = np.zeros((0, 0), dtype=np.float32)
_THINKING: Final = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL)
# More than any tokenizer needs for a token of a report.
_CHARACTERS_PER_TOKEN: Final = 32
_ALWAYS_CHARACTERS: Final = 4096
_NOT_TEXT: Final = frozenset({"Cc", "Cs"})  # control characters, halves of surrogate pairs
_ONE_TOKEN: Final = Decoding(max_new_tokens=1)
# The largest number that the API allows.
_LIKELIEST: Final = {"logprobs": True, "top_logprobs": 20}
_LENGTH: Final = "length"
_FILTERED: Final = "content_filter"


class ServedModel:
    """Answers several callers at once with a model behind a server."""

    def __init__(self, server: Server, profile: Profile, checkpoint: Checkpoint) -> None:
        """Start the thread that holds the connections.

        Args:
            server: The server.
            profile: The profile by which prompts are made and answers are read.
            checkpoint: The record of the model, see `recorded`.

        Raises:
            ServerRefused: The file of the authorities of its certificate cannot be used.
        """
        self.profile: Final = profile
        self.checkpoint: Final = checkpoint
        self.locates: Final = False  # a server gives no gradients
        self._client = ChatClient(server)
        self._loop = EventLoop()

    def answer(  # noqa: PLR0913 - the keywords of `ReadingModel`
        self,
        frame: NDArray[np.float32],
        task: Task,
        *,
        question: str = "",
        indication: str = "",
        questions: Sequence[str] = (),
        decoding: Decoding = Decoding(),  # noqa: B008 - frozen
        canceled: Callable[[], bool] = never,
        urgent: bool = False,
        samples: Sequence[Decoding] = (),
        earlier: Sequence[EarlierAnswer] = (),
    ) -> Answer:
        """Return the model's answer about one image; see `ReadingModel.answer`.

        Raises:
            ServerUnavailable: The server gave no whole answer, also after repeats.
            ServerRefused: The server refuses the request, or its answer cannot be used.
        """
        turns = conversation(
            lambda kind, text: chat.turns(self.profile, kind, question=text, indication=indication),
            earlier,
            task,
            question,
        )
        image = png(image_sent(frame, self.profile.image))
        asked = _Asked(messages_of(turns, image), decoding, tuple(samples), urgent)
        queries = self._queries(image, questions, urgent=urgent)
        completion, others, chances = self._loop.run(self._all(asked, queries), canceled)
        return Answer(
            text=self._text(completion, decoding),
            token_ids=(UNKNOWN_ID,) * (completion.completion_tokens or 0),
            token_scores=(),
            prompt=chat.shown(turns),
            ended=completion.finish_reason != _LENGTH,
            image_tokens=_NO_IMAGE_TOKENS,
            chances=chances,
            timings_ms={"decode": completion.seconds * 1000},
            samples=others,
        )

    def chances(self, frame: NDArray[np.float32], questions: Sequence[str]) -> tuple[float, ...]:
        """Return the probabilities of yes; see `vlm.VisionLanguageModel.chances`.

        Raises:
            GenerationError: The profile has no questions, or the server gives no probabilities.
        """
        image = png(image_sent(frame, self.profile.image))
        queries = self._queries(image, questions, urgent=False)
        return self._loop.run(self._chances(queries), never)

    def close(self) -> None:
        """Close the connections; unfinished requests fail with EngineStopped."""
        self._loop.close(self._client.__aexit__())

    def _queries(self, image: bytes, questions: Sequence[str], *, urgent: bool) -> "list[_Asked]":
        """Return the requests of general yes-or-no questions, in the model's words."""
        scores = self.profile.scores
        if questions and scores is None:
            raise GenerationError(
                f"{self.profile.name} gives no scores: its profile has no questions"
            )
        own = scores.questions.by_general() if scores else {}
        chats = (
            chat.turns(self.profile, Task.QUESTION, question=own.get(each, each))
            for each in questions
        )
        return [_Asked(messages_of(turns, image), _ONE_TOKEN, (), urgent) for turns in chats]

    async def _all(
        self, asked: "_Asked", queries: "Sequence[_Asked]"
    ) -> tuple[Completion, tuple[str, ...], tuple[float, ...]]:
        """Return the answer, the texts of the samples that succeeded, and the chances of yes."""
        chances = asyncio.create_task(self._chances(queries))
        beside = [asyncio.create_task(self._sample(asked, how)) for how in asked.samples]
        try:
            completion = await self._complete(asked, asked.decoding)
            texts = await asyncio.gather(*beside)
            found = await chances
        finally:
            for task in (chances, *beside):
                task.cancel()  # those that run, if the answer failed
        return completion, tuple(text for text in texts if text is not None), found

    async def _chances(self, queries: "Sequence[_Asked]") -> tuple[float, ...]:
        tasks = [asyncio.create_task(self._chance(query)) for query in queries]
        try:
            return tuple(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _chance(self, query: "_Asked") -> float:
        completion = await self._client.complete(
            query.messages, parameters(query.decoding) | _LIKELIEST, urgent=query.urgent
        )
        return chance_of_yes(completion.first_token, self.profile)

    async def _sample(self, asked: "_Asked", how: Decoding) -> str | None:
        """Return the text of a sample; None if it failed: it must not fail the answer."""
        try:
            return self._text(await self._complete(asked, how), how)
        except ModelError:
            return None

    async def _complete(self, asked: "_Asked", how: Decoding) -> Completion:
        return await self._client.complete(
            asked.messages, parameters(how), stream=True, urgent=asked.urgent
        )

    def _text(self, completion: Completion, decoding: Decoding) -> str:
        """Return the text of an answer, without passages in which the model thinks, and stop words.

        Raises:
            ServerRefused: The answer is a refusal, far longer than requested, or no text.
        """
        if completion.refused or completion.finish_reason == _FILTERED:
            raise ServerRefused(
                "the server refused to answer: a filter of contents is active there"
            )
        if (
            len(completion.text)
            > _ALWAYS_CHARACTERS + _CHARACTERS_PER_TOKEN * decoding.max_new_tokens
        ):
            raise ServerRefused(
                f"the server wrote {len(completion.text)} characters, too many for "
                f"{decoding.max_new_tokens} tokens: it does not follow max_tokens"
            )
        text = _THINKING.sub("", completion.text)
        if any(unicodedata.category(each) in _NOT_TEXT and each not in "\n\r\t" for each in text):
            raise ServerRefused("the server's answer has characters that are not text")
        return ended(text, self.profile.answer)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request of a caller: the chat, and the decoding of its answer and samples."""

    messages: Sequence[Message]
    decoding: Decoding
    samples: tuple[Decoding, ...]
    urgent: bool


def recorded(
    server: Server, profile: Profile, *, remote: bool, indication: bool, scores: bool = False
) -> Checkpoint:
    """Return the record of a model behind a server.

    Args:
        server: The server.
        profile: The model's profile.
        remote: Whether a server outside the site is allowed.
        indication: Whether the order's indication may be sent.
        scores: Whether the site asks for scores, which only some servers give.
    """
    lacks = (Ability.REGIONS,) if scores else (Ability.REGIONS, Ability.SCORES)
    stated = described.checkpoint(profile, cannot=lacks)
    return dataclasses.replace(
        stated,
        device=server.host,
        dtype=SERVED,
        libraries=f"model {server.model}",
        revision="not stated by the server",
        scores_measured=False,
        takes_indication=stated.takes_indication and indication,
        remote_host=server.host if remote else "",
    )
