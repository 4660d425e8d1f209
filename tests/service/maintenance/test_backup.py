"""A site is copied while it is used and made again elsewhere, with each kind of database."""

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from pydicom import dcmread

from dicom.dicomweb.stow_request import PartFile
from dicom.parsing.header import check_identity, read_header
from dicom.phantom import as_dataset, draw, write
from dicom.spool.spool import Spool
from service.database import database_copy
from service.errors import ConfigurationError
from service.maintenance.backup import DIGESTS, MANIFEST, Backup, digest_of
from service.maintenance.restore import damaged_files, read_backup, restore
from service.maintenance.spool_check import Scope, SpoolCheck
from service.receiver.intake import Intake
from service.settings.config import load_settings
from service.spool_findings import Kind
from service.store import Store
from service.store.review.verified_reports import MadeReport
from service.tokens import Scope as TokenScope
from service.tokens import mint
from tests.databases import make_database


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request, monkeypatch):
    """A function that returns the URL of an empty database; None is SQLite in the data folder."""
    monkeypatch.delenv("WETREAD_CONFIG", raising=False)
    if request.param == "sqlite":
        return lambda: None
    database_copy._program("pg_dump") or pytest.skip("pg_dump is not installed")
    return request.getfixturevalue("postgres_server").new_database


@pytest.fixture
def site(tmp_path, new_url, monkeypatch):
    """A function: name of a data folder -> settings with an empty database."""
    monkeypatch.chdir(tmp_path)

    def make(name):
        url = new_url()
        return load_settings(
            data_dir=str(tmp_path / name),
            receiver={"callers": [{"ae_title": "MODALITY"}], "min_free_bytes": 0},
            **({"database": {"url": url}} if url else {}),
        )

    return make


def receive(settings, seed):
    """Store a synthetic image as the receiver does; return its SOP Instance UID."""
    path = write(as_dataset(draw(seed, rows=128, columns=128)), settings.data_dir / "image")
    spool = Spool(settings.spool_dir)
    part = PartFile({}, spool.receive, "MODALITY")
    part.write(memoryview(path.read_bytes()))
    incoming = part.end().incoming
    path.unlink()
    incoming.complete()
    header = read_header(incoming.path)
    kept = spool.store(incoming, check_identity(header))
    with closing(Store.open(settings)) as store:
        intake = Intake(store, settings, lambda *_: None)
        intake.instance_arrived(
            kept.instance, header, calling_ae="MODALITY", association_id=f"a{seed}"
        )
        intake.association_ended(f"a{seed}", "released")
    return kept.instance.sop_instance_uid


@pytest.fixture
def used(site):
    """A site with two images, a job for each, a token, a device UID and a commitment that is due."""
    settings = site("first")
    settings.data_dir.mkdir()
    make_database(settings.database_url)
    for seed in (1, 2):
        receive(settings, seed)
    (settings.data_dir / "device-uid").write_text("2.25.123456\n")
    (settings.data_dir / "commitments").mkdir()
    (settings.data_dir / "commitments" / "one.json").write_text("{}")
    settings.outbox_dir.mkdir()
    (settings.run_dir).mkdir()
    (settings.run_dir / "broker.url").write_text("redis://127.0.0.1:1/0")
    with closing(Store.open(settings)) as store:
        store.add_token(
            mint()[1],
            name="router",
            scopes=frozenset({TokenScope.STOW}),
            ae_title="MODALITY",
            expires_at=None,
            actor="test",
        )
    return settings


def verified(settings):
    """Return what `wetread spool verify --hash` finds."""
    with closing(Store.open(settings)) as store:
        scope = Scope(hashes=True, young_seconds=-60)
        return list(SpoolCheck(store, settings, scope).findings())


