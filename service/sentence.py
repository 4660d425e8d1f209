"""Sentences that end with one full stop, whatever text stands at their end."""


def ended(sentence: str) -> str:
    """Return a sentence with a full stop, unless it ends with a mark of its own."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
