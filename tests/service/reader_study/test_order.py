"""The order of a reader's items: far apart, repeated in part, and nothing that reveals the arms."""

import math
from collections import Counter
from itertools import pairwise

import pytest

from service.reader_study.order import reader_order


def texts(cases):
    """Return the texts of cases: a draft and a reference each."""
    return {f"c{n}": [f"c{n}-draft", f"c{n}-reference"] for n in range(cases)}


def places(items):
    """Return the positions of each case's items."""
    found = {}
    for place, item in enumerate(items):
        found.setdefault(item.case_id, []).append(place)
    return found


def narrowest(items):
    """Return the least distance between two items of one case."""
    return min(
        (later - earlier for at in places(items).values() for earlier, later in pairwise(at)),
        default=len(items),
    )


@pytest.mark.parametrize(
    ("cases", "gap"), [(100, 20), (30, 20), (21, 20), (12, 12), (5, 5), (2, 2)]
)
def test_items_of_a_case_are_as_far_apart_as_their_number_allows(cases, gap):
    """20 places where there are enough items; else the largest distance that is possible."""
    for seed in range(5):
        order = reader_order(texts(cases), seed=seed, reader="kim")
        assert order.gap == narrowest(order.items) or order.gap < narrowest(order.items)
        assert order.gap >= min(gap, 20) - 1
        repeats = [item for item in order.items if item.is_repeat]
        assert len(repeats) == math.ceil(0.1 * 2 * cases)
        shown = Counter(item.text_id for item in order.items)
        assert set(shown) == {text for each in texts(cases).values() for text in each}
        assert all(shown[item.text_id] == 2 for item in repeats)


def test_a_repeat_comes_after_the_first_time_and_of_a_case_only_once():
    """So its second rating can be compared with the first."""
    order = reader_order(texts(40), seed=3, reader="kim")
    seen = set()
    for item in order.items:
        assert item.is_repeat == (item.text_id in seen)
        seen.add(item.text_id)
    repeated = [item.case_id for item in order.items if item.is_repeat]
    assert len(set(repeated)) == len(repeated) == 8


def test_the_same_seed_gives_the_same_order_and_each_reader_another():
    """Reproducible, and readers cannot compare their positions."""
    one, again, other, later = (
        reader_order(texts(30), seed=seed, reader=reader)
        for seed, reader in ((1, "kim"), (1, "kim"), (1, "lee"), (2, "kim"))
    )
    assert one == again
    assert one != other
    assert one != later


@pytest.mark.parametrize("cases", [6, 30])
def test_position_and_neighbors_say_nothing_about_the_arm(cases):
    """Over 400 seeds: chi-square of arm by place, by order in the pair, by neighbor, by repeat."""
    early, first, same, repeats, total = 0, 0, 0, 0, 0
    count = [0, 0, 0, 0]
    for seed in range(400):
        items = reader_order(texts(cases), seed=seed, reader="kim").items
        drafts = [item.text_id.endswith("draft") for item in items]
        half = len(items) // 2
        early += sum(drafts[:half])
        count[0] += half
        for at in places(items).values():
            first += drafts[at[0]]
            count[1] += 1
        same += sum(one == other for one, other in pairwise(drafts))
        count[2] += len(drafts) - 1
        repeats += sum(d for d, item in zip(drafts, items, strict=True) if item.is_repeat)
        count[3] += sum(item.is_repeat for item in items)
        total += len(items)
    for hits, n in zip((early, first, same, repeats), count, strict=True):
        # Four normal deviates: a false alarm in 16,000 runs, and the seeds are fixed.
        assert abs(hits - n / 2) < 4 * math.sqrt(n / 4), (hits, n)
    assert total


def test_cases_with_one_text_are_ordered_as_well():
    """A case list may hold one arm of a case."""
    order = reader_order(
        {"a": ["t1"], "b": ["t2"], "c": ["t3"]}, seed=0, reader="kim", repeat_share=0
    )
    assert sorted(item.text_id for item in order.items) == ["t1", "t2", "t3"]
    assert not any(item.is_repeat for item in order.items)
