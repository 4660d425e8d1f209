"""Fixtures for all tests: the real servers, each started at most once and always stopped.

Tests that need a server whose program is not installed are skipped with that reason. A test that must
kill or restart a server takes its class from the fixtures `orthanc_server_class`, `redis_server_class`
or `postgres_server_class` and starts one of its own.
"""

import contextlib
import gc
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from dicom.content.report import Observation, Side
from dicom.phantom import PhantomFinding, as_dataset, draw, draw_lateral, inverted, write
from service.database import schema
from service.store import Store
from tests.browser import BrowserSession, chromedriver
from tests.databases import make_database
from tests.scripted_server import ScriptedServer
from tests.servers import (
    OrthancServer,
    PostgresServer,
    RedisServer,
    SilentProxy,
    find_program,
    take_free_port,
    wait_until,
)

REPOSITORY = Path(__file__).parents[1]

# pynetdicom puts an `echoscu`, a `storescp` and others of DCMTK's names beside our interpreter: with
# that folder on the PATH the tests would run those instead of DCMTK's.
os.environ["PATH"] = os.pathsep.join(
    folder
    for folder in os.environ.get("PATH", "").split(os.pathsep)
    if Path(folder) != Path(sys.prefix) / "bin"
)
MARKED_BY_FIXTURE = {
    "orthanc": "orthanc",
    "storescp": "dcmtk",
    "dcmtk": "dcmtk",
    "postgres": "postgres",
}


@pytest.fixture(autouse=True)
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a command that ran in this process configured: later tests read their log lines."""
    configure = structlog.configure
    # A module's logger that is cached keeps the configuration of its first use.
    uncached = {"cache_logger_on_first_use": False}
    monkeypatch.setattr(structlog, "configure", lambda **chosen: configure(**chosen | uncached))
    configured = structlog.get_config() if structlog.is_configured() else None
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    if configured is None:
        structlog.reset_defaults()
    else:
        configure(**configured)
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the number of generated requests."""
    parser.addoption(
        "--api-examples",
        type=int,
        default=8,
        help="generated requests for each operation of the JSON API and kind (default 8)",
    )


# Folders whose tests each load the whole machine.
SERIAL_FOLDERS = ("ohif", "playwright")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its servers and by its folder; put long files first.

    A run in several processes gives out whole files in this order: a long file at the end would be
    waited for by all others.
    """
    for item in items:
        servers = {name.split("_")[0] for name in getattr(item, "fixturenames", ())}
        for marker in {MARKED_BY_FIXTURE[server] for server in servers & set(MARKED_BY_FIXTURE)}:
            item.add_marker(marker)
        if set(SERIAL_FOLDERS) & set(item.path.parts[len(REPOSITORY.parts) :]):
            item.add_marker("serial")
    long_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long_files)


def pytest_collection_finish() -> None:
    """Exempt the modules and tests of this process from garbage collection: they live until its end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def program() -> Callable[..., str]:
    """The function `find_program(name, …)`: the path of the first that is installed, or a skip."""
    return find_program


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that returns a free loopback port."""
    return take_free_port


@pytest.fixture
def eventually() -> Callable[..., None]:
    """The function `wait_until(condition, seconds=…, what=…)`."""
    return wait_until


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the repository; read-only."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real images (../shared/data) are not on this machine")
    return folder


@pytest.fixture(scope="session")
def dcmtk() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs one of DCMTK's programs to its end and returns its output."""
    programs = {name: find_program(name) for name in ("dcmsend", "echoscu", "storescu")}

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [programs[name], *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "TCP_NODELAY": "1"},
        )

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 2 MiB of its own."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def silent_proxy() -> Iterator[Callable[[int], SilentProxy]]:
    """A function: port of a server -> a proxy before it whose connections can go silent."""
    made: list[SilentProxy] = []

    def start(target: int) -> SilentProxy:
        made.append(SilentProxy(target))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def orthanc_server_class() -> type[OrthancServer]:
    """The class whose objects are Orthancs, for a test that must kill its own."""
    find_program("Orthanc")
    return OrthancServer


