"""How a command of evaluation ends: its exit status, and faults of the input on stderr."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from service.assessment.judged import JudgeFigures, NotJudged, has_figure
from workers.evaluation.draft_rows import DraftState
from workers.evaluation.faults import InputFaults
from workers.evaluation.reading import Stop
from workers.evaluation.run_directory import RunDirectory

_FAILED: Final = 1
_INPUT: Final = 2
_SIGNAL: Final = 128  # plus the signal's number


@contextmanager
def report_errors(command: str) -> Iterator[None]:
    """List the faults that the block raises, a line each, and end with exit status 2."""
    try:
        yield
    except InputFaults as error:
        for fault in error.faults:
            click.echo(f"wetread {command}: {fault}", err=True)
        count = len(error.faults)
        word = "fault" if count == 1 else "faults"
        click.echo(f"wetread {command}: {count} {word}; nothing was read", err=True)
        sys.exit(_INPUT)


def exit_status(
    run: RunDirectory, stop: Stop, judge: JudgeFigures | NotJudged | None = None
) -> int:
    """Return the exit status of a run.

    Returns:
        128 plus the signal that ended the run (130: SIGINT); 1 for failed studies, or for a judge that
        gave no figure; else 0.
    """
    if stop.signal:
        return _SIGNAL + int(signal.Signals(stop.signal))
    failed = any(row["state"] == DraftState.ERROR for row in run.finished.values())
    return _FAILED if failed or (judge is not None and not has_figure(judge)) else 0
