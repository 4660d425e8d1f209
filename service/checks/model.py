"""Checks of the configured models."""

import subprocess
from collections.abc import Iterator
from functools import partial

from service.checks.check import Check, Grade, Outcome
from service.config import Settings
from service.supervisor import wetread_command


def model_checks(settings: Settings) -> Iterator[Check]:
    """Yield a check of each configured model."""
    for name in settings.readings():
        yield Check(f"model {name}", partial(_loads, name))


def _loads(name: str) -> Outcome:
    """Load a model in a process of its own: this one must not need torch."""
    result = subprocess.run(  # noqa: S603 - our own command, no shell
        wetread_command("load-model", "--model", name), capture_output=True, text=True, check=False
    )
    lines = (result.stdout if result.returncode == 0 else result.stderr).strip().splitlines()
    grade = Grade.OK if result.returncode == 0 else Grade.FAULT
    return Outcome(lines[-1] if lines else "no answer", grade)
