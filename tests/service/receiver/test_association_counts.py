"""Counts of ended associations between two writes."""

from datetime import timedelta

from dicom.spool.ingest import IncomingAssociation
from service.database import schema
from service.receiver.association_counts import AssociationCounts
from service.store import Store
from tests.databases import make_database


def ended(calling_ae="CR1", address="10.0.0.7"):
    """Return an association."""
    return IncomingAssociation(id="1", calling_ae=calling_ae, called_ae="WETREAD", address=address)


def test_they_are_written_every_few_seconds_and_kept_without_the_database(tmp_path, clock):
    """One row for each calling AE; none is lost while the database is unavailable."""
    url = f"sqlite:///{tmp_path / 'wetread.db'}"
    make_database(url)
    store = Store(url, clock=clock)
    seconds = [0.0]
    counts = AssociationCounts(store, passed=lambda: seconds[0])
    for _ in range(3):
        counts.add(ended())
    counts.write_if_due()
    counts.add(ended(address="10.0.0.8"))
    counts.add(ended("ROUTER"))
    seconds[0] = 4.9
    counts.write_if_due()
    assert [(each.ae_title, each.associations) for each in store.calling_aes()] == [("CR1", 3)]
    schema.downgrade(url, "base")
    clock.now += timedelta(seconds=5)
    counts.write()
    make_database(url)
    counts.add(ended())
    counts.write()
    found = {each.ae_title: each for each in store.calling_aes()}
    assert {name: each.associations for name, each in found.items()} == {"CR1": 2, "ROUTER": 1}
    assert found["CR1"].associated_at == clock()
    assert found["CR1"].address == "10.0.0.7"
    store.close()
