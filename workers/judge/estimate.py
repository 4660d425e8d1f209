"""Tokens and costs of a run, before it starts."""

import math
from dataclasses import dataclass

from service.settings.keys.judge import Judge as JudgeSettings

_MILLION = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run will take at most, if each pair needs one request.

    Attributes:
        pairs: Pairs to be sent.
        prompt_tokens: Of all prompts together.
        reply_tokens: Upper bound of all replies together.
        cost: At the configured prices; None without prices.
    """

    pairs: int
    prompt_tokens: int
    reply_tokens: int
    cost: float | None

    def sentence(self) -> str:
        """Return the estimate for the terminal."""
        cost = "" if self.cost is None else f"; at the configured prices about {self.cost:.2f}"
        return (
            f"to send: {self.pairs} pairs, about {_rounded(self.prompt_tokens)} prompt tokens and "
            f"at most {_rounded(self.reply_tokens)} reply tokens{cost}"
        )


def estimate(
    characters: int, pairs: int, characters_per_token: float, settings: JudgeSettings
) -> Estimate:
    """Return what a run will take.

    Args:
        characters: Of all prompts together.
        pairs: Number of pairs to be sent.
        characters_per_token: Measured by the probe, or assumed.
        settings: Prices and the longest reply.
    """
    prompt = math.ceil(characters / characters_per_token)
    reply = pairs * settings.max_tokens
    priced = bool(settings.prompt_price or settings.reply_price)
    cost = (prompt * settings.prompt_price + reply * settings.reply_price) / _MILLION
    return Estimate(
        pairs=pairs, prompt_tokens=prompt, reply_tokens=reply, cost=cost if priced else None
    )


def _rounded(number: int) -> str:
    """Return a number with two significant digits."""
    if number < 100:
        return str(number)
    return f"{round(number, 1 - int(math.log10(number))):,}"
