"""Formats text: sentences with one full stop, several lines as one."""


def ended(sentence: str) -> str:
    """Return a sentence with a full stop, unless it ends with `.`, `?` or `!`."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def about(name: str, text: str) -> str:
    """Return a text with what it is about before it, unless it begins with that name."""
    return text if text.startswith(f"{name} ") else f"{name}: {text}"


def capitalized(text: str) -> str:
    """Return a text with a capital at its beginning; names in it keep their case."""
    return f"{text[:1].upper()}{text[1:]}"


def sentence_of(error: Exception) -> str:
    """Return the message of an error as a sentence."""
    return f"{capitalized(str(error))}."


def one_line(text: str) -> str:
    """Join the lines of a text for a log; the lines after the first are separated by semicolons."""
    first, *others = (line.strip() for line in text.splitlines() if line.strip())
    return " ".join([first, "; ".join(others)]).strip()
