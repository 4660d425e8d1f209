"""Spool and database compared: real images, a real spool, both databases."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import tracemalloc
import uuid
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context

import pytest
from sqlalchemy import create_engine, insert

from dicom.parsing.header import check_identity, read_header
from dicom.spool.incoming_file import Announced
from dicom.spool.levels_file import levels_path, write_levels
from dicom.spool.spool import Spool, data_set_size, has_digest
from service.database.tables import InstanceRow, StudyRow
from service.jobs import JobState
from service.maintenance import spool_check
from service.maintenance.spool_check import Scope, SpoolCheck
from service.maintenance.spool_repair import Repairs
from service.receiver.intake import Intake
from service.settings.config import as_environment, child_environment, load_settings
from service.spool_findings import Kind
from service.store import Store
from service.system import spool_walk
from tests.databases import make_database

AT_ONCE = Scope(young_seconds=0)


@pytest.fixture
def database_url(request, tmp_path):
    """A SQLite file; or PostgreSQL, where a test asks for it."""
    kind = getattr(request, "param", "sqlite")
    url = f"sqlite:///{tmp_path / 'wetread.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    make_database(url)
    return url


@pytest.fixture
def settings(tmp_path):
    """Settings with a data folder of the test's own."""
    return load_settings(data_dir=tmp_path / "data")


@pytest.fixture
def spool(settings):
    """The spool of these settings."""
    return Spool(settings.spool_dir)


@pytest.fixture
def images(phantom_images):
    """Paths of synthetic images, by name."""
    return phantom_images


def keep(spool, image):
    """Return the instance of an image in the spool without a row."""
    header = read_header(image)
    identity = check_identity(header)
    announced = Announced(
        sop_class_uid=identity.sop_class_uid,
        sop_instance_uid=identity.sop_instance_uid,
        transfer_syntax_uid=header.file_meta.TransferSyntaxUID,
        source_ae="CR1",
    )
    content = image.read_bytes()
    incoming = spool.receive(announced)
    incoming.write(content[144 + int.from_bytes(content[140:144], "little") :])
    return spool.store(incoming, identity).instance


@pytest.fixture
def arrive(store, spool, images):
    """A function: name -> the instance of that image, in the spool and acknowledged."""

    def add(name):
        instance = keep(spool, images[name])
        store.add_instance(instance, calling_ae="CR1", association_id="A", eligible=True)
        return instance

    return add


@pytest.fixture
def verify(store, settings):
    """A function that checks everything and returns the findings and the counts."""

    def look(scope=AT_ONCE, *, repair=False):
        intake = Intake(store, settings, lambda *_: None)
        check = SpoolCheck(
            store, settings, scope, Repairs(store, settings, intake) if repair else None
        )
        found = list(check.findings())
        return found, check.tally

    return look


def kinds(found):
    """Return the kinds of findings."""
    return [each.kind for each in found]


