"""The findings of sentences in other styles, one by one: tests/workers/goldens/report_sentences.txt."""

from pathlib import Path

import pytest

from dicom.content.report import Observation, Presence
from workers.labeller.findings import label

SENTENCES = Path(__file__).parents[1] / "goldens" / "report_sentences.txt"
STATES = {
    "+": Presence.PRESENT,
    "-": Presence.ABSENT,
    "?": Presence.UNCERTAIN,
    "0": Presence.NOT_MENTIONED,
}
NAMES = {
    "heart": Observation.CARDIOMEGALY,
    "effusion": Observation.PLEURAL_EFFUSION,
    "opacity": Observation.LUNG_OPACITY,
    "lesion": Observation.LUNG_LESION,
    "device": Observation.SUPPORT_DEVICES,
    "pleura": Observation.PLEURAL_OTHER,
    "mediastinum": Observation.ENLARGED_CARDIOMEDIASTINUM,
}


def sections():
    """The lines that hold a text, by their heading."""
    parts = SENTENCES.read_text(encoding="utf-8").split("\n## ")[1:]
    return {head: body.split("\n") for head, _, body in (part.partition("\n") for part in parts)}


def misread(row):
    """Statements of a line that are read differently: each finding's name with the read presence."""
    wanted, text = row.split(" | ", 1)
    presences = {one.observation: one.presence for one in label(text.replace("\\n", "\n"))}
    states = {word[:-1]: STATES[word[-1]] for word in wanted.split()}
    read = {name: presences[NAMES.get(name) or Observation(name)] for name in states}
    return [(name, read[name].value, text) for name in states if read[name] is not states[name]]


@pytest.mark.parametrize("section", sections())
def test_other_radiologists_are_understood(section):
    """Each text of a section states the findings in front of it."""
    rows = [row for row in sections()[section] if row]
    assert [wrong for row in rows for wrong in misread(row)] == []


def test_no_text_is_judged_twice():
    """Each text is in the file once, so that their number is meaningful."""
    texts = [row.split(" | ", 1)[1] for rows in sections().values() for row in rows if row]
    assert len(texts) == len(set(texts)) >= 300
