"""Check that a silent or slow destination delays no other, and that copies have a limit.

Runs while no other fault is active: a time limit is meaningful only then. The senders go on
sending; the first PACS is healthy.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from fault_injection.second_verification import flooded
from fault_injection.site import PACS, SECOND, Site
from fault_injection.slow_peer import Manner
from service.jobs import DeliveryState
from service.records import Delivery
from workers.delivery.delivering import MOST_SENDS

_MANNERS: Final[tuple[Manner, ...]] = ("silent", "slow answers", "slow requests")
_FEWEST: Final = 5  # results: fewer allow no statement
_CALM_SECONDS: Final = 180.0
_LONGEST: Final = 4  # times the length of a phase, to wait for enough results
_ALL: Final = 100_000
_OPEN: Final = (DeliveryState.PENDING, DeliveryState.SENDING)


def held_apart(site: Site, seconds: float) -> Iterator[str]:
    """Yield each guarantee that is broken while the second PACS misbehaves, for `seconds` each.

    One line about each phase is printed.
    """
    for manner in _MANNERS:
        yield from _beside(site, manner, seconds)
    yield from _unflooded(site, seconds)


def _beside(site: Site, manner: Manner, seconds: float) -> Iterator[str]:
    yield from _calm(site, manner)
    link, since = site.second.link, site.store.now()
    before = link.harmed
    with _behaving(site, manner):
        _wait(seconds, lambda: len(_older(site, since)) >= _FEWEST)
        results = _older(site, since)
        now = site.store.now()
    waits = [(each.confirmed_at or now) - each.created_at for each in results]
    late = sum(wait > _limit(site) for wait in waits)
    longest = max(waits, default=timedelta())
    harmed = link.harmed - before
    print(
        f"second PACS {manner}: {len(results)} results for the first, the longest "
        f"{longest.total_seconds():.1f} s after its draft; {harmed} times nothing or a byte passed",
        flush=True,
    )
    if late:
        yield f"second PACS {manner}: {late} of {len(results)} results late at the first"
    if len(results) < _FEWEST or not harmed:
        yield f"second PACS {manner}: nothing to judge by"


def _unflooded(site: Site, seconds: float) -> Iterator[str]:
    yield from _calm(site, "changes UIDs")
    before = frozenset(site.second.copies)
    with site.second.changing_uids():
        _wait(seconds, lambda: len(site.second.copies) > len(before))
        copies = {uid: each for uid, each in site.second.copies.items() if uid not in before}
    most = max(map(len, copies.values()), default=0)
    print(f"second PACS changes UIDs: {len(copies)} objects, {most} copies at the most", flush=True)
    if not copies:
        yield "second PACS changes UIDs: nothing to judge by"
    yield from flooded(copies, MOST_SENDS)


def _limit(site: Site) -> timedelta:
    """Return the limit from a draft to its confirmation by the healthy PACS.

    A thread that waits for the other destination is not free before twice this time.
    """
    return timedelta(seconds=site.plan.second_timeout / 2)


@contextmanager
def _behaving(site: Site, manner: Manner) -> Iterator[None]:
    site.second.link.manner = manner
    try:
        yield
    finally:
        site.second.link.manner = "forwards"


def _calm(site: Site, what: str) -> Iterator[str]:
    """Wait until almost no result waits for a destination, so that phases are independent."""
    if not _until(lambda: _waiting(site) < _FEWEST, _CALM_SECONDS):
        yield f"before second PACS {what}: {_waiting(site)} results still wait"


def _waiting(site: Site) -> int:
    """Return how many results wait for either destination."""
    counts = site.store.delivery_counts()
    return sum(counts.get((name, state), 0) for name in (PACS, SECOND) for state in _OPEN)


def _older(site: Site, since: datetime) -> list[Delivery]:
    """Return the results for the first PACS since then for which lateness can be decided."""
    until = site.store.now() - _limit(site)
    jobs = [job for job in site.store.jobs(limit=_ALL) if job.updated_at >= since]
    found = [each for job in jobs for each in site.store.deliveries(job.id)]
    return [
        each for each in found if each.destination == PACS and since <= each.created_at <= until
    ]


def _wait(seconds: float, enough: Callable[[], bool]) -> None:
    """Wait for this time, and longer until there are enough results."""
    time.sleep(seconds)
    _until(enough, seconds * _LONGEST)


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(1)
    return holds
