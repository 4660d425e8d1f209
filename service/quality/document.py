"""A document: facts, sections and what is not recorded; rendered as one HTML file and as JSON."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from service.evaluation.metrics_json import metrics_json

STATUS: Final = (
    "Draft for the site's own quality system. It is not a regulatory submission, no declaration of "
    "conformity and no statement about any patient. A person checks, completes and approves it."
)
NOT_RECORDED: Final = "not recorded: "
_CODE: Final = re.compile(r"`([^`]*)`")


def _with_code(text: str) -> Markup:
    """Return a text as HTML in which what stands in backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", escape(text)))  # noqa: S704 - escaped before


_TEMPLATES: Final = Environment(
    loader=PackageLoader("service.quality", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["with_code"] = _with_code


class DocumentKind(StrEnum):
    """The documents; also the values of `--only` and the beginnings of the file names."""

    MODEL_CARD = "model-card"
    CHANGE_LOG = "change-log"
    CHANGE_EVALUATION = "change-evaluation"
    SURVEILLANCE = "surveillance"
    AUDIT_LOG = "audit-log"
    SBOM = "sbom"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of a row names it.

    Attributes:
        numeric: Places of the columns that hold numbers.

    Raises:
        ValueError: A row has another number of cells than the header.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    note: str = ""
    numeric: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.header) for row in self.rows):
            raise ValueError(f"a row of {self.caption!r} has not {len(self.header)} cells")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with sentences, names and values, and tables.

    Attributes:
        warnings: Sentences that a person must not overlook.
    """

    title: str
    sentences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What one file shows.

    Attributes:
        name: The file name without its suffix.
        values: The same as figures, for programs; None for nothing beyond the tables.
    """

    kind: DocumentKind
    name: str
    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    values: object = None

    @property
    def not_recorded(self) -> tuple[str, ...]:
        """What could not be filled in, each once, in the order of the document."""
        return tuple(dict.fromkeys(each for each in _cells(self) if each.startswith(NOT_RECORDED)))


@dataclass(slots=True)
class Facts:
    """Names and values in order; a value that is missing states what is not recorded."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, value: str, *, missing: str = "") -> "Facts":
        """Add a value, or that `missing` is not recorded where the value is ""."""
        self.found.append((name, value or not_recorded(missing or name.lower())))
        return self

    def all(self) -> tuple[tuple[str, str], ...]:
        """Return the names and values."""
        return tuple(self.found)


def not_recorded(what: str) -> str:
    """Return what stands in place of a value that the software does not have."""
    return f"{NOT_RECORDED}{what}"


def _cells(document: Document) -> Iterator[str]:
    yield from (value for _, value in document.facts)
    for section in document.sections:
        yield from section.sentences
        yield from (value for _, value in section.facts)
        yield from (cell for table in section.tables for row in table.rows for cell in row)


def render(document: Document, *, site: str, created: str) -> str:
    """Return the document as HTML.

    Args:
        document: What it shows.
        site: The name of the institution, or "".
        created: The time of creation as text.
    """
    template = _TEMPLATES.get_template("document.html")
    return template.render(
        document=document,
        status=STATUS,
        site=site or not_recorded("name of the institution (site_name)"),
        created=created,
        marker=NOT_RECORDED,
    )


def as_json(document: Document, *, site: str, created: str) -> str:
    """Return the document as JSON text, keys sorted."""
    return metrics_json(
        {
            "status": STATUS,
            "kind": document.kind,
            "title": document.title,
            "site": site or None,
            "created": created,
            "facts": [{"name": name, "value": value} for name, value in document.facts],
            "sections": [_section_json(each) for each in document.sections],
            "not_recorded": document.not_recorded,
            "values": document.values,
        }
    )


def _section_json(section: Section) -> dict[str, object]:
    return {
        "title": section.title,
        "sentences": section.sentences,
        "warnings": section.warnings,
        "facts": [{"name": name, "value": value} for name, value in section.facts],
        "tables": [_table_json(each) for each in section.tables],
    }


def _table_json(table: Table) -> dict[str, object]:
    return {
        "caption": table.caption,
        "note": table.note,
        "columns": table.header,
        "rows": table.rows,
    }


def counted(header: tuple[str, str], counts: Sequence[tuple[str, int]], caption: str = "") -> Table:
    """Return a table of names and numbers."""
    rows = tuple((name, str(count)) for name, count in counts)
    return Table(header, rows, caption, numeric=frozenset({1}))
