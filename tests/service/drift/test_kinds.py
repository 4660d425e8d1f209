"""Kinds of charts."""

from service.drift.kinds import KIND_WORDS, ChartKind, chart_name


def test_every_kind_has_words_and_a_name():
    """The name is an identifier in pages."""
    assert set(KIND_WORDS) == set(ChartKind)
    assert chart_name("finding-edema", ChartKind.RISE) == "finding-edema-rise"
