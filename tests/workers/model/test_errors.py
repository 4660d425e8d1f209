"""Errors of a model."""

import inspect

from workers.model import errors
from workers.model.errors import ModelError, ServerError, ServerUnavailable


def test_every_error_is_in_the_tree_of_the_docstring():
    """And has one of its own."""
    found = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    for each in found:
        assert issubclass(each, ModelError)
        assert each.__doc__
    for name in ("CheckpointError", "EngineStopped", "ServerUnavailable", "Canceled"):
        assert name in errors.__doc__


def test_the_servers_own_text_is_kept_apart():
    """It may repeat the request."""
    error = ServerUnavailable("no answer", detail="DOE^JOHN", retry_after=3.0, outage=True)
    assert str(error) == "no answer"
    assert (error.detail, error.retry_after, error.outage) == ("DOE^JOHN", 3.0, True)
    assert ServerError("x").detail == ""
