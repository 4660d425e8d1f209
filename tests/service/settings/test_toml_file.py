"""TOML files: the line of each key, and messages about faults."""

import pytest

from service.errors import ConfigurationError
from service.settings.toml_file import read_toml


@pytest.fixture
def read(tmp_path):
    """A function that reads a file of this content."""

    def of(content):
        path = tmp_path / "wetread.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_toml(path)

    return of


def test_every_key_has_its_line(read):
    """In tables, in repeated tables and in their own tables."""
    found = read(
        '\ufeffdata_dir = "d"\n[receiver]\nport = 104\n[[destinations]]\nname = "a"\n'
        '[[destinations]]\nname = "b"\n[destinations.tls]\nca = "c"\n'
    )
    assert found.values["destinations"][1]["tls"] == {"ca": "c"}
    assert found.lines[("data_dir",)] == 1
    assert found.lines["receiver", "port"] == 3
    assert found.lines["destinations", 1, "name"] == 7
    assert found.lines["destinations", 1, "tls", "ca"] == 9


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[receiver\nport = 1", "line 1.*ends with a bracket"),
        ("port 1", "line 1, column 6.*followed by = and a value"),
        ("port = ", "value"),
        ("a = 1\na = 2", "given twice in this table"),
        ("[a]\n[a]", "a table is written twice"),
        ('a = "x', "no quotation mark at its end"),
        ('a = "C:\\dir"', "backslash"),
        ("a = [1, 2", "bracket"),
        ("a = yes", "a value is a number, true, false"),
        (b'a = "\xe4"', "line 1: a character is not UTF-8 .byte 0xE4"),
        ("a = " + "[" * 10_000, "nested too deeply|bracket"),
    ],
)
def test_a_fault_is_said_in_words(read, content, problem):
    """With the line, and what to write instead."""
    with pytest.raises(ConfigurationError, match=problem):
        read(content)


def test_a_file_that_is_not_there(tmp_path):
    """The reason of the system."""
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")
