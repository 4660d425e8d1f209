"""Formats text: sentences with one full stop, several lines as one."""


def ended(sentence: str) -> str:
    """Return a sentence with a full stop, unless it ends with `.`, `?` or `!`."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def one_line(text: str) -> str:
    """Join the lines of a text for a log; the lines after the first are separated by semicolons."""
    first, *others = (line.strip() for line in text.splitlines() if line.strip())
    return " ".join([first, "; ".join(others)]).strip()
