"""A database that answers and cannot be written: log, `/readyz`, `wetread check` and page state it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from dicom.study import Instance
from service.database import schema
from service.database.engine import make_engine
from service.errors import StoreNotWritable
from service.settings.config import as_environment, load_settings
from service.store import Store
from service.web.app import make_app, make_app_context
from service.web.readiness import Readiness, writing_fault


def image(number=1):
    """One received image."""
    return Instance(
        sop_instance_uid=f"1.2.3.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid="1.2.3.9",
        study_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path=Path("image.dcm"),
        digest="a" * 64,
        size=1,
    )


def read_only_disk(folder, _postgres):
    """A SQLite file on a disk that the system has made read-only."""
    schema.upgrade(f"sqlite:///{folder / 'wetread.db'}")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    return f"sqlite:///{folder / 'wetread.db'}", "owner and mode"


def read_only_server(_folder, postgres):
    """A PostgreSQL database whose transactions are read-only, as on a standby."""
    url = postgres()
    schema.upgrade(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        setting = "SET default_transaction_read_only = on"
        connection.execute(text(f'ALTER DATABASE "{name}" {setting}'))
    engine.dispose()
    return url, "names the primary server"


def another_user(_folder, postgres):
    """A PostgreSQL user who may read only."""
    url = postgres()
    schema.upgrade(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        role = "reader_" + connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
    engine.dispose()
    return url.replace("wetread@", f"{role}@"), "grant it the tables"


@pytest.fixture(params=[read_only_disk, read_only_server, another_user])
def refusing(request, tmp_path):
    """The settings of a site whose database can be read only, and the store to check."""

    def postgres():
        return request.getfixturevalue("postgres_server").new_database()

    disk = request.param is read_only_disk
    url, advice = request.param(
        request.getfixturevalue("small_disk") if disk else tmp_path, postgres
    )
    (tmp_path / "spool").mkdir()
    return load_settings(data_dir=str(tmp_path), database={"url": url}), advice


def test_readyz_page_and_check_state_that_it_cannot_be_written(refusing):
    """Reading succeeds, so only a transaction that writes can detect it."""
    settings, advice = refusing
    store = Store(settings.database_url, busy_seconds=1)
    parts = {
        each.name: each.fault for each in asyncio.run(Readiness(store, settings).report()).parts
    }
    assert "cannot be written" in parts["database"]
    assert advice in parts["database"]
    app, here = make_app(make_app_context(settings, store)), ("127.0.0.1", 1)
    with TestClient(app, base_url="http://127.0.0.1", client=here) as client:
        page = client.get("/", follow_redirects=True)
        login = client.post("/login", data={"name": "ann", "password": "x"})
    assert "No login is possible now." in page.text
    assert advice in page.text
    assert login.status_code == 503
    assert advice in login.text
    store.close()
    environment = {"data_dir": str(settings.data_dir), "database": {"url": settings.database_url}}
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "check", "--no-model"],
        env={**os.environ, **as_environment(environment), "COLUMNS": "300"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "database" in done.stderr
    assert advice in done.stdout


def test_an_image_is_refused_with_that_reason(refusing):
    """The log of C-STORE has the error's text."""
    settings, advice = refusing
    store = Store(settings.database_url, busy_seconds=1)
    with pytest.raises(StoreNotWritable, match="cannot be written") as caught:
        store.add_instance(image(), calling_ae="M", association_id="A", eligible=True)
    assert advice in str(caught.value)
    assert caught.value.retry
    store.close()


def fill(folder):
    """Write a file until the disk is full."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def test_a_full_disk_is_reported_as_full(small_disk):
    """The probe commits, so it detects what a read and an open transaction do not."""
    url = f"sqlite:///{small_disk / 'wetread.db'}"
    schema.upgrade(url)
    store = Store(url)
    store.check_writable()
    store.processes()
    with pytest.raises(OSError, match="No space"):
        fill(small_disk)
    assert "make room" in writing_fault(store) or "free space" in writing_fault(store)
    (small_disk / "ballast").unlink()
    assert writing_fault(store) == ""
    store.close()


def test_the_probe_leaves_nothing_behind(store):
    """No process appears on the page because of it."""
    for _ in range(3):
        store.check_writable()
    assert store.processes() == []
