"""All documents of a month: complete, without a marked name, and the same bytes each time."""

import json
import stat
import subprocess
from dataclasses import replace
from html import unescape

import pytest

from service.quality.document import STATUS, DocumentKind
from service.quality.evaluation_folder import read_evaluation
from service.quality.files import write_documents
from service.quality.inputs import Change
from service.quality.limits import read_limits
from tests.service.quality.conftest import MARK, STUDY

LIMITS = """
set_on = 2026-03-01
set_by = "Quality board"

[[limit]]
figure = "micro_f1"
largest_drop = 0.05
"""


@pytest.fixture(scope="module")
def whole(inputs, evaluations, tmp_path_factory):
    """The inputs of every document."""
    limits = tmp_path_factory.mktemp("limits") / "limits.toml"
    limits.write_text(LIMITS)
    before, after = map(read_evaluation, evaluations)
    change = Change(before=before, after=after, limits=read_limits(limits))
    return replace(inputs, evaluations=(before, after), change=change)


@pytest.fixture(scope="module")
def out(whole, tmp_path_factory):
    """The folder of every document."""
    folder = tmp_path_factory.mktemp("made") / "out"
    write_documents(whole, folder, set(DocumentKind))
    return folder


def test_every_document_is_written_as_html_and_json_and_names_its_status(out):
    """No script; each file is in the list of digests."""
    names = {path.stem for path in out.glob("*.html")}
    assert names == {"model-card-demo-1", *map(str, DocumentKind)} - {"model-card"}
    for name in names:
        html = unescape((out / f"{name}.html").read_text())
        assert STATUS in html
        for active in ("<script", "src=", "href=", "http://", "https://"):
            assert active not in html
        content = json.loads((out / f"{name}.json").read_text())
        assert content["status"] == STATUS
        for each in content["not_recorded"]:
            assert each.removeprefix("not recorded: ") in html
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out).returncode == 0
    assert len((out / "SHA256SUMS").read_text().splitlines()) == len(list(out.iterdir())) - 1
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


def test_the_same_inputs_give_the_same_bytes(whole, out):
    """Also into a folder that has the files of an earlier call."""
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    write_documents(whole, out, set(DocumentKind))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_no_file_has_a_name_of_a_patient(out):
    """Neither from headers and texts, nor from what people typed, nor from names of files."""
    for path in out.iterdir():
        text = path.read_text()
        assert MARK.casefold() not in text.casefold(), path.name
        assert STUDY not in text, path.name


def test_notes_of_people_are_included_on_request_only(whole, tmp_path):
    """Reasons and notes; never a patient's name of a header or the text of a draft."""
    kinds = set(DocumentKind) - {DocumentKind.CHANGE_EVALUATION, DocumentKind.SBOM}
    write_documents(replace(whole, with_notes=True), tmp_path, kinds)
    assert f"{MARK} was misread" in (tmp_path / "change-log.html").read_text()
    assert f"{MARK} came five times" in (tmp_path / "surveillance.html").read_text()
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert f"{MARK}7" not in text
        assert "large heart" not in text
        assert f"{MARK} is another patient" not in text