def rot(path):
    """Flip one bit of an image's last byte, its length and times as they were."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_where_both_agree_nothing_is_found(arrive, verify, spool):
    """Images with rows, removed images without files, and folders of the spool are no findings."""
    kept, gone = arrive("normal"), arrive("lateral")
    spool.remove(gone.path)
    (row,) = verify()[0]
    assert row.kind is Kind.LOST_IMAGE
    verify(repair=True)
    found, tally = verify(Scope(hashes=True, young_seconds=0))
    assert found == []
    assert (tally.files, tally.rows, tally.left) == (1, 1, 0)
    assert tally.image_bytes == kept.path.stat().st_size


def test_an_image_between_file_and_row_is_adopted_and_read_once(
    store, spool, images, verify, clock
):
    """The receiver was killed there: its sender got no answer and sends the same image again."""
    instance = keep(spool, images["effusion"])
    assert kinds(verify()[0]) == [Kind.UNKNOWN_IMAGE]
    (finding,), tally = verify(repair=True)
    assert tally.left == 0
    assert "CR1" in finding.repaired
    (row,) = store.instances(instance.study_instance_uid)
    assert (row.path, row.calling_ae, row.size) == (instance.path, "CR1", instance.size)
    assert row.path.is_file()
    assert store.quiet_studies(clock.move(10)) == [instance.study_instance_uid]
    again = keep(spool, images["effusion"])
    arrival = store.add_instance(again, calling_ae="CR1", association_id="B", eligible=True)
    assert (arrival, again.path) == ("same", instance.path)
    assert verify()[0] == []


def test_what_came_a_moment_ago_is_passed_over(spool, images, verify):
    """Its row is not committed yet: the file is neither reported nor changed."""
    instance = keep(spool, images["normal"])
    found, tally = verify(Scope(young_seconds=600), repair=True)
    assert (found, tally.young) == ([], 1)
    assert instance.path.exists()


def test_a_sender_between_file_and_row_is_waited_for(store, spool, images, verify):
    """It holds the image's lock; once its row is committed there is no finding."""
    instance = keep(spool, images["normal"])
    found = []
    with spool.uid_lock(instance.sop_instance_uid):
        looking = threading.Thread(target=lambda: found.append(verify(repair=True)))
        looking.start()
        store.add_instance(instance, calling_ae="CR1", association_id="A", eligible=True)
    looking.join(20)
    assert found[0][0] == []
    assert len(store.instances(instance.study_instance_uid)) == 1


