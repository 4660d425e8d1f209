"""Vectors of images and reference reports meet in one space, by LLaVA-Rad's towers."""

import shutil

import numpy as np
import pytest

from service.assessment.retrieval import NotMeasured, retrieval_figures
from service.assessment.study_rows import Outcome, StudyRow
from service.assessment.texts import Part, TextPair
from service.evaluation.retrieval import retrieval
from service.records.search import ImageVector
from service.settings.config import Settings
from service.settings.keys.reading import Reading
from workers.evaluation.assembled import Assembled
from workers.evaluation.study_vectors import study_vectors
from workers.evaluation.vector_json import vector_json
from workers.model.checkpoints.text_tower import VOCABULARY, TextTower

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "left", "right", "normal", "effusion", "."]
REPORTS = {"a": "Left effusion.", "b": "Right effusion.", "c": "Normal.", "d": "Normal."}


@pytest.fixture
def folder(shared_goldens, tmp_path):
    """The golden files of LLaVA-Rad with a small vocabulary."""
    source = shared_goldens / "llava_rad_tiny_seed0" / "llava-rad-tiny"
    for file in source.iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    rest = [f"word{number}" for number in range(len(WORDS), 60)]
    (tmp_path / VOCABULARY).write_text("\n".join([*WORDS, *rest]) + "\n")
    return tmp_path


def assembled(space):
    """Return drafts with random vectors of a space, and their references."""
    rng = np.random.default_rng(0)
    drafts, pairs = {}, {}
    for name, report in REPORTS.items():
        values = rng.standard_normal(24).astype("<f4")
        vector = ImageVector(space, (values / np.linalg.norm(values)).astype("<f4").tobytes())
        drafts[name] = {"vector": vector_json(vector)}
        reference = {Part.FINDINGS: report, Part.REPORT: report}
        pairs[name] = TextPair(patient=name, reference=reference, draft={})
    rows = tuple(StudyRow(id=name, patient=name, outcome=Outcome.SCORED) for name in REPORTS)
    return Assembled(rows=rows, pairs=pairs, drafts=drafts, truths={})


def settings_of(folder):
    """Return settings that read with these files."""
    return Settings(reading=Reading(model="llava-rad", model_dir=folder, base_model_dir=folder))


def test_reports_are_encoded_and_ranked(folder):
    """The figures are those of the vectors that the tower gives; equal texts are counted."""
    tower = TextTower.from_folder(folder)
    found = assembled(tower.space)
    vectors = study_vectors(found, settings_of(folder))
    figures = retrieval_figures(found.rows, vectors)
    expected = retrieval(
        np.stack([vectors.images[name] for name in REPORTS]),
        np.stack([tower.vector(text) for text in REPORTS.values()]),
        list(REPORTS.values()),
        [None] * 4,
    )
    assert figures.cross_modal == expected
    assert figures.cross_modal.repeated_texts == 2
    assert figures.neighbors is NotMeasured.NO_LABELS


def test_vectors_of_other_weights_are_not_compared(folder):
    """Nor is a text encoded where the vocabulary is missing."""
    found = assembled("biomedclip-0000000000000000")
    figures = retrieval_figures(found.rows, study_vectors(found, settings_of(folder)))
    assert figures.cross_modal is NotMeasured.NO_TEXT_TOWER
    (folder / VOCABULARY).unlink()
    assert not study_vectors(found, settings_of(folder)).has_tower
