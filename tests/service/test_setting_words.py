"""For any value of a setting: a message of ours, no traceback and no phrase of a library."""

import re

import pytest

from service.errors import ConfigurationError
from service.settings.config import Settings, load_settings
from service.settings.reference import keys

WEIRD = [
    *(None, 1, -1, 0, 1.5, float("nan"), 10**30, True),
    *("", "x" * 300, "none", "\0", "redis://h:99999999/0"),
    *([], [1], ["a"], [[]], {}, {"a": 1}, [{}], [{"a": 1}], [{"name": "x", "kind": "dimse"}]),
]
# Phrases of pydantic, tomllib and json.
LIBRARY = re.compile(r"Input should|Value error|Extra inputs|validation error|Expecting|__")
NEEDED = {
    "orthanc": {"url": "http://h"},
    "stow": {"url": "http://h"},
    "dimse": {"host": "h", "port": 1, "ae_title": "A"},
    "folder": {"path": "/x"},
}


def placed(table: str, key: str, value: object) -> dict[str, object]:
    """Return settings with one value at a key of a table, as the reference names both."""
    kind = table.rpartition("kind = ")[2]
    if table.startswith("destinations"):
        return {"destinations": [{"name": "a", "kind": kind, **NEEDED[kind], key: value}]}
    if table == "receiver.callers[]":
        return {"receiver": {"callers": [{"ae_title": "A", key: value}]}}
    if table == "models[]":
        return {"models": [{"name": "b", key: value}]}
    if table == "reconcile[]":
        return {"reconcile": [{"destination": "a", "calling_ae": "A", key: value}]}
    return {table: {key: value}} if table else {key: value}


def every_key() -> list[tuple[str, str]]:
    """Return each table and key of the settings, and each table as if it were a key."""
    found = []
    for key in keys():
        split = key.name.partition(": ") if ": " in key.name else key.name.rpartition(".")
        found.append((split[0], split[2]))
    return found + [("", table) for table in Settings.model_fields]


def refusal(**settings) -> str:
    """Return the message about settings, "" if they are accepted."""
    try:
        load_settings(**settings)
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("table", "key"), every_key())
def test_a_weird_value_is_a_fault_with_our_message(tmp_path, monkeypatch, table, key):
    """At each key of each table, and in place of each table."""
    monkeypatch.chdir(tmp_path)
    for value in WEIRD:
        assert not LIBRARY.search(refusal(**placed(table, key, value))), value
