"""The streams that are watched."""

import re

from dicom.content.report import CODED_OBSERVATIONS, Observation
from service.drift.streams import (
    CATEGORY_OF,
    LEVELS,
    STREAMS,
    WATCHED_CATEGORIES,
    Group,
    Measure,
    disagreement_stream,
    drafted_event,
    finding_stream,
    reported_event,
)


def test_names_are_unique_identifiers():
    """Letters, digits and hyphens; every stream has a title."""
    names = [each.name for each in STREAMS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    assert len({each.title for each in STREAMS}) == len(STREAMS)


def test_each_finding_has_its_streams():
    """In drafts, and its disagreement with the final report."""
    names = {each.name for each in STREAMS}
    for each in CODED_OBSERVATIONS:
        assert {finding_stream(each), disagreement_stream(each)} <= names
    effusion = Observation.PLEURAL_EFFUSION
    assert finding_stream(effusion) == "finding-pleural-effusion"
    assert (drafted_event(effusion), reported_event(effusion)) == (
        "drafted-pleural-effusion",
        "reported-pleural-effusion",
    )


def test_shares_are_those_of_the_watched_categories():
    """Each is found by its name; each group has a level."""
    shares = {each.name for each in STREAMS if each.measure is Measure.SHARES}
    assert shares == set(CATEGORY_OF)
    assert set(CATEGORY_OF.values()) == set(WATCHED_CATEGORIES)
    assert set(LEVELS) == set(Group)
