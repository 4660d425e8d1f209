"""The journal of a judge's replies."""

import pytest

from service.errors import ConfigurationError
from workers.judge.journal import NAME, Journal, Reply, request_key


def reply(key="k", **changes):
    """Return a reply that cannot be parsed."""
    values = {
        "key": key,
        "id": "1",
        "metric": "m",
        "reply": "no counts",
        "finish_reason": "stop",
        "refused": False,
        "first_reply": "",
        "tries": 1,
        "model": "j",
        "prompt_tokens": 1,
        "reply_tokens": 2,
        "seconds": 0.5,
    }
    return Reply(**{**values, **changes})


def test_replies_are_there_after_a_restart(tmp_path):
    """A torn last line is dropped."""
    with Journal.opened(tmp_path) as journal:
        journal.add(reply("a"))
        journal.add(reply("b", reply="Ä"))
    with (tmp_path / NAME).open("a") as file:
        file.write('{"key": "c"')
    with Journal.opened(tmp_path) as journal:
        assert journal.known("b") == reply("b", reply="Ä")
        assert journal.known("c") is None
        journal.add(reply("d"))
    with Journal.opened(tmp_path) as journal:
        assert journal.known("d") == reply("d")


def test_one_process_writes(tmp_path):
    """Another one is an error."""
    refused = pytest.raises(ConfigurationError, match="another `wetread judge`")
    with Journal.opened(tmp_path), refused, Journal.opened(tmp_path):
        pass


def test_a_line_that_is_no_record_is_an_error(tmp_path):
    """With its number."""
    (tmp_path / NAME).write_text("{}\n")
    damaged = pytest.raises(ConfigurationError, match="line 1: not a record")
    with damaged, Journal.opened(tmp_path):
        pass


def test_a_key_is_that_of_the_whole_request():
    """Model, messages and parameters."""
    base = request_key("m", [{"role": "user", "content": "x"}], {"seed": 1})
    assert base == request_key("m", [{"content": "x", "role": "user"}], {"seed": 1})
    assert base != request_key("m", [{"role": "user", "content": "y"}], {"seed": 1})
    assert base != request_key("m", [{"role": "user", "content": "x"}], {"seed": 2})
    assert base != request_key("n", [{"role": "user", "content": "x"}], {"seed": 1})