def test_a_database_that_is_written_all_the_time_is_copied(tmp_path):
    """The copy ends although a write comes between any two steps, and holds one moment."""
    source, copy = tmp_path / "wetread.db", tmp_path / "copy.db"
    with closing(sqlite3.connect(source)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE images (content BLOB)")
        database.executemany("INSERT INTO images VALUES (zeroblob(1000000))", [()] * 100)
    stop = threading.Event()

    def write_on():
        with closing(sqlite3.connect(source, timeout=20)) as other:
            other.execute("PRAGMA synchronous = OFF")
            while not stop.is_set():
                with other:
                    other.execute("INSERT INTO images VALUES ('x')")

    writer = threading.Thread(target=write_on)
    copier = threading.Thread(
        target=database_copy.dump, args=(f"sqlite:///{source}", copy), daemon=True
    )
    writer.start()
    copier.start()
    copier.join(20)
    ended = not copier.is_alive()
    stop.set()
    writer.join()
    assert ended
    with closing(sqlite3.connect(copy)) as database:
        large = "SELECT count(*) FROM images WHERE length(content) = 1000000"
        assert database.execute(large).fetchone() == (100,)


def test_a_site_restored_to_another_path_is_whole(used, site, tmp_path):
    """Images, jobs, tokens, device UID and commitments are there, and each row has its file."""
    manifest = Backup(used, tmp_path / "backup").make(None)
    assert manifest.files == 5  # two images, device UID, commitment, database
    assert list(damaged_files(tmp_path / "backup", read_backup(tmp_path / "backup")[1])) == []
    second = site("second/deeper")
    restore(second, tmp_path / "backup")
    assert verified(second) == []
    assert (second.data_dir / "device-uid").read_text() == "2.25.123456\n"
    assert (second.data_dir / "commitments" / "one.json").read_text() == "{}"
    assert not second.run_dir.exists()
    with closing(Store.open(second)) as store, closing(Store.open(used)) as before:
        assert [job.id for job in store.jobs()] == [job.id for job in before.jobs()]
        assert [each.name for each in store.tokens()] == ["router"]
        for row in store.instances_after(0, limit=10):
            assert row.path.is_relative_to(second.spool_dir.absolute())
            assert dcmread(row.path).SOPInstanceUID == row.sop_instance_uid
        assert len(store.instances_after(0, limit=10)) == 2
    receive(second, 3)
    assert verified(second) == []


def test_what_came_or_went_during_the_backup_leaves_no_gap(used, site, tmp_path, monkeypatch):
    """An image that comes while files are copied is in the copy; one that retention removes is not."""
    backup = Backup(used, tmp_path / "backup")
    (gone, *_) = used.spool_dir.glob("??/*.dcm")
    copied = backup._leave_out_what_is_gone

    def meanwhile():
        gone.unlink()
        with closing(Store.open(used)) as store:
            (row,) = [each for each in store.instances_after(0, limit=10) if each.path == gone]
            store.give_up_instance(row, "test", Kind.LOST_IMAGE, "Removed by this test.")
        receive(used, 3)
        copied()

    monkeypatch.setattr(backup, "_leave_out_what_is_gone", meanwhile)
    backup.make(None)
    second = site("second")
    restore(second, tmp_path / "backup")
    assert verified(second) == []
    assert len(list(second.spool_dir.glob("??/*.dcm"))) == 2


def test_nothing_that_is_in_use_is_overwritten(used, tmp_path):
    """A data folder or a database that is not empty is refused, and stays as it was."""
    Backup(used, tmp_path / "backup").make(None)
    with pytest.raises(ConfigurationError, match="is not empty: move it away"):
        restore(used, tmp_path / "backup")
    if used.database.url is not None:
        empty = used.model_copy(update={"data_dir": tmp_path / "third"})
        with pytest.raises(ConfigurationError, match="the database is not empty"):
            restore(empty, tmp_path / "backup")
        assert not (tmp_path / "third").exists()
    with pytest.raises(ConfigurationError, match="is not empty: name a new folder"):
        Backup(used, tmp_path / "backup").make(None)
    assert verified(used) == []


@pytest.mark.parametrize("harm", ["changed", "missing", "no manifest", "later", "outside"])
def test_a_damaged_backup_is_refused_before_anything_is_written(harm, used, site, tmp_path):
    """A changed or missing file, an interrupted or a later version's backup: nothing is restored."""
    folder = tmp_path / "backup"
    Backup(used, folder).make(None)
    image = next(folder.glob("data/spool/??/*.dcm"))
    manifest = json.loads((folder / MANIFEST).read_text())
    match harm:
        case "changed":
            image.write_bytes(image.read_bytes()[:-1] + b"\1")
        case "missing":
            image.unlink()
        case "no manifest":
            (folder / MANIFEST).unlink()
        case "later":
            (folder / MANIFEST).write_text(json.dumps(manifest | {"revision": "9999"}))
        case "outside":
            with (folder / DIGESTS).open("a") as file:
                file.write(f"{'0' * 64}  data/../../x\n")
    second = site("second")
    with pytest.raises(ConfigurationError):
        restore(second, folder)
    assert not second.data_dir.exists()
    assert database_copy.is_empty(second.database_url)


@pytest.mark.parametrize("new_url", ["postgresql"], indirect=True)
def test_without_pg_restore_no_file_is_copied(used, site, tmp_path, monkeypatch):
    """Another try needs an empty data folder."""
    Backup(used, tmp_path / "copy").make(None)
    monkeypatch.setattr(database_copy, "_program", lambda _name: None)
    settings = site("elsewhere")
    with pytest.raises(ConfigurationError, match="pg_restore is not on this machine"):
        restore(settings, tmp_path / "copy")
    assert not any(settings.data_dir.glob("*"))


def test_a_verified_report_is_found_at_the_new_path(used, site, tmp_path, reviewing):
    """Its delivery that waited continues from the restored file."""
    path = used.outbox_dir / "1" / "verified-1.dcm"
    path.parent.mkdir()
    path.write_bytes(b"report")
    with closing(Store.open(used)) as store:
        job = reviewing.drafted(store, study="1.2.77")
        decision = store.decide(
            job.id,
            reviewing.request(),
            reviewing.roentgen,
            key="k",
            digest="d",
            audit=reviewing.audit,
        )
        store.record_report(
            MadeReport(
                decision_id=decision.id,
                job_id=job.id,
                revision=1,
                made_at=store.now(),
                object=replace(store.objects(job.id)[0], path=path),
                predecessor_uid=decision.draft_uid,
            )
        )
    Backup(used, tmp_path / "backup").make(None)
    second = site("second")
    restore(second, tmp_path / "backup")
    with closing(Store.open(second)) as store:
        made = store.made_report(decision.id)
    assert made.object.path == second.outbox_dir / "1" / "verified-1.dcm"
    assert made.object.path.read_bytes() == b"report"


def test_rows_of_a_site_that_was_moved_before_find_their_files(used, site, tmp_path):
    """A row with an old folder is updated by the end of its path."""
    if used.database.url is not None:
        pytest.skip("the rows are changed by the same statements")
    Backup(used, tmp_path / "backup").make(None)
    second = site("second")
    copy = tmp_path / "backup" / "wetread.db"
    with closing(sqlite3.connect(copy)) as database, database:
        database.execute("UPDATE instances SET path = replace(path, 'first/spool', 'old/spool')")
    digests = tmp_path / "backup" / DIGESTS
    lines = [line for line in digests.read_text().splitlines() if "wetread.db" not in line]
    digests.write_text("\n".join([*lines, f"{digest_of(copy)}  wetread.db"]) + "\n")
    restore(second, tmp_path / "backup")
    assert verified(second) == []
