"""Heat maps as drafts store them, and whether their highest cell lies on the finding of a phantom."""

import base64
from datetime import UTC, datetime

import numpy as np
import pytest

from dicom.content.report import MOST_HEAT_CELLS, Observation, Presence, Side
from dicom.phantom import PhantomFinding, as_dataset, draw, write
from dicom.selection.local_files import describe
from dicom.study import Study
from service.settings.config import load_settings
from workers.model.vlm import HeatMap
from workers.reading.content.heat_grid import heat_grid
from workers.reading.reader import Reader

DRAWN = (
    (Observation.PLEURAL_EFFUSION, Side.RIGHT),
    (Observation.PNEUMOTHORAX, Side.LEFT),
    (Observation.CONSOLIDATION, Side.LEFT),
    (Observation.CARDIOMEGALY, None),
)
SIZES = ((420, 400), (400, 520), (512, 512))


def shares_of(grid):
    """Return the stored shares, uint8 [edge, edge]."""
    shares = np.frombuffer(base64.b64decode(grid.cells), np.uint8)
    return shares.reshape(grid.edge, grid.edge)


def test_a_map_becomes_shares_of_its_highest_cell_over_the_square():
    """The square is the central one of the image, as in the model's input."""
    cells = np.array([[0, 1], [2, 4]], np.float32)
    grid = heat_grid(HeatMap(cells), 300, 200)
    assert shares_of(grid).tolist() == [[0, 64], [128, 255]]
    assert (grid.left, grid.top, grid.size) == (0, 50, 200)


def test_a_map_without_a_place_is_not_stored_and_a_fine_one_is_averaged():
    """The size of a draft is limited."""
    assert heat_grid(HeatMap(np.zeros((8, 8), np.float32)), 100, 100) is None
    fine = np.zeros((256, 256), np.float32)
    fine[8:12, 16:20] = 1
    shares = shares_of(heat_grid(HeatMap(fine), 100, 100))
    assert shares.shape == (MOST_HEAT_CELLS, MOST_HEAT_CELLS)
    assert np.argwhere(shares).tolist() == [[2, 4]]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A reader with the demo model, loaded once."""
    settings = load_settings(data_dir=tmp_path_factory.mktemp("demo"), reading={"model": "demo"})
    made = Reader.from_settings(settings)
    yield made
    made.model.close()


def heat_of(reader, folder, number):
    """Return the truth of a phantom, and the heat map of its finding in the draft, or None."""
    name, side = DRAWN[number % len(DRAWN)]
    rows, columns = SIZES[number % len(SIZES)]
    found = (PhantomFinding(observation=name, side=side),)
    phantom = draw(7200 + number, rows=rows, columns=columns, findings=found)
    instance = describe(write(as_dataset(phantom), folder / f"{number}.dcm"))
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    draft = reader.draft(study, produced_at=datetime(2026, 3, 1, tzinfo=UTC)).draft
    (stated,) = (each for each in draft.findings if each.observation is name)
    assert stated.presence is not Presence.PRESENT or stated.heat is not None
    return phantom.truths[0].mask, stated.heat


def test_the_highest_heat_lies_in_the_box_of_the_finding(reader, tmp_path):
    """Of twelve phantoms in three shapes, in at least ten: in pixels of the whole image."""
    hits = []
    for number in range(12):
        mask, heat = heat_of(reader, tmp_path, number)
        if heat is None:
            hits.append(False)
            continue
        row, column = np.unravel_index(shares_of(heat).argmax(), (heat.edge, heat.edge))
        cell = heat.size / heat.edge
        x, y = heat.left + (column + 0.5) * cell, heat.top + (row + 0.5) * cell
        rows, columns = np.nonzero(mask)
        hits.append(
            columns.min() - cell / 2 <= x <= columns.max() + cell / 2
            and rows.min() - cell / 2 <= y <= rows.max() + cell / 2
        )
    assert sum(hits) >= 10, hits
