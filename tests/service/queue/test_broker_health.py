"""Redis that answers and accepts no message, and Redis behind TLS of a private authority."""

import shutil
import subprocess
import time
from datetime import UTC, datetime

import pytest
import redis
from kombu.exceptions import OperationalError

from service.checks.broker import broker
from service.checks.check import Grade
from service.errors import BrokerUnavailable, ConfigurationError
from service.jobs import JobState
from service.queue.broker_health import BrokerFault, check_broker
from service.queue.job_queue import Queue, ping
from service.queue.names import READING
from service.records import Job
from service.settings.config import load_settings
from workers.app import worker_app

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def waiting_job():
    """A job as the store returns it."""
    return Job(
        id=f"{1:032x}",
        study_instance_uid="1.2.3",
        calling_ae="MODALITY",
        model_name="demo",
        model_version="1",
        revision=1,
        state=JobState.SCHEDULED,
        urgent=False,
        reason_code="",
        reason="",
        created_at=NOW,
        updated_at=NOW,
        not_before=None,
        attempts=0,
        first_error="",
        last_error="",
        lease_owner="",
        lease_until=None,
        fence=0,
        supersedes=None,
        superseded_by=None,
    )


def settings_of(url, **options):
    """Settings whose broker is at `url`."""
    return load_settings(broker={"url": url, **options})


def limit(server, name, value):
    """Set a parameter of a running Redis."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set(name, value)


def test_a_redis_that_takes_messages_has_no_fault(redis_server):
    """The probe leaves one small key that disappears by itself, and no message in a queue."""
    settings = settings_of(redis_server.url)
    assert check_broker(settings).sentence == ""
    with redis.Redis.from_url(redis_server.url) as client:
        assert 0 < client.ttl(f"{READING}.probe") <= 60
        assert client.llen(READING) == 0


def test_a_full_redis_is_not_ready(own_redis):
    """It answers a ping and refuses each message: this is a fault until there is free memory again."""
    settings = settings_of(own_redis.url)
    limit(own_redis, "maxmemory", "1kb")
    assert ping(settings).startswith("Redis ")
    queue = Queue(settings)
    with pytest.raises(BrokerUnavailable):
        queue.publish(waiting_job())
    found = check_broker(settings)
    assert found.fault is BrokerFault.MEMORY
    assert found.sentence.startswith("Redis does not accept messages: its memory is full (OOM).")
    assert broker(settings).grade is Grade.FAULT
    limit(own_redis, "maxmemory", "0")
    assert check_broker(settings).fault is None
    queue.publish(waiting_job())
    queue.close()


def test_a_replica_is_not_ready(own_redis, redis_server_class, tmp_path):
    """A replica answers and is read-only; once promoted it accepts messages."""
    with redis_server_class(tmp_path / "replica") as copy:
        settings = settings_of(copy.url)
        with redis.Redis.from_url(copy.url) as client:
            client.replicaof("127.0.0.1", own_redis.port)
            found = check_broker(settings)
            assert found.fault is BrokerFault.READ_ONLY
            assert "read-only replica" in found.sentence
            assert broker(settings).grade is Grade.FAULT
            client.replicaof("NO", "ONE")
        assert check_broker(settings).fault is None


def test_a_redis_that_cannot_save_is_not_ready(redis_server_class, tmp_path):
    """After a snapshot that failed Redis refuses writes (MISCONF)."""
    folder = tmp_path / "snapshots"
    folder.mkdir()

    class Saving(redis_server_class):
        def command(self):
            return [*super().command(), "--save", "1 1", "--dir", str(folder)]

    with Saving(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        folder.rmdir()
        client.set("a", "1")
        settings, end = settings_of(server.url), time.monotonic() + 30
        while check_broker(settings).fault is None and time.monotonic() < end:
            client.get("a")
            time.sleep(0.1)
        assert check_broker(settings).fault is BrokerFault.DISK


def test_a_user_without_permission_is_a_fault(own_redis):
    """An ACL without write permission is reported; permission for our queues is enough."""
    with redis.Redis.from_url(own_redis.url) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">p", "~*", "+@read", "+ping")
        client.execute_command("ACL", "SETUSER", "writer", "on", ">p", f"~{READING}*", "+@all")
        url = f"redis://{{}}:p@127.0.0.1:{own_redis.port}/0"
        assert check_broker(settings_of(url.format("reader"))).fault is BrokerFault.REFUSED
        assert check_broker(settings_of(url.format("writer"))).fault is None


def test_a_redis_that_is_away_is_reported_as_away():
    """Nothing listens there."""
    found = check_broker(settings_of("redis://127.0.0.1:1/0"))
    assert (found.fault, "127.0.0.1" in found.sentence) == (BrokerFault.AWAY, False)


def openssl(*arguments):
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def issue(folder, name, by=None, host="127.0.0.1"):
    """Make NAME.pem and NAME.key for `host`, signed by `by` (by itself when None)."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2)
    signer = ("-CA", folder / f"{by}.pem", "-CAkey", folder / f"{by}.key") if by else ()
    kind = "IP" if host[0].isdigit() else "DNS"
    named = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{host}")
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE") if by else ()
    files = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    openssl("req", "-x509", *curve, *files, *named, *signer, *leaf)
    return folder / f"{name}.pem"


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """A folder with an authority, what it issued, and a stranger that signed itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("papers")
    issue(folder, "authority", host="authority.test")
    issue(folder, "server", "authority")
    issue(folder, "elsewhere", "authority", host="redis.test")
    issue(folder, "wetread", "authority", host="wetread.test")
    issue(folder, "stranger")
    return folder


@pytest.fixture
def tls_redis(redis_server_class, papers, tmp_path):
    """A function: name of a certificate, client certificates -> a running Redis, TLS only."""
    started = []

    def start(name="server", *, asks="no"):
        class TlsServer(redis_server_class):
            def command(self):
                program, *rest = super().command()
                rest[rest.index("--port") + 1] = "0"
                files = ("cert-file", f"{name}.pem"), ("key-file", f"{name}.key")
                given = [(f"--tls-{key}", str(papers / value)) for key, value in files]
                authority = ("--tls-ca-cert-file", str(papers / "authority.pem"))
                options = [word for pair in (*given, authority) for word in pair]
                port = ["--tls-port", str(self.port)]
                return [program, *rest, *port, *options, "--tls-auth-clients", asks]

        folder = tmp_path / name
        folder.mkdir()
        server = TlsServer(folder)
        started.append(server)
        return server.__enter__()

    yield start
    for server in started:
        server.__exit__(None, None, None)


def test_a_private_authority_is_trusted_by_tls_ca(tls_redis, papers):
    """The probe, the sender, the check of the queue and the worker reach Redis by the same rules."""
    server = tls_redis()
    settings = settings_of(f"rediss://127.0.0.1:{server.port}/0", tls_ca=papers / "authority.pem")
    assert check_broker(settings).sentence == ""
    assert ping(settings).startswith("Redis ")
    queue = Queue(settings)
    queue.publish(waiting_job())
    assert queue.queued_job_ids(READING) == {waiting_job().id}
    queue.close()
    app = worker_app(settings)
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1)
        channel = connection.channel()
        assert channel.basic_get(READING) is not None


@pytest.mark.parametrize("name", ["server", "elsewhere", "stranger"])
def test_nothing_goes_to_a_redis_that_is_not_trusted(tls_redis, papers, name):
    """Unknown authority, other host, self-signed: each client refuses it, Celery's included."""
    server = tls_redis(name)
    trusted = {} if name == "server" else {"tls_ca": papers / "authority.pem"}
    settings = settings_of(f"rediss://127.0.0.1:{server.port}/0", **trusted)
    found = check_broker(settings)
    assert found.fault is BrokerFault.TLS
    assert "certificate" in found.sentence
    assert "127.0.0.1" not in found.sentence
    queue = Queue(settings)
    for ask in (lambda: ping(settings), queue.ping, lambda: queue.publish(waiting_job())):
        with pytest.raises(BrokerUnavailable):
            ask()
    queue.close()
    app = worker_app(settings)
    with app.connection_for_read() as connection, pytest.raises((OperationalError, OSError)):
        connection.ensure_connection(max_retries=1, interval_start=0)


