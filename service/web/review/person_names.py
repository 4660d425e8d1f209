"""Names of persons (PS3.5 6.2, VR PN) as a page shows them: the script of the person first. Pure."""

import re
from typing import Final

_HANGUL: Final = re.compile("[\uac00-\ud7a3]")
# Control characters, and those that change the direction of the text around them.
_HIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def shown_name(value: str) -> str:
    """Return a PN value for people.

    The ideographic group comes first, family name before given name without a comma, then the
    alphabetic one in parentheses. The phonetic group is preferred to the ideographic one where it is
    Hangul: that is how a Korean name is read today. Control characters and characters that change the
    direction of text are made visible.
    """
    visible = _HIDDEN.sub(lambda found: f"<{ord(found[0]):04X}>", value)
    alphabetic, ideographic, phonetic = (*visible.split("="), "", "")[:3]
    own = phonetic if _HANGUL.search(phonetic) else ideographic
    written, latin = " ".join(_parts(own)), ", ".join(_family_and_others(alphabetic))
    if written and latin:
        return f"{written} ({latin})"
    return written or latin or " ".join(_parts(phonetic))


def _parts(group: str) -> list[str]:
    return [part.strip() for part in group.split("^") if part.strip()]


def _family_and_others(group: str) -> list[str]:
    family, *others = (part.strip() for part in group.split("^"))
    return [each for each in (family, " ".join(filter(None, others))) if each]
