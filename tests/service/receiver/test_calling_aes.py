import os
import signal

import pytest

from service.errors import ConfigurationError
from service.receiver.calling_aes import CallingAEs, destinations_for, reading_for
from service.settings.config import load_settings


@pytest.fixture
def file(tmp_path):
    """A configuration with one calling AE."""
    path = tmp_path / "wetread.toml"
    path.write_text('[[receiver.callers]]\nae_title = "CR1"\n')
    return path


def test_a_change_of_the_file_is_in_force_at_the_next_look(file):
    """A new modality is admitted, and a new quiet time applies, without a restart."""
    callers = CallingAEs(load_settings(file), file, lambda: load_settings(file))
    assert callers("CR1") is not None
    assert callers("CR2") is None
    file.write_text('[[receiver.callers]]\nae_title = "CR2"\nquiet_time = 7.5\n')
    callers.reload_if_changed()
    assert callers("CR1") is None
    assert callers("CR2").quiet_time == 7.5


def test_a_broken_file_changes_nothing(file):
    """Half a file, while a person edits it, rejects no modality."""
    callers = CallingAEs(load_settings(file), file, lambda: load_settings(file))
    file.write_text("[[receiver.callers")
    callers.reload_if_changed()
    file.unlink()
    callers.reload_if_changed()
    assert callers("CR1") is not None
    with pytest.raises(ConfigurationError):
        load_settings(file)


def test_without_a_change_the_file_is_read_only_when_asked(file):
    """SIGHUP reads it again, for instance because its time stamp is the same."""
    read = []

    def load():
        read.append(1)
        return load_settings(file)

    callers = CallingAEs(load_settings(file), file, load)
    stamp = file.stat().st_mtime_ns
    file.write_text('[[receiver.callers]]\nae_title = "CR3"\n')
    os.utime(file, ns=(stamp, stamp))
    callers.reload_if_changed()
    assert read == []
    callers.request_reload()
    callers.reload_if_changed()
    assert callers("CR3") is not None


def test_a_start_is_no_reload_in_the_log(file, capsys):
    """Only a changed file and SIGHUP are logged as `callers_reloaded`; a start reads the file, too."""
    callers = CallingAEs(load_settings(file), file, lambda: load_settings(file))
    callers.reload_on_sighup()
    callers.reload_if_changed()
    assert "callers_reloaded" not in capsys.readouterr().out
    os.kill(os.getpid(), signal.SIGHUP)
    callers.reload_if_changed()
    assert "callers_reloaded" in capsys.readouterr().out


def test_a_fault_of_several_lines_is_one_line_in_the_log(file, capsys):
    """The line has each fault of the file, without a line break as a backslash and a letter."""
    callers = CallingAEs(load_settings(file), file, lambda: load_settings(file))
    file.write_text('no_such = 1\nnor_such = 2\n[[receiver.callers]]\nae_title = "CR1"\n')
    callers.reload_if_changed()
    output = capsys.readouterr().out
    assert "callers_not_reloaded" in output
    assert "no_such" in output
    assert "nor_such" in output
    assert "\\n" not in output


TWO = """
[[models]]
name = "second"
model = "tiny"
model_version = "7"

[[destinations]]
kind = "folder"
name = "wards"
path = "wards"
[[destinations]]
kind = "folder"
name = "clinic"
path = "clinic"

[[receiver.callers]]
ae_title = "CR1"
[[receiver.callers]]
ae_title = "CR2"
model = "second"
destinations = ["clinic"]
"""


def test_each_caller_has_its_model_and_its_destinations(file):
    """A calling AE without them gets the model of [reading] and every destination."""
    file.write_text(TWO)
    settings = load_settings(file)
    plain, other = settings.caller("CR1"), settings.caller("CR2")
    assert reading_for(settings, plain)[0] == "demo"
    assert reading_for(settings, None)[0] == "demo"
    name, reading = reading_for(settings, other)
    assert (name, reading.model, reading.model_version) == ("second", "tiny", "7")
    assert settings.for_model("second").reading.model == "tiny"
    assert destinations_for(settings, plain) == ["wards", "clinic"]
    assert destinations_for(settings, other) == ["clinic"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('model = "second"', 'model = "third"', '"CR2", model: no model is named third'),
        ('["clinic"]', '["cellar"]', '"CR2", destinations: no destination is named cellar'),
        ('name = "second"', 'name = "demo"', "models: name used twice: demo"),
    ],
)
def test_what_a_caller_names_must_be_there(file, old, new, message):
    """A misspelled name is reported at the start, not by a job that waits for ever."""
    file.write_text(TWO.replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        load_settings(file)


def test_only_callers_are_taken_anew(file):
    """A model that no running process has needs a restart; until then nothing changes."""
    file.write_text(TWO)
    callers = CallingAEs(load_settings(file), file, lambda: load_settings(file))
    file.write_text(TWO.replace('ae_title = "CR1"', 'ae_title = "CR1"\nmodel = "second"'))
    callers.reload_if_changed()
    assert reading_for(callers.settings, callers("CR1"))[0] == "second"
    file.write_text(TWO.replace("second", "third"))
    callers.reload_if_changed()
    assert reading_for(callers.settings, callers("CR2"))[0] == "second"
