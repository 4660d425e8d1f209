"""Readings beside others, and exclusive ones."""

import threading
import time

import pytest

from service.errors import ReadingCanceled
from workers.reading.exclusive_attempt import ExclusiveAttempt


def never():
    """No attempt is canceled."""
    return False


def test_some_read_together():
    """Two shared attempts run at the same time."""
    turns = ExclusiveAttempt()
    with (
        turns.taken(alone=False, given_up=never),
        turns.taken(alone=False, given_up=never),
    ):
        assert turns._together == 2


def test_one_that_is_alone_waits_and_is_not_overtaken():
    """It starts after the others have ended, and later ones wait for its end."""
    turns, seen = ExclusiveAttempt(), []

    def read(name, *, alone):
        with turns.taken(alone=alone, given_up=never):
            seen.append(name)

    with turns.taken(alone=False, given_up=never):
        alone = threading.Thread(target=read, args=["alone"], kwargs={"alone": True})
        alone.start()
        while not turns._alone:
            time.sleep(0.005)
        later = threading.Thread(target=read, args=["later"], kwargs={"alone": False})
        later.start()
        time.sleep(0.1)
        assert seen == []
    alone.join(10)
    later.join(10)
    assert seen == ["alone", "later"]


@pytest.mark.parametrize("alone", [True, False])
def test_who_gives_up_leaves_the_way_free(alone):
    """One that is canceled while it waits raises, and delays no other."""
    turns = ExclusiveAttempt()
    with turns.taken(alone=not alone, given_up=never):
        entering = turns.taken(alone=alone, given_up=lambda: True)
        with pytest.raises(ReadingCanceled):
            entering.__enter__()
    with turns.taken(alone=True, given_up=never):
        pass
