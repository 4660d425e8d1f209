"""Cursors of lists: opaque, stable, and the former `before` beside them."""

import base64

import pytest
from sqlalchemy import text

from service.database.engine import make_engine

# The first moment of the year 1 in a zone east of UTC: there is no such time in UTC.
EDGE = base64.urlsafe_b64encode(b"0001-01-01T00:00:00+10:00 123").rstrip(b"=").decode()


def test_a_cursor_leads_through_all_jobs(site, seeder):
    """Without gap or repetition, and `next` is not an id."""
    made = [seeder.waiting(number).id for number in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        page = site.get("/api/jobs", params={"limit": 2, "cursor": cursor}).json()
        seen += [each["id"] for each in page["jobs"]]
        cursor = page["next"]
        assert cursor not in made
    assert seen == made[::-1]


def test_before_takes_an_id_and_a_cursor(site, seeder):
    """As clients of the first version of the API send it."""
    made = [seeder.waiting(number).id for number in range(3)][::-1]
    cursor = site.get("/api/jobs?limit=2").json()["next"]
    for value in (made[1], cursor):
        page = site.get("/api/jobs", params={"before": value}).json()
        assert [each["id"] for each in page["jobs"]] == made[2:]


def test_a_cursor_outlives_its_entry(site, seeder):
    """The next page begins after the position, whether or not the entry still exists."""
    made = [seeder.waiting(number).id for number in range(3)][::-1]
    cursor = site.get("/api/jobs?limit=2").json()["next"]
    engine = make_engine(site.here.settings.database_url)
    with engine.begin() as connection:
        for table, column in (("job_events", "job_id"), ("jobs", "id")):
            statement = text(f"DELETE FROM {table} WHERE {column} = :id")  # noqa: S608 - constants
            connection.execute(statement, {"id": made[1]})
    engine.dispose()
    page = site.get("/api/jobs", params={"cursor": cursor}).json()
    assert [each["id"] for each in page["jobs"]] == made[2:]


@pytest.mark.parametrize(
    "cursor", ["x", "####", "MjAyNg", "a" * 300, "éé", "MjAyNi0wMS0wMSAxMjM", EDGE]
)
@pytest.mark.parametrize("path", ["/api/jobs", "/api/decisions"])
def test_other_texts_are_400(site, path, cursor):
    """An invalid cursor, a time without a zone: a message states what to send."""
    answer = site.get(path, params={"cursor": cursor})
    assert (answer.status_code, "next" in answer.json()["error"]) == (400, True)
