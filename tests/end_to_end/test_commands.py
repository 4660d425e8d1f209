"""The command line as a person uses it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom import dcmread

from dicom.phantom import as_dataset, draw, draw_lateral, write
from service.commands.check import check

REPOSITORY = Path(__file__).parents[2]
SLOW_TO_LOAD = {
    "torch",
    "transformers",
    "workers",
    "highdicom",
    "scipy.special",
    "scipy.stats",
    "scipy.sparse",
    "fastapi",
    "apprise",
    "cyclonedx",
    "orthanc_api_client",
}


@pytest.fixture
def wetread(tmp_path):
    """Run `wetread ARGUMENTS` in an empty folder."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=200,
        )

    return run


@pytest.fixture
def frontal(tmp_path):
    """A synthetic frontal image."""
    path = tmp_path / "images" / "frontal.dcm"
    path.parent.mkdir(exist_ok=True)
    write(as_dataset(draw(1, rows=512, columns=512)), path)
    return path


@pytest.fixture
def lateral(tmp_path):
    """A synthetic lateral image of another study."""
    path = tmp_path / "images" / "lateral.dcm"
    path.parent.mkdir(exist_ok=True)
    write(as_dataset(draw_lateral(2, rows=512, columns=512)), path)
    return path


def test_read_writes_what_the_service_would_send(wetread, frontal, tmp_path):
    """`wetread read` exits 0 and its JSON names state, findings, text and files that exist."""
    done = wetread("read", frontal, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    study = json.loads(done.stdout)
    assert study["state"] == "DRAFTED"
    assert study["report"]
    assert {finding["observation"] for finding in study["findings"]} >= {"pneumothorax"}
    results = [dcmread(path) for path in study["outputs"].values()]
    assert {str(result.StudyInstanceUID) for result in results} == {study["study_instance_uid"]}
    assert {result.Modality for result in results} >= {"SR", "OT"}


def test_what_is_written_is_closed_to_other_users(wetread, frontal, tmp_path):
    """Results are about a patient: files and folders are for the user and the group only."""
    wetread("read", frontal, "--out", tmp_path / "out")
    written = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert len(written) > 2
    assert [path for path in written if path.stat().st_mode & 0o007] == []


def test_the_data_folder_is_closed_to_other_users(wetread, tmp_path):
    """The database is for user and group only, whatever the umask was before."""
    assert wetread("db", "upgrade").returncode == 0
    (tmp_path / "wetread-data" / "wetread.db").stat()
    written = [tmp_path / "wetread-data", *(tmp_path / "wetread-data").rglob("*")]
    assert [path for path in written if path.stat().st_mode & 0o007] == []


def test_read_states_what_was_not_analysed(wetread, frontal, lateral, tmp_path):
    """A folder with a lateral in it exits 3 and gives the reason; the frontal is drafted."""
    done = wetread("read", frontal.parent, "--out", tmp_path / "out", "--json")
    assert done.returncode == 3, done.stderr
    studies = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(study["state"] for study in studies) == ["DRAFTED", "NOT_ANALYSED"]
    refused = next(study for study in studies if study["state"] == "NOT_ANALYSED")
    assert refused["reason"]
    assert refused["files"] == [str(lateral)]
    (notice,) = refused["outputs"].values()
    assert dcmread(notice).SeriesDescription.startswith("AI: NOT ANALYZED")


@pytest.fixture
def patients(tmp_path):
    """A frontal image that is not marked as synthetic."""
    image = as_dataset(draw(1, rows=512, columns=512))
    image.QualityControlSubject = "NO"
    return write(image, tmp_path / "images" / "patient.dcm")


def test_read_reads_no_patient_with_the_demo_model(wetread, patients, tmp_path):
    """The reason has a code and names the option to use; the setting is in the draft."""
    done = wetread("read", patients, "--out", tmp_path / "out", "--json")
    assert done.returncode == 3, done.stderr
    refused = json.loads(done.stdout)
    assert refused["reason_code"] == "NO_MODEL_FOR_PATIENTS"
    assert "docs/models.md" in done.stderr
    insist = {"WETREAD_READING__DEMO_READS_PATIENTS": "true"}
    done = wetread("read", patients, "--out", tmp_path / "out", "--json", **insist)
    assert done.returncode == 0, done.stderr
    assert "demo_reads_patients" in json.loads(done.stdout)["caveat"]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("flag", "state"), [((), "NOT_ANALYSED"), (("--demo-reads-patients",), "COMPLETED")]
)
def test_the_demo_reads_a_patients_image_only_with_its_option(wetread, patients, flag, state):
    """Without the option its reason and the option are printed; with it every line of caveat."""
    done = wetread("demo", "--exit", *flag, patients)
    assert done.returncode == 0, done.stderr
    assert state in done.stdout
    assert ("`wetread demo --demo-reads-patients FILE...`" in done.stdout) is (not flag)
    assert ("set reading.demo_reads_patients" in done.stdout) is bool(flag)


