"""File, variables and arguments: which one applies, and the source of a value."""

from pathlib import Path

import pytest

from service.settings.config import Settings
from service.settings.sources import Sources, Variable, read_variables
from service.settings.toml_file import TomlFile

FILE = TomlFile(
    Path("w.toml"),
    {"receiver": {"port": 104, "host": "h"}, "data_dir": "d"},
    {("receiver",): 1, ("receiver", "port"): 2, ("receiver", "host"): 3, ("data_dir",): 4},
)


def test_arguments_override_variables_and_these_the_file():
    """Tables are merged key by key."""
    sources = Sources(
        FILE,
        [Variable("WETREAD_RECEIVER__PORT", ("receiver", "port"), "105")],
        {"data_dir": "e"},
    )
    assert sources.values() == {"receiver": {"port": "105", "host": "h"}, "data_dir": "e"}
    assert FILE.values["receiver"]["port"] == 104


def test_the_place_of_a_value():
    """A variable, a line, or that of the table around it; an argument has none."""
    sources = Sources(
        FILE, [Variable("WETREAD_RECEIVER", ("receiver",), {"port": 105})], {"data_dir": "e"}
    )
    assert sources.place(("receiver", "port")) == "environment variable WETREAD_RECEIVER"
    assert sources.place(("receiver", "host")) == "line 3"
    assert sources.place(("receiver", "gone")).startswith("environment variable")
    assert sources.place(("data_dir",)) == ""
    assert sources.exact_place(("web",)) == ""


def test_variables_of_lists_and_tables_are_json():
    """Others are texts."""
    variables, faults = read_variables(
        {"WETREAD_RECEIVER__PORT": "105", "WETREAD_RECEIVER__CALLERS": '[{"ae_title": "CR1"}]'},
        Settings,
    )
    assert faults == []
    assert {each.path: each.value for each in variables} == {
        ("receiver", "port"): "105",
        ("receiver", "callers"): [{"ae_title": "CR1"}],
    }


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("WETREAD_RECIEVER__PORT", "1", "did you mean `WETREAD_RECEIVER__PORT`"),
        ("WETREAD_RECEIVER__CALLERS", "", "it is empty"),
        ("WETREAD_RECEIVER__CALLERS", "[CR1]", "quotation marks"),
        ("WETREAD_RECEIVER__CALLERS", '["a" "b"]', "comma or a closing bracket"),
        ("WETREAD_RECEIVER__CALLERS", "[] x", "more text after its end"),
        ("WETREAD_RECEIVER__CALLERS", "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_variable_that_cannot_be_used(name, text, problem):
    """Its name, and what is wrong."""
    variables, (fault,) = read_variables({name: text}, Settings)
    assert variables == []
    assert fault.startswith(f"environment variable {name}: ")
    assert problem in fault
