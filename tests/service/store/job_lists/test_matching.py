"""The form of a condition by studies: named one by one, collected, or checked for each job."""

import pytest

from service.store.job_lists import matching
from service.store.job_lists.criteria import JobFilter
from tests.service.store.plans import plans_of
from tests.service.store.records import arrive, schedule

STUDIES = 6


@pytest.fixture
def jobs(store):
    """Ids of six jobs of studies whose UIDs contain `.77.`, after one of another study."""
    for number in range(STUDIES):
        arrive(store, study=f"1.2.77.{number}")
        schedule(store, study=f"1.2.77.{number}")
    arrive(store, study="1.2.8")
    schedule(store, study="1.2.8")
    return [job.id for job in store.jobs(limit=9) if ".77." in job.study_instance_uid]


@pytest.mark.parametrize(
    ("few", "most", "is_collected"),
    [(STUDIES, STUDIES, False), (STUDIES - 1, STUDIES, True), (STUDIES - 1, STUDIES - 1, False)],
)
def test_the_form_depends_on_the_number(store, jobs, monkeypatch, few, most, is_collected):
    """The list is the same in each; SQLite does not collect."""
    monkeypatch.setattr(matching, "_FEW", few)
    monkeypatch.setattr(matching, "_COLLECTED", most)
    found = []
    plans = plans_of(
        store, lambda: found.extend(store.list_jobs(JobFilter(text=".77."), limit=STUDIES))
    )
    assert {job.id for job in found} == set(jobs)
    assert ("CTE matching" in plans[-1]) is (is_collected and not store._is_sqlite)


def test_collected_studies_lead_to_their_jobs(store, jobs, monkeypatch):
    """PostgreSQL reads their jobs by an index of studies, not job after job of the list."""
    if store._is_sqlite:
        pytest.skip("SQLite does not collect")
    monkeypatch.setattr(matching, "_FEW", 1)
    wanted = JobFilter(text=".77.")
    plan = plans_of(store, lambda: store.list_jobs(wanted, limit=len(jobs)))[-1]
    assert "uq_jobs_study_instance_uid_model_name_revision" in plan
    assert "ix_jobs_created_at_id" not in plan
