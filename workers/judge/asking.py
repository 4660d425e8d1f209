"""One pair to the judge: the published request, and a second one at another temperature if needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from service.evaluation.chexprompt.prompt import Prompt
from service.evaluation.chexprompt.reply import Unparsable, parsed
from workers.judge.journal import Reply, request_key
from workers.judge.pairs import Pair
from workers.model.servers.chat_client import ChatClient
from workers.model.servers.replies import Completion

# The published decoding.
_DECODING: Final = {"temperature": 0.0, "top_p": 0.9, "seed": 0}
# Of the second try; the published code repeats the first, but a greedy answer only repeats itself.
_SECOND: Final = {"temperature": 0.4, "top_p": 0.95}
# Of English text with numbers; common tokenizers take more on average, so that this bounds the tokens.
CHARACTERS_PER_TOKEN: Final = 3.0


@dataclass(frozen=True, slots=True)
class Judge:
    """What a judge is asked with.

    Attributes:
        prompt: The prompt.
        model: The model's name in requests.
        max_tokens: Longest reply.
    """

    prompt: Prompt
    model: str
    max_tokens: int

    @property
    def parameters(self) -> dict[str, Any]:
        """The decoding of the first request."""
        return {**_DECODING, "max_tokens": self.max_tokens}

    def messages(self, pair: Pair) -> list[dict[str, str]]:
        """Return the chat about a pair."""
        return [
            {"role": "system", "content": self.prompt.system},
            {"role": "user", "content": self.prompt.user(pair.reference, pair.candidate)},
        ]

    def key(self, pair: Pair) -> str:
        """Return what identifies the request about a pair."""
        return request_key(self.model, self.messages(pair), self.parameters)

    def characters(self, pair: Pair) -> int:
        """Return the number of characters of the chat about a pair."""
        return sum(len(each["content"]) for each in self.messages(pair))

    async def ask(self, client: ChatClient, pair: Pair) -> Reply:
        """Return the judge's reply; an unparsable one is asked for once more.

        Raises:
            ServerUnavailable: The server gave no answer.
            ServerRefused: The server refuses the request.
        """
        messages = self.messages(pair)
        tried = [await client.complete(messages, self.parameters)]
        if _is_unparsable(tried[0]):
            tried.append(await client.complete(messages, {**self.parameters, **_SECOND}))
        return self._reply(pair, tried)

    def _reply(self, pair: Pair, tried: Sequence[Completion]) -> Reply:
        last = tried[-1]
        return Reply(
            key=self.key(pair),
            id=pair.id,
            metric=self.prompt.metric.value,
            reply=last.text,
            finish_reason=last.finish_reason,
            refused=last.refused,
            first_reply=tried[0].text if len(tried) > 1 else "",
            tries=len(tried),
            model=last.model,
            prompt_tokens=sum(each.prompt_tokens or 0 for each in tried),
            reply_tokens=sum(each.completion_tokens or 0 for each in tried),
            seconds=round(sum(each.seconds for each in tried), 3),
        )


def _is_unparsable(completion: Completion) -> bool:
    outcome = parsed(
        completion.text, finish_reason=completion.finish_reason, refusal=completion.refused
    )
    return isinstance(outcome, Unparsable)


def total_tokens(replies: Sequence[Reply]) -> Mapping[str, int]:
    """Return the tokens that the server counted."""
    return {
        "prompt": sum(each.prompt_tokens for each in replies),
        "reply": sum(each.reply_tokens for each in replies),
    }
