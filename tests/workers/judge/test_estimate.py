"""Tokens and costs of a run."""

from types import SimpleNamespace

from workers.judge.estimate import estimate

PRICED = SimpleNamespace(max_tokens=500, prompt_price=2.0, reply_price=10.0)
FREE = SimpleNamespace(max_tokens=500, prompt_price=0.0, reply_price=0.0)


def test_tokens_and_costs():
    """Prices are for a million tokens."""
    found = estimate(400_000, 100, 4.0, PRICED)
    assert (found.prompt_tokens, found.reply_tokens) == (100_000, 50_000)
    assert found.cost == 100_000 * 2 / 1e6 + 50_000 * 10 / 1e6
    assert found.sentence() == (
        "to send: 100 pairs, about 100,000 prompt tokens and at most 50,000 reply tokens; at the "
        "configured prices about 0.70"
    )


def test_without_prices_there_are_no_costs():
    """Numbers have two significant digits."""
    found = estimate(12_345, 1, 1.0, FREE)
    assert found.cost is None
    assert found.sentence() == (
        "to send: 1 pairs, about 12,000 prompt tokens and at most 500 reply tokens"
    )
