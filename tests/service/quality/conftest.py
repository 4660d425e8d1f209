"""A site with a month of readings, decisions and alerts; a marked name wherever a name can be."""

import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from dicom.content.report import CODED_OBSERVATIONS, ModelIdentity
from service.assessment.metrics import metrics_of
from service.assessment.study_rows import Outcome, StudyRow, rows_csv
from service.audit import AuditAction, AuditEvent, AuditOutcome
from service.drift.alert import DriftAlert
from service.drift.rows import Category, MonitorRow, RowKind
from service.drift.streams import Level, drafted_event, reported_event
from service.drift.summary import ReferenceSummary
from service.evaluation.metrics_json import metrics_json
from service.quality.inputs import Inputs
from service.quality.period import Period
from service.records import IncidentKind
from service.records.models import ModelFacts
from service.settings.config import settings_of
from service.store import Store
from service.study_identity import StudyIdentity
from service.support.pseudonyms import Pseudonyms
from tests.conftest import Clock
from tests.databases import make_database
from tests.service.assessment.rows import make_rows

MARK = "Zebrastern"
STUDY = "1.2.826.4711"
WEIGHTS = "a" * 64
LICENSE = "cc-by-nc-4.0 and LLaMA 2"
MARCH = Period(date(2026, 3, 1), date(2026, 3, 31))


def event(action, actor="kim (web page)", **values):
    """Return an event of a person."""
    return AuditEvent(action=action, actor=actor, person_id="u1", **values)


def identity(version):
    """Return a model as its drafts record it."""
    return ModelIdentity(
        name="CXR-LLaVA v2",
        version=version,
        weights_sha256=WEIGHTS,
        decoding="greedy, 512 new tokens",
        prompt="<image> Write a report.",
        licence=LICENSE,
        intended_use="research only",
        cannot=("scores",),
    )


def facts(version):
    """Return what a worker has loaded."""
    return ModelFacts(
        kind="built-in",
        version=version,
        own_name="CXR-LLaVA v2",
        device="cuda",
        dtype="bfloat16",
        weights_sha256=WEIGHTS,
        licence=LICENSE,
        tried="Tried with real weights: 2026-02-01",
    )


def final_row(store, number, *, agrees):
    """Return the row of a final report that states every finding absent."""
    events = {drafted_event(each): not agrees for each in CODED_OBSERVATIONS}
    events |= {reported_event(each): False for each in CODED_OBSERVATIONS}
    return MonitorRow(
        kind=RowKind.FINAL,
        source_id=f"f{number}",
        job_id=f"f{number}",
        study_uid=f"1.9.{number}",
        at=store.now(),
        day="2026-03-02",
        categories={Category.MODEL: "demo 1"},
        events=events,
    )


def work(store, clock, reviewing):
    """Let people and the service do everything that the documents are about."""
    store.note_version("0.9")
    store.note_loaded("reading", "gpu1", "demo", facts("1"))
    store.record_audit(
        AuditEvent(action=AuditAction.CHANGED_SETTINGS, actor="configuration", detail="digest one")
    )
    text = f"{MARK} has a large heart."
    jobs = []
    for number in range(1, 4):
        clock.move(60)
        study = f"{STUDY}.{number}"
        jobs.append(
            reviewing.drafted(store, study, model=identity("1"), findings_text=(text,), doubts=())
        )
        store.record_identity(
            StudyIdentity(study_uid=study, patient_name=f"{MARK}^Anna", patient_id=f"{MARK}7"),
            number,
        )
        store.record_audit(event(AuditAction.VIEWED, study_uid=study, patient_id=f"{MARK}7"))
    decide(store, reviewing, jobs)
    refuse_one(store)
    alerts(store, clock)
    stop_and_recall(store, clock, jobs[2])


def decide(store, reviewing, jobs):
    """Accept the first draft with corrections, and reject the second."""
    audit = event(AuditAction.DECIDED)
    kinds = {"digest": "d", "audit": audit}
    store.decide(jobs[0].id, reviewing.edit(jobs[0].draft), reviewing.curie, key="1", **kinds)
    rejection = reviewing.rejection(jobs[1].draft, reason=f"{MARK} is another patient")
    store.decide(jobs[1].id, rejection, reviewing.curie, key="2", **kinds)
    store.record_monitor_rows([final_row(store, 1, agrees=True), final_row(store, 2, agrees=False)])


def refuse_one(store):
    """Let a login be refused whose name is that of a patient."""
    store.record_audit(
        AuditEvent(action=AuditAction.LOGIN, actor=f"{MARK} Anna", outcome=AuditOutcome.REFUSED)
    )


