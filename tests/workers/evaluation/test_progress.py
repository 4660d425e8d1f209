"""The progress of a run as text."""

import io

from workers.evaluation.progress import Progress


class Seconds:
    """A clock of the test."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        """Return the time."""
        return self.now


def progress(**given):
    """Return a progress to a text, its clock and the text."""
    clock, stream = Seconds(), io.StringIO()
    return Progress(100, stream=stream, clock=clock, **given), clock, stream


def row(state="drafted", tokens=10):
    """Return the part of a row that is counted."""
    return {"state": state, "tokens": tokens}


def test_rate_and_time_left_are_those_of_this_run():
    """Studies of an earlier run do not count for the rate."""
    made, clock, _ = progress(already=40)
    assert made.line() == "40 of 100 studies, 0 not analyzed, 0 failed"
    for _ in range(20):
        made.finished(row())
    clock.now = 10.0
    assert made.line() == (
        "60 of 100 studies, 2.0/s, 20 s left, 20 tokens/s, 0 not analyzed, 0 failed"
    )
    clock.now = 4000.0
    assert "0.3/min, 2 h 13 min left" in made.line()
    assert made.facts == {"studies": 20, "seconds": 4000.0, "tokens": 200}


def test_a_file_gets_a_line_in_thirty_seconds():
    """And the last one."""
    made, clock, stream = progress()
    for now in (1, 29, 30, 45, 59):
        clock.now = now
        made.show()
    assert stream.getvalue().count("\n") == 1
    made.show(last=True)
    assert stream.getvalue().count("\n") == 2
