import time
from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from dicom.scp.refusals import Cause, NotAccepted
from dicom.scu.commitment_request import CommitmentRequest, Reference
from service.tokens import Scope, mint


def samples(site) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample of a scrape by name and labels."""
    answer = site.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_count_what_the_store_holds(site, seeder):
    """Jobs, deliveries, processes, incidents, stages and the oldest job are as in the store."""
    seeder.waiting(1)
    seeder.completed(2)
    seeder.beat("reading")
    site.store.record_incident(actor="receive", kind="sender_refused", subject="X", detail="No.")
    found = samples(site)
    assert found["wetread_jobs", (("state", "SCHEDULED"),)] == 1
    assert found["wetread_jobs", (("state", "COMPLETED"),)] == 1
    assert found["wetread_jobs", (("state", "FAILED"),)] == 0
    assert found["wetread_deliveries", (("destination", "orthanc"), ("state", "CONFIRMED"))] == 1
    assert found["wetread_processes", (("alive", "true"), ("role", "reading"))] == 1
    assert found["wetread_recent_incidents", (("kind", "sender_refused"),)] == 1
    assert found["wetread_stage_seconds", (("quantile", "0.5"), ("stage", "model"))] == 0.812
    assert 0 < found["wetread_oldest_waiting_seconds", ()] < 60
    assert found["wetread_spool_free_bytes", ()] > 0
    assert found["wetread_database_up", ()] == 1


def test_metrics_count_what_was_not_accepted(site):
    """By cause and the name of the SOP Class; neither a calling AE nor an unknown UID is a label."""
    uids = {"1.2.840.10008.5.1.4.1.1.6.1": 12, "1.2.3.4": 1, "1.2.3.5": 2}
    site.store.add_refusals(
        {
            NotAccepted(
                cause=Cause.SOP_CLASS, calling_ae="ROUTER_1", address="10.0.0.7", sop_class_uid=uid
            ): count
            for uid, count in uids.items()
        }
    )
    found = samples(site)
    cause = ("cause", "SOP Class not accepted")
    name = "wetread_not_accepted_total"
    assert found[name, (cause, ("sop_class", "Ultrasound Image Storage"))] == 12
    assert found[name, (cause, ("sop_class", "other"))] == 3
    page = site.get("/").text
    assert "ROUTER_1 at 10.0.0.7 offered Ultrasound Image Storage" in page
    assert "12 times: SOP Class not accepted." in page
    assert "ROUTER_1" not in site.get("/metrics").text


def test_no_metric_holds_a_patient_or_a_uid(site, seeder):
    """Neither names nor UIDs nor AE titles of senders are labels."""
    job = seeder.completed(1)
    text = site.get("/metrics").text
    for secret in ("PHANTOM", job.study_instance_uid, "MODALITY", job.id):
        assert secret not in text


def test_a_scrape_without_a_database_reports_it(site):
    """The scrape of a known session succeeds and `wetread_database_up` is 0."""
    assert samples(site)["wetread_database_up", ()] == 1
    site.store.close()
    for file in site.here.settings.data_dir.glob("wetread.db*"):
        file.unlink()
    assert samples(site)["wetread_database_up", ()] == 0


def test_metrics_warn_of_tokens_and_of_studies_that_did_not_come(site):
    """Seconds to each token's expiry by its name, and each archive's missing studies and last look."""
    for name, days in (("router", 2), ("monitor", -1)):
        _, credential = mint()
        site.store.add_token(
            credential,
            name=name,
            scopes=frozenset({Scope.READ}),
            ae_title="",
            expires_at=site.store.now() + timedelta(days=days),
            actor="test",
        )
    site.store.note_reconciliation("pacs", position=7, missing=3, complete_at=None)
    found = samples(site)
    assert 172_000 < found["wetread_token_expires_seconds", (("token", "router"),)] <= 172_800
    assert found["wetread_token_expires_seconds", (("token", "monitor"),)] < -86_399
    archive = (("archive", "pacs"),)
    assert found["wetread_reconcile_missing", archive] == 3
    age = time.time() - found["wetread_reconcile_last_success_timestamp_seconds", archive]
    assert 0 <= age < 60
    page = site.get("/").text
    assert "3 studies of pacs missing or incomplete here" in page
    assert "The token monitor has expired" in page


def test_metrics_count_the_commitment_reports_that_are_owed(site):
    """By state, without the peer's name; the age of the oldest pending one."""
    reference = Reference(sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4")
    request = CommitmentRequest(transaction_uid="1.2.1", references=(reference,))
    owed, age = (
        ("wetread_commitment_reports", (("state", "OWED"),)),
        (
            "wetread_oldest_commitment_report_seconds",
            (),
        ),
    )
    found = samples(site)
    assert (found[owed], found[age]) == (0, 0)
    site.store.owe_report(request, ae_title="CR1", host="10.0.0.7", port=2762)
    found = samples(site)
    assert found[owed] == 1
    assert 0 < found[age] < 60
    report = site.store.claim_report("sweep", 60)
    site.store.give_up_reports(report, site.store.now(), "Refused.")
    found = samples(site)
    assert (found[owed], found[age]) == (0, 0)
    assert found["wetread_commitment_reports", (("state", "GIVEN_UP"),)] == 1
    assert "CR1" not in site.get("/metrics").text


def test_metrics_count_decisions_without_a_name(site, reviewing):
    """By verdict; the deciding person is in no metric."""
    jobs = [reviewing.drafted(site.store, study=f"1.2.{number}") for number in (3, 4)]
    made = site.store.decide(
        jobs[0].id,
        reviewing.request(),
        reviewing.roentgen,
        key="a",
        digest="a",
        audit=reviewing.audit,
    )
    site.store.decide(
        jobs[1].id,
        reviewing.rejection(),
        reviewing.curie,
        key="b",
        digest="b",
        audit=reviewing.audit,
    )
    site.store.undo(made.id, reviewing.roentgen, reviewing.audit)
    found = samples(site)
    counts = {
        verdict: found["wetread_decisions_total", (("verdict", verdict),)]
        for verdict in ("accept", "edit", "reject")
    }
    assert counts == {"accept": 1, "edit": 0, "reject": 1}
    assert found["wetread_decisions_undone_total", ()] == 1
    assert "Curie" not in site.get("/metrics").text
