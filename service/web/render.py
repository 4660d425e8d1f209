"""Renders templates to HTML, every value escaped: whole pages, and parts that can be replaced alone."""

import hashlib
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from pydicom.uid import UID

from service.accounts import Person, Role
from service.monitoring.state_names import STATE_WORDS, state_word
from service.sentence import ended
from service.stated_time import pieces_of, with_local_times
from service.web.access.current import SHOWN_PERSON
from service.web.access.stop_banner import SHOWN_STOP

_HERE: Final = Path(__file__).parent
STATIC_DIR: Final = _HERE / "static"
_COMMAND: Final = re.compile(r"`(wetread [^`]+)`")
_IMPORT: Final = re.compile(
    r"""^(?:import|export)\b(?:[^"';]*\bfrom)?\s*"(\.[^"]+)";""", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A page's replaceable parts at one moment.

    Attributes:
        parts: HTML by the id of its root element; equal content gives equal HTML at any time, so
            that only changed parts are sent.
        order: Ids of those parts that are rows of the page's list, in order.
        older_than: Id of the last listed job where older ones exist, else "".
    """

    parts: Mapping[str, Markup]
    order: tuple[str, ...] | None = None
    older_than: str = ""

    def since(self, known: "Snapshot") -> dict[str, Any]:
        """Return, as JSON types, the parts that differ from `known`, and the order."""
        fresh = {key: html for key, html in self.parts.items() if known.parts.get(key) != html}
        return {"parts": fresh, "order": list(self.order) if self.order is not None else None}


def _clock(at: datetime, *, seconds: bool = False) -> str:
    local = at.astimezone()
    return local.strftime("%d %b %H:%M:%S" if seconds else "%d %b %H:%M")


def _with_commands(text: str) -> Markup:
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _timed(text: str | None) -> Markup:
    """Return a sentence as HTML: times as elements with the site's clock time, commands as code."""
    pieces = (
        _with_commands(each)
        if isinstance(each, str)
        else Markup('<time datetime="{}">{:%d %b %Y %H:%M %Z}</time>').format(
            each.isoformat(), each.astimezone()
        )
        for each in pieces_of(text or "")
    )
    return Markup("").join(pieces)


def _day(at: datetime) -> str:
    return at.astimezone().strftime("%d %b %Y")


def _short_uid(uid: str) -> str:
    return uid if len(uid) <= 24 else f"{uid[:9]}…{uid[-10:]}"


def _sentence_case(text: str) -> str:
    spaced = str(text).replace("_", " ").replace("-", " ") if " " not in str(text) else str(text)
    return spaced[:1].upper() + spaced[1:].replace(" sr", " SR")


def _action_word(action: str) -> str:
    """Return the words for an action: those of the state of the same name, if there is one."""
    return STATE_WORDS.get(action.upper(), _sentence_case(action))


def _cause_word(code: str) -> str:
    """Return the code of a reason as words: `Not delivered`."""
    return code.replace("_", " ").capitalize()


def _size(count: int) -> str:
    for unit, factor in (("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def _uid_name(uid: str) -> str:
    return UID(uid).name


@cache
def imported_modules(script: str) -> Sequence[str]:
    """Return the modules that a script below `static/` imports, by itself and through others.

    A browser knows what a module imports when it has it. A page that names all of them has them fetched
    at once, in place of one level of imports after another.

    Args:
        script: Path below `static/`, as all that are returned: "review/draft.js".
    """
    found: dict[str, None] = {}
    waiting = [script]
    while waiting:
        name = waiting.pop(0)
        for address in _IMPORT.findall((STATIC_DIR / name).read_text(encoding="utf-8")):
            module = posixpath.normpath(posixpath.join(posixpath.dirname(name), address))
            if module not in found:
                found[module] = None
                waiting.append(module)
    return tuple(found)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        cause_word=_cause_word,
        clock=_clock,
        day=_day,
        ended=ended,
        local_times=with_local_times,
        short_uid=_short_uid,
        sentence_case=_sentence_case,
        size=_size,
        timed=_timed,
        action_word=_action_word,
        state_word=state_word,
        uid_name=_uid_name,
    )
    environment.globals["imported_modules"] = imported_modules
    return environment


_TEMPLATES: Final = _environment()


def root_of(path: str) -> str:
    """Return the relative URL of the queue from a page's path: "./" from "/", "../" from "/studies/1".

    Every URL in a page is relative, so that a proxy may serve it under any path.
    """
    return "../" * (path.count("/") - 1) or "./"


def page(name: str, **values: Any) -> str:  # noqa: ANN401 - whatever the template shows
    """Return a whole HTML page; it shows the person whose request is being answered."""
    given = {
        "site_name": "",
        "live_url": "",
        "poll_url": "",
        "cautions": (),
        "person": SHOWN_PERSON.get(),
        "areas": areas_of(SHOWN_PERSON.get()),
        "area": None,
        "access_pages": _ACCESS_PAGES,
        "stop": SHOWN_STOP.get(),
    }
    return _TEMPLATES.get_template(name).render({**given, **values})


# One area, "Access", with a page for each of these.
_ACCESS_PAGES: Final = (
    ("people", "People"),
    ("tokens", "Tokens"),
    ("admin/audit", "Audit trail"),
)


def areas_of(person: Person | None) -> Sequence[tuple[str, str]]:
    """Return the areas of the pages that a person may open: path from the root, and word."""
    if person is None:
        return ()
    reads = person.has(Role.RADIOLOGIST)
    operates = person.has(Role.ADMIN, Role.VIEWER)
    return (
        ("read", "Worklist"),
        *([("mine", "Mine")] if reads else []),
        *([("admin", "Overview")] if person.has(Role.ADMIN) else []),
        *([("queue", "Queue")] if operates else []),
        ("search", "Search"),
        *([("monitor", "Monitor")] if reads or person.has(Role.ADMIN) else []),
        *([("models", "Models"), ("network", "Network")] if person.has(Role.ADMIN) else []),
        *([("alerts", "Alerts")] if person.has(Role.ADMIN) else []),
        *([("people", "Access")] if person.has(Role.ADMIN) else []),
    )


def part(name: str, **values: Any) -> Markup:  # noqa: ANN401 - whatever the template shows
    """Return one replaceable part; its root element carries the hash of its content.

    Values are escaped, so the first `data-hash=""` is the template's own.
    """
    html = _TEMPLATES.get_template(f"parts/{name}.html").render(values).strip()
    digest = hashlib.blake2b(html.encode(), digest_size=6).hexdigest()
    return Markup(html.replace('data-hash=""', f'data-hash="{digest}"', 1))  # noqa: S704 - rendered with autoescape


NOTHING: Final = Snapshot(parts={})
