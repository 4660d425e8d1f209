"""The results that wait for each destination, its answers, and the incidents of an outage."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.identifiers import derived_uid
from dicom.study import Instance
from service.destination_backlog import DestinationState, Trouble
from service.monitoring.destination_incidents import DestinationIncidents, backlogs
from service.records import IncidentKind, ResultObject
from service.settings.config import Settings

AWAY, BACK = IncidentKind.DESTINATION_AWAY, IncidentKind.DESTINATION_BACK

SR = "1.2.840.10008.5.1.4.1.1.88.11"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
MODEL = ModelIdentity(
    name="Tiny", version="1", weights_sha256="0" * 64, decoding="greedy", caveat="It is a test."
)


@pytest.fixture
def settings(tmp_path):
    """Settings of two destinations, with the default alert."""
    return Settings(
        data_dir=tmp_path,
        destinations=[
            {"kind": "folder", "name": "pacs", "path": tmp_path / "pacs"},
            {"kind": "folder", "name": "archive", "path": tmp_path / "archive"},
        ],
    )


@pytest.fixture
def draft(store):
    """A function: number, destinations -> a job whose results wait for these."""

    def make(number, destinations=("pacs",)):
        study = derived_uid("destination care", number)
        image = Instance(
            sop_instance_uid=f"{study}.1.1",
            sop_class_uid=DX,
            series_instance_uid=f"{study}.1",
            study_instance_uid=study,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=Path("image.dcm"),
            digest="a" * 64,
            size=1000,
        )
        store.add_instance(image, calling_ae="CR_1", association_id="a", eligible=True)
        waits = store.schedule(study, model="tiny", version="1", actor="intake", reason="Released.")
        job = store.claim_reading(waits.id, "reader", 60)
        report = DraftReport(
            study_instance_uid=study,
            source=SourceImage(
                sop_instance_uid=image.sop_instance_uid,
                sop_class_uid=DX,
                series_instance_uid=image.series_instance_uid,
                rows=8,
                columns=8,
            ),
            revision=1,
            produced_at=store.now(),
            findings_text=("No pneumothorax.",),
            impression_text=(),
            findings=(),
            model=MODEL,
        )
        result = ResultObject(
            kind="draft-report",
            sop_class_uid=SR,
            sop_instance_uid=f"{study}.9",
            series_instance_uid=f"{study}.8",
            study_instance_uid=study,
            path=Path("sr.dcm"),
            sha256="0" * 64,
        )
        return store.draft(job.id, job.fence, report, [result], destinations)

    return make


def end(store, job, trouble=None, *, refused=False, error="pacs at 10.0.0.5 gave no answer."):
    """End the job's next delivery: confirmed, or put off or refused with this trouble."""
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    if trouble is None:
        store.confirm_delivery(delivery.id, delivery.fence)
    elif refused:
        store.fail_delivery(delivery.id, delivery.fence, error, trouble=trouble)
    else:
        store.postpone_delivery(delivery.id, delivery.fence, error, 60, trouble=trouble)


def state(store, settings, name="pacs"):
    """Return the backlog of one destination."""
    return next(each for each in backlogs(store, settings) if each.destination == name)


def test_an_unused_destination_is_listed(store, settings):
    """Before the first result each configured destination is listed by name, with nothing waiting."""
    found = backlogs(store, settings)
    assert [each.destination for each in found] == ["archive", "pacs"]
    assert {each.state for each in found} == {DestinationState.UNUSED}
    assert found[0].sentence() == "No result waits for archive."


def test_the_oldest_and_the_count_are_those_of_the_destination(store, settings, draft, clock):
    """Results of one destination do not count for another; a confirmed one counts no longer."""
    first = draft(1, ("pacs", "archive"))
    begun = clock()
    clock.move(100)
    draft(2)
    pacs, archive = state(store, settings), state(store, settings, "archive")
    assert (pacs.waiting, pacs.oldest_at, archive.waiting) == (2, begun, 1)
    assert pacs.age(clock()).total_seconds() == 100
    end(store, first)
    end(store, first)
    clock.move(5)
    pacs, archive = state(store, settings), state(store, settings, "archive")
    assert (pacs.waiting, pacs.age(clock()).total_seconds()) == (1, 5)
    assert (archive.waiting, archive.age(clock()).total_seconds()) == (0, 0)
    assert archive.state is DestinationState.ANSWERING


