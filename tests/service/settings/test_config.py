from pathlib import Path

import pytest

from service.errors import ConfigurationError
from service.settings.config import as_environment, child_environment, load_settings, restarts


@pytest.fixture
def toml(tmp_path, monkeypatch):
    """Write a wetread.toml and make its folder the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "wetread.toml"
        path.write_text(text)
        return path

    return write


def test_everything_has_a_default(tmp_path, monkeypatch):
    """Without a file and without variables the settings are complete."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.receiver.ae_title == "WETREAD"
    assert settings.database_url.startswith("sqlite:////")


def test_the_environment_overrides_the_file_and_arguments_override_both(toml, monkeypatch):
    """The order of the sources is: arguments, environment, file; other keys of a table stay."""
    toml('[receiver]\nport = 1\nae_title = "FILE"\nquiet_time = 7\n')
    monkeypatch.setenv("WETREAD_RECEIVER__PORT", "2")
    assert load_settings().receiver.port == 2
    settings = load_settings(receiver={"port": 3})
    assert (settings.receiver.port, settings.receiver.ae_title) == (3, "FILE")
    assert settings.receiver.quiet_time == 7


def test_all_faults_are_reported_at_once_and_without_values(toml):
    """One message names every wrong key; a secret beside a fault is not shown."""
    toml(
        '[receiver]\nport = 99999\nae_title = "seventeen letters!"\nnonsense = 1\n'
        '[web]\nhost = "0.0.0.0"\npassword = "hunter2"\nport = "x"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    message = str(caught.value)
    for key in ("receiver.port", "receiver.ae_title", "receiver.nonsense", "web.port"):
        assert key in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[web]\nhost = "0.0.0.0"\n', "web.host"),
        ('[reading]\nmodel = "cxr-llava-v2"\n', "reading.model_dir"),
        ("[reading]\nhang_seconds = 60\n", r"reading.hang_seconds: 60 must be more than"),
        ('[[destinations]]\nname = "a"\nkind = "fax"\n', "destinations"),
        (
            (
                '[[destinations]]\nname="a"\nkind="folder"\npath="x"\n'
                '[[destinations]]\nname="a"\nkind="folder"\npath="y"\n'
            ),
            "name used twice: a",
        ),
        ('[[receiver.callers]]\nae_title = "A"\naddress = "room 1"\n', "address"),
        (
            '[[destinations]]\nname="a"\nkind="orthanc"\nurl="http://u:hunter2@h:1"\n',
            "holds a user name or password",
        ),
        ('[[destinations]]\nname="a"\nkind="stow"\nurl="ftp://h"\n', "must begin with http"),
        ("[receiver\n", "wetread.toml"),
    ],
)
def test_a_fault_is_named(toml, text, named):
    """Each kind of wrong file leads to a message with the key in it."""
    toml(text)
    with pytest.raises(ConfigurationError, match=named) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_that_was_named_is_an_error(tmp_path, monkeypatch):
    """WETREAD_CONFIG with a missing file must not silently give the defaults."""
    monkeypatch.setenv("WETREAD_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigurationError, match="no such configuration file"):
        load_settings()


@pytest.mark.parametrize("name", ["WETREAD_RECEIVR__PORT", "WETREAD_RECEIVER__PROT", "WETREAD_X"])
def test_a_misspelt_variable_is_an_error(tmp_path, monkeypatch, name):
    """A variable that names no setting is reported, not ignored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigurationError, match=name):
        load_settings()


def test_overrides_reach_a_child_as_environment(tmp_path, monkeypatch):
    """A child reads from `as_environment(overrides)` what `load_settings(**overrides)` gives here."""
    monkeypatch.chdir(tmp_path)
    overrides = {
        "data_dir": str(tmp_path),
        "receiver": {"port": 0, "open": True, "callers": [{"ae_title": "CR1"}]},
        "destinations": [{"kind": "folder", "name": "out", "path": "out"}],
    }
    here = load_settings(**overrides)
    for name, value in as_environment(overrides).items():
        monkeypatch.setenv(name, value)
    assert load_settings().model_dump() == here.model_dump()


def test_only_known_callers_unless_open(tmp_path, monkeypatch):
    """An unknown calling AE title has no entry; an open receiver creates one with the defaults."""
    monkeypatch.chdir(tmp_path)
    known = load_settings(receiver={"callers": [{"ae_title": "CR1", "quiet_time": 9}]})
    assert known.caller("CR1").quiet_time == 9
    assert known.caller("CR2") is None
    assert load_settings(receiver={"open": True}).caller("CR2").priority == "routine"


def test_the_private_broker_is_found_by_its_file(tmp_path, monkeypatch):
    """Without broker.url the address is that of the running private Redis, or a clear error."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    with pytest.raises(ConfigurationError, match="wetread up"):
        _ = settings.broker_url
    settings.run_dir.mkdir(parents=True)
    (settings.run_dir / "broker.url").write_text("redis://127.0.0.1:1/0\n")
    assert settings.broker_url == "redis://127.0.0.1:1/0"


def test_restarts_are_handed_to_a_child(monkeypatch):
    """The process reports the supervisor's count with its heartbeat."""
    assert restarts() == 0
    monkeypatch.setenv(
        "WETREAD_RESTARTS", child_environment(WETREAD_RESTARTS="3")["WETREAD_RESTARTS"]
    )
    assert restarts() == 3


def test_a_file_that_cannot_be_read_is_a_configuration_error():
    """A process that reads the file again, as receivers do, continues with its present values."""
    unreadable = Path("/proc/self/mem")  # for root as well
    with pytest.raises(ConfigurationError, match="cannot be read: Input/output error"):
        load_settings(unreadable)


@pytest.mark.parametrize("how", ["file", "environment"])
def test_a_receiver_may_have_the_tls_port_only(tmp_path, monkeypatch, how):
    """`port = "none"` opens no port for plain DICOM."""
    path = tmp_path / "wetread.toml"
    tls = 'tls_port = 2762\ntls_certificate = "c.pem"\ntls_key = "k.pem"\n'
    path.write_text(f"[receiver]\n{tls}" + ('port = "none"\n' if how == "file" else ""))
    if how == "environment":
        monkeypatch.setenv("WETREAD_RECEIVER__PORT", "none")
    receiver = load_settings(path).receiver
    assert receiver.port is None
    assert receiver.ports == (2762,)


def test_a_receiver_without_any_port_is_a_clear_fault(tmp_path):
    """The message states what may be given."""
    path = tmp_path / "wetread.toml"
    path.write_text('[receiver]\nport = "none"\n')
    with pytest.raises(ConfigurationError, match="neither port nor tls_port is set: give port"):
        load_settings(path)