def test_what_is_no_whole_image_is_set_aside(spool, images, verify, settings):
    """A partial image under an image's name, and an unknown file, are set aside and kept."""
    half = keep(spool, images["normal"]).path
    os.truncate(half, half.stat().st_size // 2)
    stranger = spool.root / half.parent.name / "notes.txt"
    stranger.write_text("hello")
    odd = spool.root / "elsewhere"
    odd.mkdir()
    (odd / "x.dcm").write_bytes(b"")
    found, tally = verify(repair=True)
    assert kinds(found) == [Kind.UNSOUND_FILE] * 3
    assert tally.left == 0
    assert len(list((settings.spool_dir / "quarantine").iterdir())) == 3
    assert not half.exists()
    assert verify()[0] == []


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_lost_image_is_an_incident_and_its_job_reports_it(store, arrive, spool, verify):
    """The row does not count any more, so that the image sent again is a new one, and is read."""
    instance = arrive("normal")
    job = store.schedule(
        instance.study_instance_uid, model="demo", version="1", actor="intake", reason="Released."
    )
    spool.remove(instance.path)
    (finding,), tally = verify()
    assert (finding.kind, tally.left) == (Kind.LOST_IMAGE, 1)
    assert f"cannot be read by job {job.id[:8]}" in finding.detail
    assert store.incidents() == []
    (finding,), tally = verify(repair=True)
    assert tally.left == 0
    (incident,) = store.incidents()
    assert (incident.kind, incident.subject) == ("lost_film", instance.sop_instance_uid)
    assert store.events(job.id)[-1].action == "lost_film"
    assert store.spooled(instance.study_instance_uid) == []
    assert verify()[0] == []
    assert arrive("normal").path.exists()
    assert [each.digest for each in store.spooled(instance.study_instance_uid)] == [instance.digest]


def test_an_image_that_rotted_is_found_by_its_hash_only_and_never_read(store, arrive, verify):
    """Its length is right. It is set aside; the same image sent again takes its place."""
    instance = arrive("pneumothorax")
    rot(instance.path)
    assert verify()[0] == []
    hashes = Scope(hashes=True, young_seconds=0)
    assert kinds(verify(hashes)[0]) == [Kind.DAMAGED_IMAGE]
    _, tally = verify(hashes, repair=True)
    assert tally.left == 0
    assert not instance.path.exists()
    assert store.spooled(instance.study_instance_uid) == []
    assert store.incidents()[0].kind == "damaged_film"
    assert "quarantine" in store.incidents()[0].detail
    arrive("pneumothorax")
    assert verify(hashes)[0] == []


def test_an_image_that_is_too_short_is_found_without_reading_it(arrive, verify):
    """A file system that lost the end of a file."""
    instance = arrive("normal")
    os.truncate(instance.path, instance.path.stat().st_size - 1)
    assert kinds(verify()[0]) == [Kind.DAMAGED_IMAGE]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_an_image_that_lies_elsewhere_is_found_again(store, arrive, spool, verify):
    """Moved by a person, or restored under another folder: row and file meet, nothing is lost."""
    instance = arrive("normal")
    elsewhere = spool.root / ("00" if instance.path.parent.name != "00" else "01")
    elsewhere.mkdir(exist_ok=True)
    instance.path.rename(elsewhere / instance.path.name)
    assert kinds(verify()[0]) == [Kind.MISPLACED_IMAGE]
    found, tally = verify(repair=True)
    assert (kinds(found), tally.left) == ([Kind.MISPLACED_IMAGE], 0)
    (image,) = store.spooled(instance.study_instance_uid)
    assert image.path == instance.path
    assert image.path.is_file()
    assert verify()[0] == []


def test_a_spool_that_was_moved_whole_is_taken_over(store, arrive, settings, tmp_path):
    """Every row names the old place; afterwards every row names the new one."""
    instances = [arrive(name) for name in ("normal", "effusion")]
    moved = load_settings(data_dir=tmp_path / "new")
    moved.data_dir.mkdir()
    settings.spool_dir.rename(moved.spool_dir)
    intake = Intake(store, moved, lambda *_: None)
    check = SpoolCheck(store, moved, AT_ONCE, Repairs(store, moved, intake))
    assert kinds(check.findings()) == [Kind.MISPLACED_IMAGE] * 2
    assert check.tally.left == 0
    for instance in instances:
        (image,) = store.spooled(instance.study_instance_uid)
        assert image.path.is_relative_to(moved.spool_dir)
        assert image.path.is_file()


def test_a_spool_whose_old_place_is_a_link_to_it_keeps_its_images(
    store, arrive, settings, tmp_path
):
    """Every row names the old place, which is the same file: no image is taken for a second copy."""
    instance = arrive("normal")
    moved = load_settings(data_dir=tmp_path / "new")
    settings.data_dir.rename(moved.data_dir)
    settings.data_dir.symlink_to(moved.data_dir)
    check = SpoolCheck(
        store, moved, AT_ONCE, Repairs(store, moved, Intake(store, moved, lambda *_: None))
    )
    assert list(check.findings()) == []
    assert instance.path.is_file()


def test_no_image_is_given_up_while_the_disk_is_not_there(store, arrive, settings, verify):
    """Without the spool's disk every image is missing; a repair would forget all of them."""
    instance = arrive("normal")
    away = settings.spool_dir.rename(settings.data_dir / "away")
    (finding,), tally = verify(repair=True)
    assert (finding.kind, tally.left) == (Kind.LOST_IMAGE, 1)
    assert "is its disk mounted?" in finding.detail
    shutil.rmtree(settings.spool_dir)
    away.rename(settings.spool_dir)
    assert verify()[0] == []
    assert len(store.spooled(instance.study_instance_uid)) == 1


def test_what_retention_takes_during_the_look_does_not_end_it(arrive, verify, monkeypatch):
    """A file disappears between the listing and the check of its length."""
    gone, kept = arrive("normal"), arrive("effusion")

    def listed(root):
        yield from list(spool_walk.spooled_files(root))

    def measured(path):
        gone.path.unlink(missing_ok=True)
        return data_set_size(path)

    monkeypatch.setattr(spool_check, "spooled_files", listed)
    monkeypatch.setattr(spool_check, "data_set_size", measured)
    found, tally = verify()
    assert kinds(found) == [Kind.LOST_IMAGE]
    assert tally.files == 2
    assert kept.path.is_file()


def test_a_second_copy_is_set_aside(arrive, spool, verify):
    """The image that its row names stays where it is."""
    instance = arrive("normal")
    copy = spool.root / "00" / instance.path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(instance.path.read_bytes())
    found, tally = verify(repair=True)
    assert (kinds(found), tally.left) == ([Kind.STRAY_COPY], 0)
    assert not copy.exists()
    assert instance.path.exists()


def copied(instance, folder):
    """Return the path of a copy of an image in another folder of the spool."""
    copy = instance.path.parents[1] / folder / instance.path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(instance.path, copy)
    return copy


def cut(path):
    """Cut off the end of an image."""
    os.truncate(path, 4000)


@pytest.mark.parametrize(
    ("damage", "folder", "hashes"),
    [(rot, "00", False), (rot, "ff", True), (cut, "restored/ab", False), (cut, "00", True)],
)
def test_the_copy_of_a_damaged_image_becomes_the_image(
    store, arrive, spool, verify, damage, folder, hashes
):
    """For either order the complete one ends at the path of the row, the other is set aside."""
    scope = Scope(hashes=hashes, young_seconds=0)
    instance = arrive("normal")
    copy = copied(instance, folder)
    damage(instance.path)
    assert kinds(verify(scope)[0]) == [Kind.SOUND_COPY]
    assert copy.exists()
    found, tally = verify(scope, repair=True)
    assert (kinds(found), tally.left) == ([Kind.SOUND_COPY], 0)
    (image,) = store.spooled(instance.study_instance_uid)
    assert image.path == instance.path
    assert has_digest(image.path, image.digest)
    assert not copy.exists()
    (aside,) = (spool.root / "quarantine").iterdir()
    assert not has_digest(aside, image.digest)
    assert store.incidents() == []
    assert verify(Scope(hashes=True, young_seconds=0))[0] == []


def test_of_two_damaged_copies_none_is_the_image(store, arrive, verify):
    """The second is set aside, and the image counts as lost, as without a second copy."""
    instance = arrive("normal")
    copy = copied(instance, "ff")
    rot(instance.path)
    rot(copy)
    found, tally = verify(Scope(hashes=True, young_seconds=0), repair=True)
    assert {*kinds(found)} == {Kind.DAMAGED_IMAGE, Kind.UNSOUND_FILE}
    assert tally.left == 0
    assert store.spooled(instance.study_instance_uid) == []


def test_leftovers_go_and_what_is_being_written_stays(spool, verify):
    """A temporary file that is still written is protected by its lock."""
    dead = spool.root / "tmp" / "dead.part"
    dead.write_bytes(b"half an image")
    alive = spool.root / "tmp" / "alive.part"
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found, tally = verify(repair=True)
        assert (kinds(found), tally.left) == ([Kind.LEFTOVER], 0)
        assert alive.exists()
    assert not dead.exists()


def test_levels_are_no_images_and_are_removed_without_their_image(arrive, spool, verify):
    """Levels beside their image are no fault; those of an image that is gone are removed."""
    kept, gone = arrive("normal"), arrive("lateral")
    for each in (kept, gone):
        assert write_levels(each.path, b"levels")
    assert verify()[0] == []
    spool.remove(gone.path)
    found, _ = verify(repair=True)
    assert {*kinds(found)} == {Kind.LOST_IMAGE, Kind.ORPHANED_LEVELS}
    assert levels_path(kept.path).exists()
    assert not levels_path(gone.path).exists()
    assert verify()[0] == []


def test_a_lock_that_is_held_for_long_is_reported(spool, verify, monkeypatch):
    """Only the holder of the lock can release it: it stays, with what to do."""
    monkeypatch.setattr("service.maintenance.spool_check._LOCK_SECONDS", 0.1)
    stripe = spool.root / "locks" / "00"
    stripe.touch()
    with stripe.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (finding,), tally = verify(repair=True)
    assert (finding.kind, finding.path, tally.left) == (Kind.HELD_LOCK, stripe, 1)


def test_results_without_an_owner_are_set_aside(settings, verify):
    """A database that was restored from an older copy has no rows of them."""
    folder = settings.outbox_dir / uuid.uuid4().hex / "1"
    folder.mkdir(parents=True)
    (folder / "draft-report.dcm").write_bytes(b"report")
    found, tally = verify(repair=True)
    assert (kinds(found), tally.left) == ([Kind.UNKNOWN_RESULT], 0)
    assert not folder.exists()
    assert len(list((settings.outbox_dir / "quarantine").iterdir())) == 1
    assert verify()[0] == []


def peak_memory(folder, count):
    """Return the most bytes held at a time while so many rows are compared with the disk."""
    settings = load_settings(data_dir=folder / str(count))
    make_database(settings.database_url)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    study = {"study_instance_uid": "1.2", "calling_ae": "CR1", "urgent": False}
    image = {"study_instance_uid": "1.2", "sop_class_uid": "1.2", "series_instance_uid": "1.2"}
    image |= {"transfer_syntax_uid": "1.2", "size": 1, "calling_ae": "CR1", "eligible": True}
    image |= {"association_id": "A", "conflict": False, "received_at": now}
    own = ({"sop_instance_uid": f"1.{n}", "path": f"/no/{n}"} for n in range(1, count + 1))
    engine = create_engine(settings.database_url)
    with engine.begin() as connection:
        times = {"first_arrival": now, "last_arrival": now}
        connection.execute(insert(StudyRow), [study | times])
        rows = [image | each | {"digest": "a" * 64} for each in own]
        connection.execute(insert(InstanceRow), rows)
    engine.dispose()
    store = Store.open(settings)
    check = SpoolCheck(store, settings, AT_ONCE)
    check._look_for = lambda _row: None  # each lost file is searched for: too slow
    tracemalloc.start()
    assert list(check.findings()) == []
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    store.close()
    assert check.tally.rows == count
    return most


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    """Two thousand rows without files and twenty thousand: the memory held at a time is the same.

    In a process of its own: what other tests left in this one would count, too.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        few, many = pool.map(peak_memory, [tmp_path] * 2, [2_000, 20_000])
    # Python keeps a table of the path names, of 4 MiB; the rows alone would be 16 MiB.
    assert many < few + 6 * 2**20


def test_the_command_states_it_in_a_table_and_for_programs(tmp_path, images):
    """Status 1 while something is left, 0 after the repair; no patient's name in what it prints."""
    overrides = {"data_dir": str(tmp_path / "data")}
    settings = load_settings(**overrides)
    make_database(settings.database_url)
    spool = Spool(settings.spool_dir)
    instance = keep(spool, images["normal"])

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "service.cli", "spool", "verify", *arguments],
            capture_output=True,
            text=True,
            env=child_environment(**as_environment(overrides), COLUMNS="200"),
        )

    assert run("--young-minutes", "60").returncode == 0
    found = run("--young-minutes", "0")
    assert found.returncode == 1
    assert "unknown_film" in found.stdout
    assert "1 left" in found.stdout
    repaired = run("--young-minutes", "0", "--repair", "--json")
    assert repaired.returncode == 0, repaired.stderr
    finding, tally = [json.loads(line) for line in repaired.stdout.splitlines()]
    assert finding["path"] == str(instance.path)
    assert (tally["found"], tally["left"]) == ({"unknown_film": 1}, 0)
    name = str(read_header(images["normal"]).PatientName)
    assert name
    assert name not in found.stdout + repaired.stdout + repaired.stderr
    store = Store.open(settings)
    assert store.jobs(states=[JobState.SCHEDULED]) == []
    assert len(store.instances(instance.study_instance_uid)) == 1
    store.close()
