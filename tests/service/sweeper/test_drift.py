"""The drift thread on a real store: rows from jobs, decisions and reports; charts, alerts."""

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicom.content.report import Observation, Presence
from dicom.pixels.levels import decoded, encoded
from dicom.pixels.statistics import image_statistics
from dicom.spool.levels_file import levels_path, packed
from service.drift.reference import summarized
from service.drift.rows import Category, MonitorRow, RowKind
from service.drift.streams import REJECTED, disagreement_stream, finding_stream
from service.final_reports.report import (
    FinalLabels,
    FinalReport,
    FinalSource,
    FinalStatus,
    ReportKeys,
    TakingRules,
)
from service.store.final_reports.taking import Reading
from service.sweeper.drift import DriftMonitor, local_day

EDEMA = finding_stream(Observation.EDEMA)


def written(folder: Path, uid: str) -> Path:
    """Return the path of an image with device and exposure, and of its levels."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = DigitalXRayImageStorageForPresentation, uid
    made.StudyInstanceUID = made.SeriesInstanceUID = "1.2.3"
    made.Manufacturer, made.ManufacturerModelName = "ACME", "DR-1"
    made.SoftwareVersions, made.ViewPosition = ["2.1", "beta"], "pa"
    made.ExposureIndex, made.DeviationIndex = "415", "-0.4"
    made.PatientID = "P-SECRET"
    path = folder / "image"
    made.save_as(path, enforce_file_format=True)
    values = np.tile(np.linspace(1000, 60000, 64).astype(np.uint16), (48, 1))
    description = {"levels": [{"rows": 48, "columns": 64}], "padding": None}
    levels_path(path).write_bytes(packed(description, [encoded(values)]))
    return path


def test_a_reading_becomes_a_row(store, reviewing, tmp_path):
    """Device, view, exposure, image statistics, findings, words; nothing of the patient."""
    job = reviewing.drafted(store)
    path = written(tmp_path, "1.2.3.1")
    with store._writing() as session:
        session.connection().exec_driver_sql(f"UPDATE instances SET path = '{path}'")  # noqa: S608
    DriftMonitor(store).record()
    (row,) = store.monitor_rows("2000-01-01")
    assert (row.kind, row.job_id) == (RowKind.READING, job.id)
    assert row.categories[Category.DEVICE] == "ACME DR-1"
    assert row.categories[Category.SOFTWARE] == "2.1\\beta"
    assert row.categories[Category.VIEW] == "PA"
    assert row.numbers["exposure-index"] == 415
    assert row.numbers["image-p50"] == pytest.approx(30500 / 65535, abs=0.01)
    assert row.numbers["words"] == 25
    assert row.events[finding_stream(Observation.CARDIOMEGALY)] is True
    assert row.events[EDEMA] is False
    assert "P-SECRET" not in str(row)
    DriftMonitor(store).record()
    assert len(store.monitor_rows("2000-01-01")) == 1


def test_decisions_and_final_reports_become_rows(store, reviewing, clock):
    """A decision after its time of undo; a corrected report replaces the row of the earlier one."""
    job = reviewing.drafted(store)
    store.decide(
        job.id,
        reviewing.rejection(),
        reviewing.roentgen,
        key="k" * 8,
        digest="d",
        audit=reviewing.audit,
    )
    rules = TakingRules(late=timedelta(days=30), wait=timedelta(days=30), keep_text=False)
    for number, presence in enumerate((Presence.PRESENT, Presence.ABSENT)):
        labels = FinalLabels(
            labeler="l", presence={Observation.CARDIOMEGALY: presence}, sides={}, words=3
        )
        report = FinalReport(
            source=FinalSource.FILE, keys=ReportKeys(study_uid="1.2.3"), text=str(number)
        )
        store.take_final_report(report, rules, Reading(labels=labels, changed_share=0.5))
        DriftMonitor(store).record()
        (final,) = [each for each in store.monitor_rows("2000-01-01") if each.kind == "final"]
        disagrees = final.events[disagreement_stream(Observation.CARDIOMEGALY)]
        assert disagrees is (presence is Presence.ABSENT)
    withdrawn = FinalReport(
        source=FinalSource.FILE,
        keys=ReportKeys(study_uid="1.2.3"),
        status=FinalStatus.WITHDRAWN,
    )
    store.take_final_report(withdrawn, rules)
    DriftMonitor(store).record()
    assert [each.kind for each in store.monitor_rows("2000-01-01")] == [RowKind.READING]
    clock.move(120)
    DriftMonitor(store).record()
    (decision,) = [each for each in store.monitor_rows("2000-01-01") if each.kind == "decision"]
    assert decision.events[REJECTED] is True


def simulated(first: date, days: int, rate: float, seed: int) -> list[MonitorRow]:
    """Return readings of so many days in which edema is stated at a rate."""
    generator, rows = np.random.default_rng(seed), []
    for number in range(days):
        day = first + timedelta(days=number)
        for place, event in enumerate(generator.random(40) < rate):
            identifier = f"{day:%m%d}{place:04d}{seed}"
            rows.append(
                MonitorRow(
                    kind=RowKind.READING,
                    source_id=identifier,
                    job_id=identifier,
                    study_uid="1.2.3",
                    at=datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
                    + timedelta(minutes=place),
                    day=day.isoformat(),
                    categories={Category.DEVICE: "ACME DR-1"},
                    events={EDEMA: bool(event)},
                )
            )
    return rows


def test_an_alert_from_reference_to_acknowledgement(store):
    """Nothing without a reference; one open alert; acknowledged, the chart begins anew."""
    monitor, today = DriftMonitor(store), date.fromisoformat(local_day(store.now()))
    begin = today - timedelta(days=40)
    before = simulated(begin, 20, 0.1, 1)
    after = simulated(begin + timedelta(days=20), 10, 0.1, 2)
    worse = simulated(begin + timedelta(days=30), 9, 0.5, 3)
    changed = [
        replace(row, categories={Category.DEVICE: "ACME DR-1", Category.MODEL: "new"})
        for row in worse
    ]
    store.record_monitor_rows(before + after + changed)
    monitor.compute_due()
    assert store.drift_alerts() == []
    assert all("path" not in each.content for each in store.drift_charts())
    last = begin + timedelta(days=19)
    summary = summarized(before, begin, last)
    days = (begin.isoformat(), last.isoformat())
    reference = store.accept_reference(days, summary, ["old"], "kim (web page)")
    monitor.compute_due()
    monitor.compute(reference, {})
    (alert,) = [each for each in store.drift_alerts() if each.chart == f"{EDEMA}-rise"]
    assert alert.first.date() >= begin + timedelta(days=29)
    assert alert.last.date() <= begin + timedelta(days=31)
    assert any("New model “new”" in each for each in alert.changes)
    assert len(alert.cases) == 3
    charts = {each.name: each.content for each in store.drift_charts()}
    assert max(value for _, value in charts[f"{EDEMA}-rise"]["path"]) >= 1
    store.acknowledge_alert(alert.id, "kim (web page)", "new model")
    store.acknowledge_alert(alert.id, "other", "again")
    monitor.compute_due()
    (known,) = [each for each in store.drift_alerts() if each.chart == f"{EDEMA}-rise"]
    assert (known.acknowledged_by, known.note) == ("kim (web page)", "new model")


def test_image_statistics():
    """Known values; padding does not count; a level comes back as it was."""
    values = np.arange(10_000, dtype=np.uint16).reshape(100, 100) * 6
    assert np.array_equal(decoded(encoded(values), 100, 100), values)
    found = image_statistics(values, padded=False)
    assert found["image-mean"] == pytest.approx(values.mean() / 65535)
    assert found["image-p99"] == pytest.approx(0.99 * 59994 / 65535, rel=1e-3)
    padded = values.copy()
    padded[:50] = 0
    assert image_statistics(padded, padded=True)["image-p1"] > found["image-p50"] * 0.9
    flat = image_statistics(np.full((20, 20), 7, np.uint16), padded=False)
    assert (flat["image-entropy"], flat["image-sharpness"]) == (0, 0)
    assert image_statistics(values[:2, :2], padded=False) == {}
    for body in (b"x", gzip.compress(b"x" * 50_000), encoded(values)[:-20]):
        with pytest.raises(Exception, match="level"):
            decoded(body, 100, 100)