@pytest.mark.parametrize(
    ("trouble", "refused", "expected"),
    [
        (Trouble.SILENT, False, DestinationState.SILENT),
        (Trouble.REFUSED, False, DestinationState.REFUSING),
        (Trouble.REFUSED, True, DestinationState.REFUSING),
        (Trouble.LOCAL, False, DestinationState.CONFIGURATION),
    ],
)
def test_the_latest_try_decides(store, settings, draft, clock, trouble, refused, expected):
    """A failed try shows how the destination answers, until a later one succeeds."""
    good = draft(1)
    end(store, good)
    clock.move(10)
    bad = draft(2)
    end(store, bad, trouble, refused=refused)
    found = state(store, settings)
    assert (found.state, found.is_faulty) == (expected, True)
    assert found.last_error == "pacs at 10.0.0.5 gave no answer."
    assert "10.0.0.5" not in found.sentence()
    clock.move(10)
    end(store, draft(3))
    assert state(store, settings).state is DestinationState.ANSWERING


def test_results_of_a_removed_destination_are_a_configuration_fault(store, settings, draft):
    """They wait, and the settings name no such destination."""
    draft(1, ("old-pacs",))
    found = state(store, settings, "old-pacs")
    assert found.state is DestinationState.CONFIGURATION
    assert "the settings do not name it" in found.sentence()


def test_an_outage_is_one_incident_and_its_end_another(store, settings, draft, clock):
    """For any number of sweepers, of their runs, and of waiting results."""

    def looked():
        for _ in range(2):
            DestinationIncidents(store, settings).check()
        return [(each.kind, each.subject) for each in reversed(store.incidents())]

    job = draft(1)
    end(store, job, Trouble.SILENT)
    clock.move(15 * 60)
    assert looked() == []
    clock.move(1)
    assert looked() == [(AWAY, "pacs")]
    draft(2)
    clock.move(86400)
    assert looked() == [(AWAY, "pacs")]
    detail = store.incidents()[0].detail
    assert detail.startswith("1 result waits for pacs, the oldest from 2026-")
    assert detail.endswith("The latest error: pacs at 10.0.0.5 gave no answer.")
    end(store, job)
    other = store.claim_delivery(None, "sender", 60, {})[0]
    store.confirm_delivery(other.id, other.fence)
    assert looked() == [
        (AWAY, "pacs"),
        (BACK, "pacs"),
    ]
    clock.move(3600)
    end(store, draft(3), Trouble.SILENT)
    clock.move(1000)
    assert looked() == [
        (AWAY, "pacs"),
        (BACK, "pacs"),
        (AWAY, "pacs"),
    ]


def test_results_that_are_given_up_do_not_bring_a_destination_back(store, settings, draft, clock):
    """Nothing waits any more, and it still does not answer."""
    job = draft(1)
    end(store, job, Trouble.SILENT)
    clock.move(3600)
    DestinationIncidents(store, settings).check()
    end(store, job, Trouble.SILENT, refused=True)
    DestinationIncidents(store, settings).check()
    assert [each.kind for each in store.incidents()] == [AWAY]


def test_the_alert_can_be_set(store, settings, draft, clock):
    """`delivery.alert_minutes` is the permitted age of a result."""
    patient = settings.model_copy(
        update={"delivery": settings.delivery.model_copy(update={"alert_minutes": 60.0})}
    )
    draft(1)
    clock.move(3000)
    DestinationIncidents(store, patient).check()
    assert store.incidents() == []
    clock.move(700)
    DestinationIncidents(store, patient).check()
    assert [each.kind for each in store.incidents()] == [AWAY]


@pytest.mark.usefixtures("store")
def test_each_query_reads_an_index(tmp_path):
    """SQLite's plan names the indexes and scans no table, so that a page stays fast for years."""
    if not (tmp_path / "wetread.db").exists():
        pytest.skip("the plan of SQLite")
    engine = create_engine(f"sqlite:///{tmp_path / 'wetread.db'}")
    queries = {
        "SELECT destination, count(*), min(created_at) FROM deliveries "
        "WHERE state IN ('PENDING', 'SENDING') GROUP BY destination": "state_destination_created_at",
        "SELECT max(confirmed_at) FROM deliveries WHERE destination = 'pacs' "
        "AND confirmed_at IS NOT NULL": "destination_confirmed_at",
        "SELECT failed_at, trouble, last_error FROM deliveries WHERE destination = 'pacs' "
        "AND failed_at IS NOT NULL ORDER BY failed_at DESC LIMIT 1": "destination_failed_at",
    }
    with engine.connect() as connection:
        for query, index in queries.items():
            plan = str(connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all())
            assert f"ix_deliveries_{index}" in plan
            assert "SCAN deliveries" not in plan
