"""What `wetread check` reports about each TLS file that the settings name."""

import os
import shutil
import ssl
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.checks.check import Grade
from service.checks.pem import validities
from service.checks.tls_files import tls_file_checks
from service.settings.config import as_environment, child_environment, load_settings
from tests.databases import make_database


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


def openssl(*arguments) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def issue(folder, name, days=90, kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")) -> Pair:
    """Return a new self-signed certificate that is valid for `days` from now."""
    made = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    files = ("-keyout", made.key, "-out", made.certificate, "-subj", f"/CN={name}")
    openssl("req", "-x509", "-nodes", "-newkey", *kind, "-days", max(days, 1), *files)
    if days < 0:
        signed = ("-signkey", made.key, "-out", made.certificate, "-days", days)
        openssl("x509", "-in", made.certificate, *signed)
    return made


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> dict[str, Pair]:
    """Certificates of several kinds, each with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("pairs")
    return {
        "good": issue(folder, "good"),
        "rsa": issue(folder, "rsa", kind=("rsa:2048",)),
        "other": issue(folder, "other"),
        "soon": issue(folder, "soon", days=5),
        "expired": issue(folder, "expired", days=-1),
    }


def tables(pair: Pair, authority: Path) -> dict[str, object]:
    """Return settings in which every table with TLS files names this pair and this authority."""
    own = {"tls_certificate": pair.certificate, "tls_key": pair.key}
    peer = {**own, "tls_ca": authority}
    web = {"url": "https://h"} | peer
    dimse = {"host": "h", "port": 104, "ae_title": "A", "tls": True} | peer
    return {
        "receiver": {"tls_port": 2762, "open": True, "tls_client_ca": authority, **own},
        "stow": {"port": 8443, **own},
        "broker": {"url": "rediss://h", **peer},
        "destinations": [
            {"name": "orthanc", "kind": "orthanc", **web},
            {"name": "stow", "kind": "stow", **web},
            {"name": "dimse", "kind": "dimse", **dimse},
        ],
        "reconcile": [{"archive": {"name": "old", "kind": "stow", **web}, "calling_ae": "A"}],
    }


def outcomes(tmp_path, monkeypatch, **settings):
    """Return what is reported about each file, by its key."""
    monkeypatch.chdir(tmp_path)
    checks = tls_file_checks(load_settings(**settings))
    return {check.what: check.probe() for check in checks}


KEYS = {
    *("receiver.tls_certificate", "receiver.tls_key", "receiver.tls_client_ca"),
    *("stow.tls_certificate", "stow.tls_key"),
    *(f"broker.{key}" for key in ("tls_ca", "tls_certificate", "tls_key")),
    *(
        f'destinations "{name}", {key}'
        for name in ("orthanc", "stow", "dimse")
        for key in ("tls_ca", "tls_certificate", "tls_key")
    ),
    *(f'reconcile "old", archive.{key}' for key in ("tls_ca", "tls_certificate", "tls_key")),
}


def test_every_file_of_every_table_is_looked_at(tmp_path, monkeypatch, pairs):
    """Good files of the receiver, STOW, the broker, each destination and archive are all ok."""
    good = pairs["good"]
    found = outcomes(tmp_path, monkeypatch, **tables(good, good.certificate))
    assert found.keys() == KEYS
    assert {each.grade for each in found.values()} == {Grade.OK}
    assert str(good.certificate) in found["receiver.tls_key"].detail


def test_every_missing_file_is_a_fault(tmp_path, monkeypatch):
    """With the file's path, the setting, and what to do."""
    nowhere = tmp_path / "nowhere.pem"
    found = outcomes(tmp_path, monkeypatch, **tables(Pair(nowhere, nowhere), nowhere))
    assert found.keys() == KEYS
    for key, each in found.items():
        assert each.grade is Grade.FAULT
        assert f"{nowhere} does not exist: put the file there, or correct {key}" in each.detail


def stow(tmp_path, monkeypatch, certificate, key):
    """Return the outcomes of certificate and key in [stow]."""
    files = {"tls_certificate": certificate, "tls_key": key}
    found = outcomes(tmp_path, monkeypatch, stow={"port": 8443, **files})
    return found["stow.tls_certificate"], found["stow.tls_key"]


@pytest.mark.parametrize("other", ["other", "rsa"])
def test_a_key_of_another_certificate_is_a_fault(tmp_path, monkeypatch, pairs, other):
    """Also where the two are of different kinds; both files are named."""
    mine, theirs = pairs["good"].certificate, pairs[other].key
    certificate, key = stow(tmp_path, monkeypatch, mine, theirs)
    assert (certificate.grade, key.grade) == (Grade.OK, Grade.FAULT)
    assert f"the key in {theirs} does not belong to the certificate in {mine}" in key.detail


@pytest.mark.parametrize(("name", "grade"), [("expired", Grade.FAULT), ("soon", Grade.WARNING)])
def test_a_certificate_that_expires_is_named_with_its_day(
    tmp_path, monkeypatch, pairs, name, grade
):
    """Before the end as a warning, afterwards as a fault; of an authority too."""
    pair = pairs[name]
    [validity] = validities(pair.certificate.read_text())
    found = outcomes(tmp_path, monkeypatch, **tables(pair, pair.certificate))
    assert found["receiver.tls_certificate"].grade is grade
    assert f"{validity.ends:%Y-%m-%d}" in found["receiver.tls_certificate"].detail
    if name == "expired":
        assert found["receiver.tls_client_ca"].grade is Grade.FAULT
        assert f"expired on {validity.ends:%Y-%m-%d}" in found["broker.tls_ca"].detail


def test_one_expired_authority_among_others_is_a_warning(tmp_path, monkeypatch, pairs):
    """Peers of the others are still trusted."""
    both = tmp_path / "both.pem"
    texts = [pairs[name].certificate.read_text() for name in ("good", "expired")]
    both.write_text("".join(texts))
    found = outcomes(tmp_path, monkeypatch, **tables(pairs["good"], both))
    assert found["broker.tls_ca"].grade is Grade.WARNING


def test_exchanged_files_are_reported_as_exchanged(tmp_path, monkeypatch, pairs):
    """The key where the certificate belongs and the other way round."""
    certificate, key = stow(tmp_path, monkeypatch, pairs["good"].key, pairs["good"].certificate)
    assert "holds a private key and no certificate" in certificate.detail
    assert "holds a certificate and no private key" in key.detail
    assert {certificate.grade, key.grade} == {Grade.FAULT}


def test_a_damaged_or_foreign_file_is_a_fault(tmp_path, monkeypatch, pairs):
    """Cut PEM, DER, a folder, text: each with its reason, and no error leaves the check."""
    good = pairs["good"]
    der = tmp_path / "der"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(good.certificate.read_text()))
    cut = tmp_path / "cut.pem"
    lines = good.certificate.read_text().splitlines()
    cut.write_text("\n".join([*lines[:2], lines[-1]]))
    text = tmp_path / "text.pem"
    text.write_text("to do")
    expected = {der: "is not PEM but DER", cut: "damaged", tmp_path: "is not a file", text: "PEM"}
    for path, reason in expected.items():
        certificate, key = stow(tmp_path, monkeypatch, path, good.key)
        assert (certificate.grade, reason in certificate.detail) == (Grade.FAULT, True), path
        assert key.grade is Grade.OK
    cut.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    _, key = stow(tmp_path, monkeypatch, good.certificate, cut)
    assert "damaged or of an unknown kind" in key.detail


