"""PostgreSQL behind pgbouncer in session mode, as Debian installs it."""

import os
import subprocess
from pathlib import Path

import pytest

from dicom.study import Instance
from service.database import schema
from service.store import Store


@pytest.fixture
def pooled_url(postgres_server, tmp_path_factory, free_port, program, eventually):
    """The URL of an empty database behind a pgbouncer with few connections."""
    pgbouncer = program("pgbouncer")
    url, port = postgres_server.new_database(), free_port()
    folder = tmp_path_factory.mktemp("pgbouncer")
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        "[databases]\n"
        f"* = host=127.0.0.1 port={postgres_server.port} user=wetread\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = session\nmax_client_conn = 50\ndefault_pool_size = 20\n"
    )
    log = folder / "log"
    user = ()
    if os.geteuid() == 0:  # which it refuses to run as
        ids = ("--reuid", "nobody", "--regid", "nogroup", "--clear-groups")
        user = (program("setpriv"), *ids)
        for path in (folder, *folder.parents[:3]):
            path.chmod(path.stat().st_mode | 0o055)
        configuration.chmod(0o644)
    with log.open("wb") as stream:
        process = subprocess.Popen([*user, pgbouncer, configuration], stdout=stream, stderr=stream)
    eventually(lambda: "process up" in log.read_text(), seconds=20, what="the start of pgbouncer")
    yield url.replace(f":{postgres_server.port}/", f":{port}/")
    process.terminate()
    process.wait(20)


def test_migrations_and_transactions_go_through_it(pooled_url):
    """No startup parameter is refused, and statements that the driver prepares are still valid."""
    schema.upgrade(pooled_url)
    schema.check(pooled_url)
    store = Store(pooled_url, busy_seconds=5)
    store.check_writable()
    for number in range(12):  # the driver prepares a statement at its fifth execution
        image = Instance(
            sop_instance_uid=f"1.2.3.{number}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid="1.2.3.9",
            study_instance_uid="1.2.3",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=Path("image.dcm"),
            digest="a" * 64,
            size=1,
        )
        store.add_instance(image, calling_ae="M", association_id="A", eligible=True)
        if number % 4 == 3:
            store.close()
    assert len(store.instances("1.2.3")) == 12
    store.close()