def test_read_writes_the_options_that_the_service_would(wetread, frontal, lateral, tmp_path):
    """The draft's JSON and the notice's page are written where the settings ask for them."""
    options = {
        "WETREAD_OUTPUTS__JSON_SIDECAR": "true",
        "WETREAD_OUTPUTS__NOT_ANALYSED_PAGE": "true",
    }
    done = wetread("read", frontal, lateral, "--out", tmp_path / "out", "--json", **options)
    assert done.returncode == 3, done.stderr
    studies = {found["state"]: found for found in map(json.loads, done.stdout.splitlines())}
    sidecar = json.loads(Path(studies["DRAFTED"]["outputs"]["json"]).read_text())
    assert sidecar["draft"]["study_instance_uid"] == studies["DRAFTED"]["study_instance_uid"]
    assert set(studies["NOT_ANALYSED"]["outputs"]) == {"not-analysed", "not-analysed-page"}
    assert all(Path(path).exists() for path in studies["NOT_ANALYSED"]["outputs"].values())


def test_read_names_a_file_that_is_no_dicom(wetread, tmp_path):
    """A text file is an error with the file's name and exit status 1."""
    (tmp_path / "notes.txt").write_text("not an image")
    done = wetread("read", tmp_path / "notes.txt", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "notes.txt" in done.stdout + done.stderr


def test_read_names_a_path_that_is_not_there(wetread, tmp_path):
    """A missing file is an error like any other: exit status 1 and its name."""
    done = wetread("read", "nowhere.dcm", "--out", tmp_path / "out", "--json")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert (result["file"], result["state"]) == ("nowhere.dcm", "ERROR")


def test_read_states_when_it_cannot_write(wetread, frontal, tmp_path):
    """The message names an output folder that cannot be made, and what to do."""
    (tmp_path / "file").write_text("")
    done = wetread("read", frontal, "--out", tmp_path / "file" / "out")
    assert done.returncode == 1
    assert "--out" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_fault_in_the_settings_is_one_clear_message(wetread):
    """No traceback: the key and what is wrong with it, exit status 1."""
    done = wetread("check", WETREAD_RECEIVER__PORT="high")
    assert done.returncode == 1
    assert "receiver.port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("there", "sentence"), [(True, "every script"), (False, "libfribidi0")])
def test_check_states_which_names_are_drawn(tmp_path, monkeypatch, there, sentence):
    """With FriBiDi every script is drawn; without it the table names what to install."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("service.checks.installation.has_shaping", lambda: there)
    result = CliRunner().invoke(check, ["--no-model"], env={"COLUMNS": "200"})
    assert "fonts" in result.output
    assert sentence in " ".join(result.output.split())


@pytest.mark.orthanc
@pytest.mark.dcmtk
def test_check_names_the_fault(site):
    """All in order: exit 0. An unavailable destination: exit 1 and its name."""
    assert site.command("check").returncode == 0
    gone = [{"kind": "orthanc", "name": "archive", "url": "http://127.0.0.1:9"}]
    site_environment = {**site.environment, "WETREAD_DESTINATIONS": json.dumps(gone)}
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "check", "--no-model"],
        env=site_environment,
        cwd=site.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "destination archive" in done.stderr


@pytest.mark.orthanc
@pytest.mark.dcmtk
def test_check_sees_a_full_disk(site):
    """Below the free space at which the receiver refuses images, the check of the spool fails."""
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "check", "--no-model"],
        env={**site.environment, "WETREAD_RECEIVER__MIN_FREE_BYTES": str(2**60)},
        cwd=site.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "failed: spool" in done.stderr


@pytest.mark.serial
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demo_runs_twice_and_leaves_nothing_running(tmp_path):
    """Two runs end well; the second shows its first draft in time and no process is left."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", "demo", "--exit"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "UNVERIFIED AI DRAFT" in done.stdout
        assert "NOT_ANALYSED" in done.stdout  # the lateral
        assert "http://127.0.0.1:" in done.stdout
        assert _processes_in(tmp_path) == []


@pytest.mark.serial
@pytest.mark.slow
def test_ctrl_c_stops_the_demo(tmp_path):
    """SIGINT at any moment stops every process of the demo within seconds."""
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "demo"], cwd=tmp_path, stdout=log, stderr=log
        )
    try:
        time.sleep(6)
        process.send_signal(signal.SIGINT)
        process.wait(45)
        assert _processes_in(tmp_path) == []
    finally:
        process.terminate()  # a second signal stops the remaining processes
        process.wait(45)


def _processes_in(folder):
    """Return the command lines of processes whose working folder is `folder` or below it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            where = (entry / "cwd").readlink()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if where.is_relative_to(folder):
            found.append(line)
    return found


@pytest.mark.parametrize(
    "module",
    ["service.receiver.receiver", "service.web.app", "service.sweeper.sweeper", "service.cli"],
)
def test_the_front_imports_nothing_that_is_slow_to_load(module):
    """A process that is restarted answers again soon; what one request needs is imported for it."""
    source = f"import {module}, sys; print(sorted({SLOW_TO_LOAD} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.strip() == "[]"