def test_a_key_with_a_password_is_a_fault(tmp_path, monkeypatch, pairs):
    """The check never prompts for the password; the message states how to remove it."""
    locked = tmp_path / "locked.key"
    to = ("-out", locked, "-aes256", "-passout", "pass:secret")
    openssl("pkey", "-in", pairs["good"].key, *to)
    _, key = stow(tmp_path, monkeypatch, pairs["good"].certificate, locked)
    assert key.grade is Grade.FAULT
    assert f"the key in {locked} has a password" in key.detail


@pytest.fixture
def unprivileged(tmp_path):
    """Run the test as a user without access to all files."""
    before = os.geteuid()
    tmp_path.chmod(0o755)
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_file_that_this_user_may_not_read_is_a_fault(tmp_path, monkeypatch, pairs, request):
    """With the user and what to change."""
    locked = tmp_path / "locked.pem"
    locked.write_bytes(pairs["good"].certificate.read_bytes())
    locked.chmod(0)
    monkeypatch.chdir(tmp_path)
    files = {"tls_certificate": locked, "tls_key": locked}
    settings = load_settings(stow={"port": 8443, **files})
    request.getfixturevalue("unprivileged")
    for each in tls_file_checks(settings):
        found = each.probe()
        assert found.grade is Grade.FAULT
        assert f"{locked} cannot be read by user {os.geteuid()}: allow" in found.detail


def test_the_validity_is_that_of_the_certificate(pairs):
    """Begin and end as requested of openssl."""
    [found] = validities(pairs["good"].certificate.read_text())
    now = datetime.now(UTC)
    assert abs(found.begins - now) < timedelta(minutes=10)
    assert found.ends - found.begins == timedelta(days=90)


@pytest.mark.parametrize(
    ("table", "command", "ports"),
    [
        ("receiver", "receive", {"port": "none", "tls_port": 0}),
        ("stow", "receive-web", {"port": 0}),
        ("hl7", "receive-hl7", {"port": 0}),
    ],
)
def test_a_part_that_cannot_use_its_files_names_them(
    tmp_path, free_port, pairs, redis_server, table, command, ports
):
    """The starting process reports the same as the check: setting, file, and the fault."""
    key = pairs["other"].key
    files = {"tls_certificate": str(pairs["good"].certificate), "tls_key": str(key)}
    listening = {name: port or free_port() for name, port in ports.items()}
    settings = {
        "data_dir": str(tmp_path / "data"),
        "broker": {"url": redis_server.url},
        table: {"host": "127.0.0.1", **listening, **files},
    }
    make_database(load_settings(**settings).database_url)
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", command],
        env=child_environment(**as_environment(settings)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"wetread: {table}.tls_key: the key in {key} does not belong to" in done.stderr
