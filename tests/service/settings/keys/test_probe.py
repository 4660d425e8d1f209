"""The table [probe]: the calling AE of the check, the destination of its results, and conflicts."""

import pytest

from service.errors import ConfigurationError
from service.settings.config import settings_of

PACS = [
    {"kind": "orthanc", "name": "a", "url": "http://127.0.0.1:1", "may_remove": True},
    {"kind": "orthanc", "name": "b", "url": "http://127.0.0.1:2"},
]


def made(**probe):
    """Return settings with two destinations and this table."""
    return settings_of({"destinations": PACS, "probe": {"enabled": True, **probe}})


def test_the_calling_ae_is_admitted_from_this_machine_only():
    """Without an entry in receiver.callers; with checks off not at all."""
    caller = made().caller("WETREADPROBE")
    assert caller.may_come_from("127.0.0.1")
    assert caller.may_come_from("::1")
    assert not caller.may_come_from("10.0.0.9")
    assert settings_of({}).caller("WETREADPROBE") is None
    open_to_all = settings_of({"receiver": {"open": True}, "probe": {"enabled": True}})
    assert not open_to_all.caller("WETREADPROBE").may_come_from("10.0.0.9")


def test_only_destinations_where_nothing_is_left_take_part_by_default():
    """Others have to be named."""
    assert made().caller("WETREADPROBE").destinations == ("a",)
    assert made(destinations=["b"]).caller("WETREADPROBE").destinations == ("b",)
    assert made(destinations=[]).caller("WETREADPROBE").destinations == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"probe": {"destinations": ["c"]}}, "no destination is named c"),
        ({"probe": {"model": "other"}}, "no model that reads for results is named other"),
        ({"probe": {"limit_minutes": 90}}, "is longer than every_minutes"),
        (
            {
                "probe": {"enabled": True, "ae_title": "CT1"},
                "receiver": {"callers": [{"ae_title": "CT1"}]},
            },
            "CT1 is in receiver.callers",
        ),
    ],
)
def test_conflicts_are_refused(given, message):
    """The message states what to change."""
    with pytest.raises(ConfigurationError, match=message):
        settings_of(given)
