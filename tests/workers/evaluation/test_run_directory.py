"""The folder of an evaluation: one writer, its own inputs, whole lines."""

import json

import pytest

from service.assessment.file_names import DRAFTS, MANIFEST
from workers.evaluation.faults import InputFaults
from workers.evaluation.run_directory import RunDirectory, read_drafts


@pytest.fixture
def run(tmp_path):
    """A function that opens the folder."""
    return lambda digest="d": RunDirectory.opened(tmp_path / "run", digest)


def test_finished_studies_are_there_after_a_restart(run, tmp_path):
    """The manifest keeps what it had; only the owner may enter."""
    first = run()
    first.write_manifest({"seed": 1})
    first.append({"id": "1.2", "text": "Ä"})
    first.close()
    second = run()
    second.close()
    assert second.finished == {"1.2": {"id": "1.2", "text": "Ä"}}
    assert second.manifest["seed"] == 1
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_one_process_writes(run):
    """Another process gets an error."""
    first = run()
    with pytest.raises(InputFaults, match="another evaluation writes to it"):
        run()
    first.close()


def test_other_inputs_and_other_files_are_refused(run, tmp_path):
    """Nothing is overwritten."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "letter.txt").write_text("x")
    with pytest.raises(InputFaults, match=r"holds other files \(letter.txt\)"):
        run()
    (folder / "letter.txt").unlink()
    (folder / MANIFEST).write_text(json.dumps({"inputs_digest": "other"}))
    with pytest.raises(InputFaults, match="holds an evaluation of other studies"):
        run()
    (folder / MANIFEST).write_text("{")
    with pytest.raises(InputFaults, match="not readable"):
        run()


def test_a_torn_last_line_is_cut_off(tmp_path):
    """As a killed process leaves it; a damaged whole line is a fault."""
    path = tmp_path / DRAFTS
    path.write_bytes(b'{"id": "1"}\n{"id": "2')
    assert read_drafts(tmp_path) == [{"id": "1"}]
    assert path.read_bytes() == b'{"id": "1"}\n'
    path.write_bytes(b'{"id": "1"}\n{"no": 1}\n')
    with pytest.raises(InputFaults, match="line 2"):
        read_drafts(tmp_path)


def test_files_are_written_whole(run, tmp_path):
    """In folders that are made."""
    made = run()
    assert made.write_text("pairs/a.txt", "x").read_text() == "x"
    assert made.write_bytes("images/a.jpg", b"y").read_bytes() == b"y"
    assert not list((tmp_path / "run").rglob("*.part"))
    made.close()
