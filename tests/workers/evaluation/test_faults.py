"""Faults of the input are listed at once."""

import pytest

from workers.evaluation.faults import InputFaults, raise_if_any


def test_all_faults_are_raised_together():
    """None is no error."""
    raise_if_any([])
    with pytest.raises(InputFaults, match="a; b") as caught:
        raise_if_any(iter(["a", "b"]))
    assert caught.value.faults == ("a", "b")
