"""Counts of Instances by calling AE: equal at any time, for any part that is counted already."""

from datetime import timedelta

from service.records.network import CallingAe, EndedAssociations
from service.store.network import calling_aes
from tests.service.store.records import image

DAY = timedelta(days=1).total_seconds()


def arrive(store, number, *, study="1.2.3", calling_ae="CR1", sha="a"):
    """Add an image of a calling AE."""
    store.add_instance(
        image(number, study=study, sha=sha),
        calling_ae=calling_ae,
        association_id="A1",
        eligible=True,
    )


def figures(store):
    """Return Instances and Studies, in all and of today, by calling AE."""
    return {
        each.ae_title: (each.instances, each.studies, each.day_instances, each.day_studies)
        for each in store.calling_aes()
    }


def test_the_figures_are_the_same_before_between_and_after_the_counts(store, clock):
    """An Instance that comes again counts once; a study counts for the sender of its first Instance."""
    arrive(store, 1)
    arrive(store, 1)
    arrive(store, 2)
    expected = {"CR1": (2, 1, 2, 1)}
    assert figures(store) == expected
    assert store.count_arrivals() == 0  # younger than a minute
    clock.move(61)
    arrive(store, 3, calling_ae="ROUTER")
    arrive(store, 1, study="1.2.4", calling_ae="ROUTER")
    expected["ROUTER"] = (2, 1, 2, 1)
    assert figures(store) == expected
    assert store.count_arrivals() == 2
    assert figures(store) == expected
    clock.move(61)
    assert store.count_arrivals() == 2
    assert store.count_arrivals() == 0
    assert figures(store) == expected


def test_a_day_has_its_own_figures(store, clock):
    """Those of yesterday count in all, those of today are counted anew."""
    arrive(store, 1)
    clock.move(61)
    store.count_arrivals()
    clock.move(DAY)
    assert figures(store) == {"CR1": (1, 1, 0, 0)}
    arrive(store, 2)
    assert figures(store) == {"CR1": (2, 1, 1, 0)}
    clock.move(61)
    store.count_arrivals()
    arrive(store, 1, study="1.2.4")
    assert figures(store) == {"CR1": (3, 2, 2, 1)}


def test_many_instances_are_counted_in_slices(store, clock, monkeypatch):
    """Each slice continues at the end of the previous one."""
    monkeypatch.setattr(calling_aes, "_SLICE", 2)
    for number in range(1, 6):
        arrive(store, number)
    clock.move(61)
    assert [store.count_arrivals() for _ in range(4)] == [2, 2, 1, 0]
    assert figures(store) == {"CR1": (5, 1, 5, 1)}


def test_an_association_has_time_and_address(store, clock):
    """The latest is shown, all are counted; with the Instances of the same calling AE."""
    store.add_associations({"CR1": EndedAssociations(address="10.0.0.7", at=clock(), count=2)})
    later = clock.move(10)
    store.add_associations({"CR1": EndedAssociations(address="10.0.0.8", at=later, count=1)})
    arrive(store, 1)
    (found,) = store.calling_aes()
    assert found == CallingAe(
        ae_title="CR1",
        address="10.0.0.8",
        associated_at=later,
        associations=3,
        arrived_at=later,
        instances=1,
        studies=1,
        day_instances=1,
        day_studies=1,
    )
    assert found.seen_at == later


def test_the_number_of_rows_is_limited(store, clock, monkeypatch):
    """Further AE titles count together."""
    monkeypatch.setattr(calling_aes, "MOST_CALLERS", 3)
    for number in range(5):
        store.add_associations({f"AE{number}": EndedAssociations(address="", at=clock(), count=1)})
        arrive(store, 1, study=f"1.{number + 1}", calling_ae=f"AE{number}")
    clock.move(61)
    store.count_arrivals()
    found = {each.ae_title: (each.associations, each.instances) for each in store.calling_aes()}
    assert found == {"AE0": (1, 1), "AE1": (1, 1), "AE2": (1, 1), calling_aes.OTHERS: (2, 2)}
