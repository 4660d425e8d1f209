"""The images of a study that are in the spool."""

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from service.database.spooled_images import has_images
from tests.service.store.records import STUDY, arrive


def test_an_image_counts_until_it_is_removed(store, database_url):
    """A study has images until the last one is removed, and a removed one that comes again counts."""
    arrive(store, 1)
    arrive(store, 2)
    arrive(store, 3, study="9.9")
    found = []
    engine = create_engine(database_url)
    for step in (*store.spooled(STUDY), None):
        with Session(engine) as session:
            found.append((has_images(session, STUDY), has_images(session, "9.9")))
        if step:
            store.mark_instance_removed(step)
    arrive(store, 2)
    with Session(engine) as session:
        found.append((has_images(session, STUDY), has_images(session, "1.1")))
    engine.dispose()
    assert found == [(True, True), (True, True), (False, True), (True, False)]