@pytest.fixture(scope="session")
def redis_server_class() -> type[RedisServer]:
    """The class whose objects are Redis servers, for a test that must kill its own."""
    find_program("redis-server", "valkey-server")
    return RedisServer


@pytest.fixture(scope="session")
def postgres_server_class() -> type[PostgresServer]:
    """The class whose objects are PostgreSQL clusters, for a test that must kill its own.

    Its folder must be one that every user may enter: `postgres_folder`, not `tmp_path`.
    """
    PostgresServer._program("postgres")
    return PostgresServer


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """An empty folder that the user `postgres` can reach; pytest's own folders are closed to it."""
    with _open_folder() as folder:
        yield folder


@contextlib.contextmanager
def _open_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wetread-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def orthanc(
    tmp_path_factory: pytest.TempPathFactory, orthanc_server_class: type[OrthancServer]
) -> Iterator[OrthancServer]:
    """A real Orthanc, shared by the session: `url`, `dicomweb_url`, `ae_title`, `dicom_port`."""
    with orthanc_server_class(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(
    tmp_path_factory: pytest.TempPathFactory, redis_server_class: type[RedisServer]
) -> Iterator[RedisServer]:
    """A real Redis, shared by the session: `url`."""
    with redis_server_class(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(redis_server_class: type[RedisServer], tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis of this test's own, which the test may configure, stop and kill."""
    with redis_server_class(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(postgres_server_class: type[PostgresServer]) -> Iterator[PostgresServer]:
    """A real PostgreSQL, shared by the session: `new_database()`."""
    with _open_folder() as folder, postgres_server_class(folder) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The SQLAlchemy URL of an empty database of this test's own."""
    return postgres_server.new_database()


@pytest.fixture(scope="session")
def phantom_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small synthetic DX files by name: normal, effusion, pneumothorax, lateral, negative."""
    effusion = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.RIGHT)
    pneumothorax = PhantomFinding(observation=Observation.PNEUMOTHORAX, side=Side.LEFT)
    images = {
        "normal": draw(101, rows=320, columns=288),
        "effusion": draw(102, rows=320, columns=288, findings=(effusion,)),
        "pneumothorax": draw(103, rows=320, columns=288, findings=(pneumothorax,), view="AP"),
        "lateral": draw_lateral(101, rows=320, columns=288),
        "negative": inverted(draw(104, rows=320, columns=288)),
    }
    folder = tmp_path_factory.mktemp("phantoms")
    return {
        name: write(as_dataset(image), folder / f"{name}.dcm") for name, image in images.items()
    }


class Clock:
    """A clock that stands until it is moved: `clock()` is now, `clock.move(seconds)` lets time pass."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def move(self, seconds: float) -> datetime:
        """Let `seconds` pass and return the time."""
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of an empty PostgreSQL database at the current revision, to be copied."""
    url = postgres_server.new_database()
    schema.upgrade(url)
    return url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database at the current revision, once of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'wetread.db'}"
        make_database(url)
        return url
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database(template=request.getfixturevalue("postgres_template"))


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[Store]:
    """An empty store on each kind of database, whose time is `clock`."""
    opened = Store(database_url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def scripted_server():
    """A function that starts a `ScriptedServer` with a script; it is stopped after the test."""
    servers = []

    def start(script):
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def web_driver(tmp_path):
    """The address of a chromedriver."""
    with chromedriver(tmp_path) as url:
        yield url


@pytest.fixture
def open_browser(web_driver, tmp_path):
    """A function that opens a headless Chromium of its own at a site; it is closed after the test."""
    opened = []

    def start(url: str = "", size: str = "1400,900") -> BrowserSession:
        opened.append(BrowserSession(web_driver, tmp_path / f"browser{len(opened)}", url, size))
        return opened[-1]

    yield start
    for each in opened:
        each.quit()
