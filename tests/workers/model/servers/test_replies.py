"""Replies of servers that are not trusted."""

import json
import math

import anyio
import pytest

from workers.model.errors import ServerRefused, ServerUnavailable
from workers.model.servers.replies import StreamedReply, bounded, completion_of


def reply(message=None, **choice):
    """Return the body of a reply."""
    message = {"content": "Clear."} if message is None else message
    return json.dumps({"model": "m", "choices": [{"message": message, **choice}]}).encode()


def test_a_whole_reply():
    """Text, reason, model and counts; negative counts and booleans are none."""
    body = json.loads(reply(finish_reason="stop"))
    body["usage"] = {"prompt_tokens": 7, "completion_tokens": True}
    found = completion_of(json.dumps(body).encode())
    assert (found.text, found.finish_reason, found.model) == ("Clear.", "stop", "m")
    assert (found.prompt_tokens, found.completion_tokens) == (7, None)
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert completion_of(reply({"content": parts})).text == "ab"
    assert completion_of(reply({"content": None, "refusal": "no"})).refused


def test_probabilities_of_the_first_token():
    """Equal texts are added; a logarithm just above 0 is 1."""
    top = [
        {"token": "Yes", "logprob": math.log(0.5)},
        {"token": "Yes", "logprob": math.log(0.25)},
        {"token": "No", "logprob": 1e-6},
    ]
    found = completion_of(reply(logprobs={"content": [{"top_logprobs": top}]})).first_token
    assert found == pytest.approx({"Yes": 0.75, "No": 1.0})
    assert completion_of(reply(logprobs=None)).first_token == {}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html>", ServerUnavailable),
        (b"[" * 100_000, ServerUnavailable),
        (b"[]", ServerRefused),
        (b"{}", ServerRefused),
        (b'{"choices": [1]}', ServerRefused),
        (b'{"choices": [{}]}', ServerRefused),
        (reply({"content": 5}), ServerRefused),
        (reply({"content": [{"type": "image"}]}), ServerRefused),
        (reply(finish_reason=1), ServerRefused),
        (
            reply(logprobs={"content": [{"top_logprobs": [{"token": "a", "logprob": 5}]}]}),
            ServerRefused,
        ),
        (reply(logprobs={"content": [{"top_logprobs": [1]}]}), ServerRefused),
    ],
)
def test_another_shape_is_an_error(body, error):
    """A reply that is no JSON is a temporary error; another shape is permanent."""
    with pytest.raises(error):
        completion_of(body)


def event(**content):
    """Return a server-sent event."""
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def piece(text, **choice):
    """Return an event with a piece of the text."""
    return event(choices=[{"delta": {"content": text}, **choice}], model="m")


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_stream_in_pieces_of_any_size(step):
    """Comments and other fields are skipped; the usage comes last."""
    body = (
        b": comment\n\n"
        + piece("The lungs ")
        + piece("are clear.", finish_reason="stop")
        + event(choices=[], usage={"completion_tokens": 5})
        + b"data: [DONE]\n\n"
    )
    made = StreamedReply()
    for at in range(0, len(body), step):
        made.feed(body[at : at + step])
    found = made.completion()
    assert (found.text, found.finish_reason) == ("The lungs are clear.", "stop")
    assert (found.completion_tokens, found.model) == (5, "m")


def test_a_stream_that_ends_early_or_reports_an_error():
    """An incomplete answer is an error."""
    made = StreamedReply()
    made.feed(piece("The lungs "))
    with pytest.raises(ServerUnavailable, match="in the middle of its answer"):
        made.completion()
    with pytest.raises(ServerUnavailable, match="reported an error"):
        StreamedReply().feed(event(error={"message": "x"}))


def test_a_body_has_a_limit():
    """It is not read to its end."""

    async def chunks():
        for _ in range(3):
            yield b"x" * 10

    async def read(limit):
        return [chunk async for chunk in bounded(chunks(), limit)]

    assert len(anyio.run(read, 30)) == 3
    with pytest.raises(ServerRefused, match="longer than 29 bytes"):
        anyio.run(read, 29)
