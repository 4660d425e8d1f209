"""A storage service on a database of the test's own."""

import pytest

from service.receiver.commitment import Commitments
from service.receiver.intake import Intake
from service.receiver.storage_service import StorageService
from service.store import Store
from tests.databases import make_database
from tests.service.receiver.callers import settings_for


@pytest.fixture
def service_for(tmp_path):
    """A function that makes a storage service on a database of its own."""
    stores = []

    def make(**receiver) -> StorageService:
        settings = settings_for(tmp_path, **receiver)
        make_database(settings.database_url)
        store = Store.open(settings)
        stores.append(store)
        intake = Intake(store, settings, lambda _: None)
        return StorageService(settings, store, intake, Commitments(settings, store))

    yield make
    for store in stores:
        store.close()
