"""Sentences that end with one full stop, and text of several lines as one line."""


def ended(sentence: str) -> str:
    """Return a sentence with a full stop, unless it ends with a mark of its own."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def one_line(text: str) -> str:
    """Return text as one line, for a log: the lines after the first are separated by semicolons."""
    first, *others = (line.strip() for line in text.splitlines() if line.strip())
    return " ".join([first, "; ".join(others)]).strip()
