"""A running STOW-RS endpoint."""

import asyncio
import shutil
import threading
from pathlib import Path

import pytest

from service.queue.job_queue import Queue
from service.receiver.calling_aes import CallingAEs
from service.settings.config import Settings, load_settings
from service.store import Store
from service.stow.server import StowServer, make_app, make_stow_context
from service.web.server import address_of, bind
from tests.databases import make_database
from tests.service.stow.requests import RunningEndpoint, add_token


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory) -> Path:
    """An SQLite file at the current revision, to be copied."""
    file = tmp_path_factory.mktemp("empty") / "wetread.db"
    make_database(f"sqlite:///{file}")
    return file


@pytest.fixture
def make_endpoint_at(tmp_path, empty_database):
    """A function that starts an endpoint on a free port with the given settings."""
    stops = []

    def start(**overrides) -> RunningEndpoint:
        given = {
            "data_dir": tmp_path / f"site{len(stops)}",
            "receiver": {"min_free_bytes": 0, "callers": [{"ae_title": "MODALITY"}]},
            "broker": {"url": "redis://127.0.0.1:1/0"},
            "stow": {"port": 0},
        }
        settings = Settings(**{**given, **overrides})
        settings.spool_dir.mkdir(parents=True)
        shutil.copy(empty_database, settings.data_dir)
        store, queue = Store.open(settings), Queue(settings)
        callers = CallingAEs(settings, None, load_settings)
        context = make_stow_context(settings, store, queue, callers)
        server = StowServer(make_app(context, store, callers), settings)
        listener = bind("127.0.0.1", 0, section="stow")
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join(20)
            context.reception.close()
            queue.close()
            store.close()
            assert not thread.is_alive()

        stops.append(stop)
        scheme = "https" if settings.stow.tls_certificate else "http"
        return RunningEndpoint(
            address_of(listener, scheme), store, settings, context, add_token(store)
        )

    yield start
    for stop in stops:
        stop()


@pytest.fixture
def endpoint(make_endpoint_at) -> RunningEndpoint:
    """A running endpoint with an empty store."""
    return make_endpoint_at()
