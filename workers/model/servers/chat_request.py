"""A chat about an image in the form of the API, and a score from the probabilities of a reply."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from workers.model.errors import GenerationError
from workers.model.profiles import chat
from workers.model.profiles.profile import Profile
from workers.model.prompts import Role, Turn
from workers.model.vlm import Decoding


def messages_of(turns: Sequence[Turn], image: bytes) -> list[Mapping[str, Any]]:
    """Return a chat in the form of the API, the image as a data URL.

    Args:
        turns: The chat, `<image>` in the user's turn.
        image: PNG.
    """
    url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    return [
        {
            "role": turn.role.value,
            "content": _parts(turn, url) if turn.role is Role.USER else turn.content,
        }
        for turn in turns
    ]


def png(image: Image.Image) -> bytes:
    """Return an image as PNG without any metadata."""
    content = io.BytesIO()
    Image.frombytes(image.mode, image.size, image.tobytes()).save(content, "png")
    return content.getvalue()


def parameters(decoding: Decoding) -> dict[str, Any]:
    """Return the decoding in the form of the API, which has no `top_k`."""
    return {
        "temperature": 0.0 if decoding.greedy else decoding.temperature,
        "top_p": 1.0 if decoding.greedy else decoding.top_p,
        "max_tokens": decoding.max_new_tokens,
        "seed": decoding.seed,
    }


def _parts(turn: Turn, url: str) -> list[Mapping[str, Any]]:
    """Return a user's turn as parts: text, image, text; empty texts are left out."""
    image = {"type": "image_url", "image_url": {"url": url}}
    content: list[Mapping[str, Any]] = []
    for number, text in enumerate(chat.parts(turn)):
        content += [image] if number else []
        content += [{"type": "text", "text": text.strip()}] if text.strip() else []
    return content


def chance_of_yes(first_token: Mapping[str, float], profile: Profile) -> float:
    """Return the probability of yes against no, by the profile's words for both.

    Args:
        first_token: Probabilities of the likeliest first tokens by their text.
        profile: The profile, with questions.

    Raises:
        GenerationError: The server gave no probabilities, or neither yes nor no is likely.
    """
    if not first_token:
        raise GenerationError(
            "the server gives no probabilities of tokens (logprobs), so that there are no scores: set "
            'scores = "off"'
        )
    scores = profile.scores
    yes, no = (
        sum(chance for token, chance in first_token.items() if token.strip() in those)
        for those in ((scores.yes, scores.no) if scores else ((), ()))
    )
    if yes + no <= 0:
        raise GenerationError("the model answers a yes-or-no question with neither yes nor no")
    return yes / (yes + no)
