"""The report as a page: complete, escaped, without script or other files."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from service.evaluation.calibration import reliability_bins
from service.evaluation.charts import reliability_chart
from service.evaluation.proportions import wilson
from service.evaluation.report import (
    NO_BREAK,
    FlowStep,
    Report,
    Section,
    Table,
    estimate_row,
    render,
    render_chart,
    shown,
    shown_with_interval,
)
from service.evaluation.resampling import Clusters, bootstrap
from service.evaluation.roc import auroc
from service.evaluation.subgroups import TooFew
from service.evaluation.values import EvaluationInputError, Reason, Undefined

FLOW = (
    FlowStep("received", 120),
    FlowStep("eligible", 110, (("lateral view", 6), ("child", 4))),
    FlowStep("scored", 110),
)
HOSTILE = "<script>alert(1)</script>\" onclick='x' & more"


def chart():
    """A small reliability diagram."""
    return reliability_chart("bins", reliability_bins([0, 1, 1], [0.2, 0.6, 0.7]))


def report(text="Right and wrong"):
    """A report in which every text is `text`."""
    table = Table(text, ("Finding", text), ((text, text),), text)
    section = Section(text, (table,), (chart(),), text)
    flow = (FlowStep(text, 5), FlowStep(text, 3, ((text, 2),)))
    return Report(title=text, facts=((text, text),), flow=flow, sections=(section,))


class Elements(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        """Record an element that opens."""
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Record an element without content."""
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """Check that it closes the last that was opened."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Record text."""
        self.text.append(data)


def test_the_page_has_no_script_and_no_other_file():
    """No element that loads or runs, no event attribute, no address; elements are closed in order."""
    page = Elements(render(report()))
    assert page.open == []
    for tag, attributes in page.found:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "a", "form"}
        assert not any(name.startswith("on") or name in {"src", "href"} for name in attributes)
    assert not re.search(r"url\(|@import|https?:", render(report()))


def test_texts_of_a_site_are_escaped_everywhere():
    """Names of devices and findings come from files: they are escaped text."""
    page = Elements(render(report(HOSTILE)))
    assert "script" not in {tag for tag, _ in page.found}
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    assert sum(HOSTILE in text for text in page.text) >= 8


def test_the_page_opens_with_the_flow():
    """From received to scored, with reasons, before any figure."""
    whole = Report(title="A", facts=(), flow=FLOW, sections=(Section("Figures"),))
    page = render(whole)
    order = [page.index(word) for word in ("received", "lateral view: 6", "child: 4", "Figures")]
    assert order == sorted(order)


def test_a_flow_that_loses_studies_is_refused():
    """Each study that leaves has a reason."""
    with pytest.raises(EvaluationInputError, match="'scored': 120 before, 110 after, 6"):
        Report(
            title="A", facts=(), sections=(),
            flow=(FlowStep("received", 120), FlowStep("scored", 110, (("refused", 6),))),
        )  # fmt: skip


def test_equal_inputs_give_equal_bytes():
    """The page holds no time and no random order."""
    assert render(report()) == render(report())


def test_a_chart_alone_is_a_file_of_its_own():
    """Well-formed XML in SVG's namespace, with its style and its description."""
    root = ElementTree.fromstring(render_chart(chart()))  # noqa: S314 - our own text
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    names = root.get("aria-labelledby").split()
    identifiers = {element.get("id") for element in root.iter()}
    assert set(names) <= identifiers
    assert root.find("{*}style") is not None


def test_figures_are_written_with_their_interval_or_their_reason():
    """An undefined figure is never a number."""
    assert shown(0.12345) == "0.123"
    assert shown(Undefined(Reason.NO_POSITIVES)) == "undefined: no positive cases"
    few = TooFew(n=3, needed=10, of="positive cases")
    assert shown(few) == shown_with_interval(few) == "too few positive cases (n = 3)"
    figure = shown_with_interval(wilson(109, 150))
    assert figure.replace(NO_BREAK, " ") == "0.727 (0.650 to 0.792)"
    assert figure.count(" ") == 1
    assert shown_with_interval(wilson(0, 0)) == "undefined: no cases"
    assert shown_with_interval(auroc([0, 1], [0.1, 0.9])).startswith("1.000 (interval undefined")
    alone = bootstrap(lambda rows: float(rows.mean()), np.ones(2), Clusters(["a", "a"]))
    assert "fewer than two patients" in shown_with_interval(alone)
    assert estimate_row("edema", [wilson(1, 2)])[1].endswith("n = 2")


def test_a_row_has_as_many_cells_as_the_header():
    """A missing cell would shift figures under another heading."""
    with pytest.raises(EvaluationInputError, match="cells"):
        Table("Rates", ("Finding", "n"), (("edema",),))