def alerts(store, clock):
    """Open an incident's alert and a drift alert, and acknowledge both."""
    store.record_incident(
        actor="sweeper", kind=IncidentKind.DESTINATION_AWAY, subject="archive", detail="no answer"
    )
    store.take_incidents(lambda _, subject: subject, {})
    (alert,) = store.open_incident_alerts()
    store.acknowledge_incident_alert(
        alert.id, lambda _: True, event(AuditAction.ACKNOWLEDGED, "lee (web page)")
    )
    summary = ReferenceSummary(days=30, readings=600, streams={})
    store.accept_reference(("2026-01-01", "2026-02-28"), summary, ["demo 1"], "lee (web page)")
    clock.move(60)
    store.open_alert(
        DriftAlert(
            chart="c1",
            title="Share of edema",
            level=next(iter(Level)),
            words="It rose from 2 % to 9 %.",
            first=store.now() - timedelta(minutes=5),
            last=store.now(),
            n=40,
            subgroup="",
            changes=("The settings changed.",),
            cases=("a", "b"),
            opened_at=store.now(),
        ),
        store.drift_reference().id,
    )
    (drift,) = store.drift_alerts()
    store.acknowledge_alert(drift.id, "lee (web page)", f"{MARK} came five times")


def stop_and_recall(store, clock, job):
    """Stop and start drafting, choose a model, withdraw a draft, and run another version."""
    reason = f"{MARK} was misread"
    store.stop_drafting(reason, event(AuditAction.STOPPED_DRAFTING, detail=reason))
    clock.move(600)
    store.start_drafting(event(AuditAction.STARTED_DRAFTING))
    store.use_model("demo", event(AuditAction.CHOSE_MODEL, detail="demo"))
    store.withdraw(job.id, "lee (command line)", reason, event(AuditAction.RECALLED))
    store.note_version("1.0")


@pytest.fixture(scope="module")
def worked(tmp_path_factory, reviewing):
    """The database of a site whose month is over; the clock stands in April."""
    folder, clock = tmp_path_factory.mktemp("worked"), Clock()
    url = f"sqlite:///{folder / 'wetread.db'}"
    make_database(url)
    store = Store(url, clock=clock)
    work(store, clock, reviewing)
    store.compute_hours(store.changed_hours(MARCH.begin))  # as the sweeper does
    clock.now = datetime(2026, 4, 2, 9, 0, tzinfo=UTC)
    yield store
    store.close()


@pytest.fixture(scope="module")
def inputs(worked):
    """What the documents of March are made of."""
    return Inputs(
        store=worked,
        settings=settings_of({"site_name": "Klinikum Süd"}),
        period=MARCH,
        pseudonyms=Pseudonyms(b"k" * 32),
    )


def write_evaluation(folder, rows, *, version="1", weights=WEIGHTS, started="2026-03-05"):
    """Write the folder of an evaluation as `wetread evaluate` does; its study ids are marked names."""
    rows = [replace(row, id=f"{MARK}-{row.id}") for row in rows]
    refused = StudyRow(id=f"{MARK}-x", patient="px", outcome=Outcome.REFUSED, reason="BLANK")
    metrics = metrics_of([*rows, refused], {}, seed=0, truth_without_study=0, draws=50)
    manifest = {
        "model": {"name": "CXR-LLaVA v2", "version": version, "weights_sha256": weights,
                  "decoding": "greedy"},
        "labeler": "7", "made_by": "wetread evaluate 1.0", "started": f"{started}T10:00:00+00:00",
        "inputs_digest": "b" * 64, "truth": {"files": [f"/data/{MARK}.csv"], "sha256": "c" * 64},
        "reading": {"temperature": "0.2" if version == "2" else "0"}, "seed": 0,
        "studies": {"source": f"/data/{MARK}"}, "prompt": "Write a report.",
    }  # fmt: skip
    folder.mkdir()
    (folder / "per_study.csv").write_text(rows_csv([*rows, refused]))
    (folder / "metrics.json").write_text(metrics_json(metrics))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    """The folders of two evaluations of the same studies: version 1, and a worse version 2."""
    folder = tmp_path_factory.mktemp("evaluations")
    before = write_evaluation(folder / "before", make_rows(1, n=40, wrong=0.05))
    worse = make_rows(1, n=40, wrong=0.4)
    after = write_evaluation(
        folder / "after", worse, version="2", weights="d" * 64, started="2026-03-20"
    )
    return before, after


@pytest.fixture
def in_zone(monkeypatch):
    """A function: the site is in this time zone until the test ends."""

    def use(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield use
    monkeypatch.undo()
    time.tzset()