def test_tls_ca_alone_decides_where_it_is_given(tls_redis, papers, monkeypatch):
    """The system trusts the authority of this Redis; the configured file names another one."""
    monkeypatch.setenv("SSL_CERT_FILE", str(papers / "authority.pem"))
    server = tls_redis()
    url = f"rediss://127.0.0.1:{server.port}/0"
    of_system = settings_of(url)
    assert ping(of_system).startswith("Redis ")
    with worker_app(of_system).connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
    other = settings_of(url, tls_ca=papers / "stranger.pem")
    assert check_broker(other).fault is BrokerFault.TLS
    queue = Queue(other)
    with pytest.raises(BrokerUnavailable):
        ping(other)
    with pytest.raises(BrokerUnavailable):
        queue.ping()
    with pytest.raises(BrokerUnavailable):
        queue.publish(waiting_job())
    queue.close()
    refused = pytest.raises((OperationalError, OSError))
    with worker_app(other).connection_for_read() as connection, refused:
        connection.ensure_connection(max_retries=1, interval_start=0)


def test_a_client_certificate_is_shown(tls_redis, papers):
    """A Redis that requires one refuses clients without."""
    server = tls_redis(asks="yes")
    url, ca = f"rediss://127.0.0.1:{server.port}/0", papers / "authority.pem"
    assert check_broker(settings_of(url, tls_ca=ca)).fault in {BrokerFault.TLS, BrokerFault.AWAY}
    files = {"tls_certificate": papers / "wetread.pem", "tls_key": papers / "wetread.key"}
    settings = settings_of(url, tls_ca=ca, **files)
    assert check_broker(settings).sentence == ""
    queue = Queue(settings)
    queue.publish(waiting_job())
    queue.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "redis://h/0", "tls_ca": "ca.pem"}, "rediss://"),
        ({"url": "rediss://h/0", "tls_certificate": "c.pem"}, "belong together"),
        ({"url": "rediss://h/0?ssl_cert_reqs=none"}, "use tls_ca"),
        ({"tls_ca": "ca.pem"}, "rediss://"),
    ],
)
def test_settings_that_would_not_be_secure_are_refused(options, message):
    """No parameter of the URL disables the verification, and a file without TLS is a mistake."""
    with pytest.raises(ConfigurationError, match=message):
        load_settings(broker=options)


def test_a_file_that_is_not_there_is_reported(tmp_path):
    """The check ends with a message and not with a traceback."""
    settings = settings_of("rediss://127.0.0.1:1/0", tls_ca=tmp_path / "nowhere.pem")
    assert check_broker(settings).fault is not None
    with pytest.raises(BrokerUnavailable):
        ping(settings)
