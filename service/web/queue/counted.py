"""The jobs that a confirmation page has counted, as a field of its form: ids with states."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from starlette.exceptions import HTTPException

from service.jobs import JobState
from service.records import Job
from service.store.operator.batches import MOST

_COUNTED: Final = re.compile(r"([0-9a-f]{32})\.([A-Z_]{1,16})")


def counted_field(jobs: Iterable[Job]) -> str:
    """Return the value of the field."""
    return " ".join(f"{job.id}.{job.state}" for job in jobs)


def parse_counted(text: str) -> Sequence[tuple[str, JobState]]:
    """Parse the value of the field.

    Raises:
        HTTPException: 400: a malformed value, no job, or more than a batch may hold.
    """
    words = text.split()
    found = [_COUNTED.fullmatch(word) for word in words]
    if not 0 < len(words) <= MOST:
        raise HTTPException(400, f"jobs: 1 to {MOST:,} jobs in a batch, not {len(words):,}.")
    pairs = [(each[1], each[2]) for each in found if each and each[2] in set(JobState)]
    if len(pairs) != len(words):
        raise HTTPException(400, "jobs: ids with states, as the page before wrote them.")
    return [(job_id, JobState(state)) for job_id, state in pairs]
