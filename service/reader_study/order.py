"""The order of the items for one reader: random, the arms of a case far apart, some texts twice. Pure.

The slots of the cases are arranged first, without the arms; then the texts of each case are shuffled
over its slots. So neither the position of a case nor its neighbors depend on the arm.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WANTED_GAP: Final = 20
REPEAT_SHARE: Final = 0.1
_ATTEMPTS: Final = 40


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One text at its place in a reader's order.

    Attributes:
        is_repeat: The reader has rated the same text before.
    """

    case_id: str
    text_id: str
    is_repeat: bool


@dataclass(frozen=True, slots=True)
class ReaderOrder:
    """The items of one reader.

    Attributes:
        gap: Two items of one case are at least so many places apart.
    """

    items: tuple[PlannedItem, ...]
    gap: int


def reader_order(
    texts: Mapping[str, Sequence[str]],
    *,
    seed: int,
    reader: str,
    wanted_gap: int = WANTED_GAP,
    repeat_share: float = REPEAT_SHARE,
) -> ReaderOrder:
    """Return the items of a reader in order.

    Args:
        texts: The ids of each case's texts, one for each arm.
        seed: Of the study; equal seeds and readers give equal orders.
        reader: What identifies the reader.
        wanted_gap: Places between two items of a case; the largest possible number if there are too few
            items for it.
        repeat_share: Share of the texts that are shown twice, rounded up; at most one text of a case.
    """
    # No draw for security, but one that can be repeated.
    draw = random.Random(f"{seed}:{reader}")
    slots = {case: list(found) for case, found in texts.items()}
    total = sum(len(each) for each in slots.values())
    repeats = min(math.ceil(repeat_share * total - 1e-9), len(slots))
    for case in draw.sample(sorted(slots), repeats):
        slots[case].append(draw.choice(slots[case]))
    gap, cases = _arranged({case: len(each) for case, each in slots.items()}, wanted_gap, draw)
    for each in slots.values():
        draw.shuffle(each)
    return ReaderOrder(_items(cases, slots), gap)


def _items(cases: Sequence[str], slots: Mapping[str, list[str]]) -> tuple[PlannedItem, ...]:
    left = {case: iter(texts) for case, texts in slots.items()}
    seen: set[str] = set()
    items = []
    for case in cases:
        text = next(left[case])
        items.append(PlannedItem(case, text, text in seen))
        seen.add(text)
    return tuple(items)


def _arranged(
    counts: Mapping[str, int], wanted: int, draw: random.Random
) -> tuple[int, Sequence[str]]:
    """Return the gap that is kept, and the cases in order."""
    for gap in range(min(wanted, _widest(counts)), 1, -1):
        for attempt in range(_ATTEMPTS):
            # The last attempt takes the case with most items left, which always fits (see `_widest`).
            found = _attempt(counts, gap, draw, fullest_first=attempt == _ATTEMPTS - 1)
            if found is not None:
                return gap, found
    rest = [case for case, count in counts.items() for _ in range(count)]
    draw.shuffle(rest)
    return 1, rest


def _widest(counts: Mapping[str, int]) -> int:
    """Return the largest gap for which there are enough items: (m - 1) gaps and the last items fit."""
    total, widest = sum(counts.values()), sum(counts.values())
    for most in range(2, max(counts.values(), default=1) + 1):
        as_many = sum(count >= most for count in counts.values())
        widest = min(widest, (total - as_many) // (most - 1))
    return max(widest, 1)


def _attempt(
    counts: Mapping[str, int], gap: int, draw: random.Random, *, fullest_first: bool
) -> Sequence[str] | None:
    """Return the cases in an order that keeps the gap; None if this draw leads nowhere."""
    left, last = Counter(counts), defaultdict[str, int](lambda: -gap)
    total, order = sum(counts.values()), list[str]()
    for place in range(total):
        free = [case for case in counts if left[case] and place - last[case] >= gap]
        if not free:
            return None
        # A case whose remaining items just fit must come now.
        due = [case for case in free if (left[case] - 1) * gap + 1 >= total - place]
        if fullest_first:
            most = max(left[case] for case in free)
            due = due or [case for case in free if left[case] == most]
        among = due or free
        (case,) = draw.choices(among, [left[case] for case in among])
        order.append(case)
        left[case] -= 1
        last[case] = place
    return order
