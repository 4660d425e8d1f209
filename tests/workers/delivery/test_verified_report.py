"""The verified report of a decision: built once, delivered, read back, amended, or stopped."""

import threading
from dataclasses import replace
from io import BytesIO

import httpx
import numpy as np
import pytest
from pydicom import dcmread

from dicom.content.codes import Code
from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import DestinationUnavailable
from dicom.phantom import as_dataset, draw, write
from dicom.results.outputs import Equipment, build
from dicom.selection.local_files import describe
from dicom.validation.result_object import faults
from service.audit import AuditAction, AuditEvent
from service.errors import StoreUnavailable
from service.jobs import DeliveryState
from service.maintenance.recall import Recall, RecallOrder, plan
from service.review.content import ReviewContent
from service.review.decision import UNDO_SECONDS, DecisionRequest, Reviewer, Seconds
from service.review.draft_sentences import draft_sentences
from service.review.words import ReportState, Verdict
from service.settings.config import load_settings
from service.settings.destination_factory import destinations
from service.sweeper.doubts import Doubts
from workers.delivery.delivering import Delivering
from workers.outbox import write_outputs
from workers.tasks import work_on

EQUIPMENT = Equipment(device_uid="2.25.9", software_version="0.1.0")
ROENTGEN = Reviewer(
    id="u1",
    name="Röntgen^Wilhelm",
    organization="Klinikum Süd",
    identifier=Code("roentgen", "99WETREAD", "Wilhelm Röntgen"),
)
AUDIT = AuditEvent(action=AuditAction.DECIDED, actor="Wilhelm Röntgen (web page)")
CURIE = Reviewer(id="u2", name="Curie^Marie", organization="Klinikum Süd")


class Site:
    """A store, destinations, a drafted study whose draft is delivered, and a radiologist."""

    def __init__(self, store, clock, folder, *wanted, names=None):
        self.store, self.clock, self.folder = store, clock, folder
        self.names = names
        self.settings = load_settings(
            data_dir=folder / "data",
            destinations=list(wanted) or [folder_of(folder, "a"), folder_of(folder, "b")],
            delivery={"give_up_hours": 1, "retry_seconds": 2},
        )
        self.image = as_dataset(draw(7, rows=160, columns=144))
        self.arrive(self.image, "first.dcm")
        self.job = self.drafted()
        self.deliver()

    def arrive(self, image, name):
        """Let an image arrive."""
        described = describe(write(image, self.folder / name))
        self.store.add_instance(described, calling_ae="CR1", association_id=name, eligible=True)

    def drafted(self):
        """Return a new drafted job of the study."""
        uid = self.image.StudyInstanceUID
        job = self.store.schedule(uid, model="m", version="1", actor="t", reason="R.", force=True)
        job = self.store.claim_reading(job.id, "reader", 60)
        image = self.image
        draft = DraftReport(
            study_instance_uid=uid,
            source=SourceImage(
                sop_instance_uid=image.SOPInstanceUID,
                sop_class_uid=image.SOPClassUID,
                series_instance_uid=image.SeriesInstanceUID,
                rows=image.Rows,
                columns=image.Columns,
            ),
            revision=job.revision,
            produced_at=job.produced_at,
            findings_text=("The heart is enlarged.", "No effusion."),
            impression_text=("Cardiomegaly.",),
            model=ModelIdentity(name="M", version="1", weights_sha256="0" * 64),
            doubts=(),
        )
        pixels = np.zeros((image.Rows, image.Columns), np.float32)
        outputs = build(draft, image, pixels, EQUIPMENT)
        images = [each.path for each in self.store.instances(uid)]
        objects = write_outputs(self.settings.outbox_dir / job.id / "1", outputs, images)
        names = self.names or [each.name for each in self.settings.destinations]
        return self.store.draft(job.id, job.fence, draft, objects, names)

    def decide(self, reviewer=ROENTGEN, texts=None, key="k1", job=None, **changes):
        """Record a decision and let the time to undo pass; return it."""
        job = job or self.job
        content = ReviewContent.of_draft(draft_sentences(job.draft))
        sentences = tuple(
            replace(each, text=(texts or {}).get(each.id, each.text)) for each in content.sentences
        )
        request = DecisionRequest(
            verdict=Verdict.EDIT if texts else Verdict.ACCEPT,
            content=replace(content, sentences=sentences),
            base_version=0,
            seconds=Seconds(total=10),
            **changes,
        )
        made = self.store.decide(job.id, request, reviewer, key=key, digest=key, audit=AUDIT)
        self.clock.move(UNDO_SECONDS)
        return made

    def sender(self, sending=None):
        """Return a delivery worker."""
        where = sending or destinations(self.settings)
        return Delivering(self.store, self.settings, where, "sender", threading.Event())

    def deliver(self, sending=None):
        """Process what is due, to the end; return the errors."""
        sender, errors = self.sender(sending), []
        while (claim := sender.claim(None)) is not None:
            errors.append(work_on(sender, claim))
        return [each for each in errors if each]

    def report(self, decision):
        """Return the state of a decision's report."""
        return self.store.reports_of([self.store.decision(decision.id)])[decision.id]

    def verified(self, name="a"):
        """Return the verified reports that a folder holds, by time."""
        found = [dcmread(path) for path in (self.folder / name).rglob("*.dcm")]
        reports = [each for each in found if each.get("VerificationFlag") == "VERIFIED"]
        return sorted(reports, key=lambda each: each.SeriesNumber)


class Away:
    """A destination that does not answer."""

    name, reads_back = "b", True

    def send(self, _objects):
        """Raise the error of an unreachable peer."""
        raise DestinationUnavailable("no answer")

    held = verify = send


def folder_of(folder, name, **more):
    """Return the settings of a folder as destination."""
    return {"kind": "folder", "name": name, "path": str(folder / name), **more}


def texts_of(document):
    """Return the text of a document."""
    return [str(each.value) for each in document.iterall() if each.keyword == "TextValue"]


@pytest.fixture
def site(store, clock, tmp_path):
    """A site on each kind of database."""
    return Site(store, clock, tmp_path)


def test_an_accepted_draft_becomes_a_verified_report_at_every_destination(site):
    """FINAL, COMPLETE, VERIFIED, by the person, about the draft; nothing is sent within the minute."""
    decision = site.decide()
    site.clock.move(-1)
    site.deliver()
    assert site.verified() == []
    assert site.report(decision).state is ReportState.WAITING
    site.clock.move(1)
    assert site.deliver() == []
    ((one,), (other,)) = site.verified("a"), site.verified("b")
    assert one == other
    assert (one.PreliminaryFlag, one.CompletionFlag) == ("FINAL", "COMPLETE")
    observer = one.VerifyingObserverSequence[0]
    assert str(observer.VerifyingObserverName) == "Röntgen^Wilhelm"
    assert observer.VerifyingOrganization == "Klinikum Süd"
    assert observer.VerifyingObserverIdentificationCodeSequence[0].CodeValue == "roentgen"
    assert texts_of(one)[-3:] == ["The heart is enlarged.", "No effusion.", "1. Cardiomegaly."]
    reference = one.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    uid = reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == site.store.predecessor(site.job).sop_instance_uid == decision.draft_uid
    assert faults(one, site.image) == ()
    report = site.report(decision)
    assert (report.state, report.sop_instance_uid) == (ReportState.READ_BACK, one.SOPInstanceUID)
    assert site.store.events(site.job.id)[-1].reason.endswith(
        "verified report: every object is there, read back."
    )


def test_an_edited_text_is_what_is_verified(site):
    """Changed and removed sentences are as the person left them."""
    site.decide(texts={"f1": "The heart is normal.", "i1": ""})
    site.deliver()
    (report,) = site.verified()
    assert texts_of(report)[-2:] == ["The heart is normal.", "No effusion."]


def test_an_undone_decision_is_never_sent(site):
    """Neither when its time comes nor when a person has the job sent again."""
    decision = site.decide()
    site.clock.move(-1)
    site.store.undo(decision.id, ROENTGEN, AUDIT)
    site.clock.move(1)
    site.deliver()
    site.store.resend(site.job.id, "admin")
    site.deliver()
    assert (site.verified(), site.report(decision).state) == ([], ReportState.UNDONE)


def test_an_amended_report_replaces_the_earlier_one(site):
    """A new document in a new series; both stay."""
    first = site.decide()
    site.deliver()
    second = site.decide(CURIE, {"f2": "Small effusion."}, key="k2", amends=first.id)
    site.deliver()
    earlier, later = site.verified()
    reference = later.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    purpose = reference.ReferencedSOPSequence[0].PurposeOfReferenceCodeSequence[0]
    assert purpose.CodeMeaning == "Replaced report"
    assert str(later.VerifyingObserverSequence[0].VerifyingObserverName) == "Curie^Marie"
    assert [site.report(each).revision for each in (first, second)] == [1, 2]
    assert faults(later, site.image) == ()


def test_an_amendment_waits_until_the_amended_report_is_there(site):
    """At the destination that lacks it; the other one gets both."""
    first = site.decide()
    away = destinations(site.settings) | {"b": Away()}
    assert site.deliver(away)
    second = site.decide(key="k2", texts={"f1": "Normal."}, amends=first.id)
    site.deliver(away)
    site.clock.move(60)
    assert (len(site.verified("a")), len(site.verified("b"))) == (2, 0)
    tries = {each.destination: each.attempts for each in site.store.report_deliveries(second.id)}
    assert tries == {"a": 1, "b": 0}
    assert site.deliver() == []
    assert len(site.verified("b")) == 2


def test_a_draft_that_is_withdrawn_before_its_report_leaves_stops_it(site):
    """Nothing is sent; the author and the admin are notified, once."""
    decision = site.decide()
    site.store.withdraw(site.job.id, "admin", "Bad weights.")
    (error, *_) = site.deliver()
    assert "was withdrawn" in str(error)
    assert (site.verified(), site.report(decision).state) == ([], ReportState.FAILED)
    kinds = {each.kind for each in site.store.notify_authors()}
    assert kinds == {"draft withdrawn", "not delivered"}
    assert site.store.notify_authors() == []


def test_a_verified_report_stays_when_its_draft_is_withdrawn_or_in_doubt(site):
    """It is not removed; its author is notified, and the admin sees an incident."""
    decision = site.decide()
    site.deliver()
    site.store.withdraw(site.job.id, "admin", "Bad weights.")
    site.arrive(_as_another_patient(site.image), "second.dcm")
    site.store.notify_authors()
    (notice,) = site.store.author_notices(ROENTGEN.id, unseen=True)
    assert (notice.kind, notice.decision_id) == ("draft withdrawn", decision.id)
    assert "Bad weights" in notice.detail
    assert site.store.author_notices(CURIE.id) == []
    assert "verified_report_concerned" in {each.kind for each in site.store.incidents()}
    assert len(site.verified()) == 1
    assert site.report(decision).state is ReportState.READ_BACK
    site.store.notice_seen(notice.id, ROENTGEN.id)
    assert site.store.author_notices(ROENTGEN.id, unseen=True) == []


def test_a_copy_of_another_patient_stops_a_report_that_has_not_left(site):
    """While it is compared the report waits; in doubt it is not sent."""
    decision = site.decide()
    site.arrive(_as_another_patient(site.image), "second.dcm")
    (error, *_) = site.deliver()
    assert "is being compared" in str(error)
    assert site.report(decision).state is ReportState.WAITING
    Doubts(site.store, site.settings).compare_due()
    site.clock.move(60)
    site.deliver()
    assert (site.verified(), site.report(decision).state) == ([], ReportState.FAILED)
    site.store.notify_authors()
    kinds = {each.kind for each in site.store.author_notices(ROENTGEN.id)}
    assert kinds == {"draft in doubt", "not delivered"}


def test_later_images_leave_the_report_and_notify_its_author(site):
    """The newer draft supersedes the old one, not the person's report."""
    site.decide()
    site.deliver()
    newer = site.drafted()
    site.deliver()
    (notice,) = site.store.notify_authors()
    assert (notice.kind, notice.subject) == ("newer draft", newer.id)
    assert len(site.verified()) == 1


@pytest.mark.parametrize(
    "step", ["before the report", "after the file", "after the record", "sent"]
)
def test_a_worker_that_is_lost_at_any_step_sends_one_report(site, monkeypatch, step):
    """The next worker continues from what is durable: one report, the same bytes, with its author."""
    decision = site.decide()
    _break_at(step, site, monkeypatch)
    assert site.deliver()
    monkeypatch.undo()
    site.clock.move(600)
    site.store.take_back_deliveries(site.store.now())
    assert site.deliver() == []
    ((one,), (other,)) = site.verified("a"), site.verified("b")
    assert one.SOPInstanceUID == other.SOPInstanceUID
    assert str(one.VerifyingObserverSequence[0].VerifyingObserverName) == "Röntgen^Wilhelm"
    assert site.report(decision).state is ReportState.READ_BACK
    assert len(list((site.settings.outbox_dir / site.job.id).glob("verified-*.dcm"))) == 1


def _break_at(step, site, monkeypatch):
    """Let the database or the program fail at one step, as where a worker is killed."""

    def fail(*_args, **_keywords):
        raise StoreUnavailable("the database does not answer")

    if step == "before the report":
        monkeypatch.setattr(site.store, "decision", fail)
    elif step == "after the file":
        monkeypatch.setattr(site.store, "record_report", fail)
    elif step == "after the record":
        monkeypatch.setattr("workers.delivery.verified_report.encoded_object", fail)
    else:
        monkeypatch.setattr(site.store, "confirm_delivery", fail)
        monkeypatch.setattr(
            "workers.delivery.delivering.retry_while_held", lambda work, _lease: work()
        )


def test_a_lost_file_is_built_again_with_the_same_bytes(site):
    """Between two destinations the outbox lost it."""
    site.decide()
    sender = site.sender()
    sender.work(sender.claim(None))
    (path,) = (site.settings.outbox_dir / site.job.id).glob("verified-*.dcm")
    path.unlink()
    site.deliver()
    ((one,), (other,)) = site.verified("a"), site.verified("b")
    assert one == other


def test_a_failed_report_is_sent_again(site):
    """By the action on the decision; objects that already arrived stay."""
    decision = site.decide()
    (site.folder / "b").rename(site.folder / "away")
    (site.folder / "b").write_text("no folder")
    site.deliver()
    site.clock.move(2 * 3600)
    site.deliver()
    assert site.report(decision).state is ReportState.FAILED
    assert list(site.report(decision).faults) == ["b"]
    (site.folder / "b").unlink()
    (site.folder / "away").rename(site.folder / "b")
    assert site.store.send_report_again(decision.id, "Wilhelm Röntgen") == 1
    assert site.deliver() == []
    assert site.report(decision).state is ReportState.READ_BACK


def test_a_destination_without_reports_gets_none(store, clock, tmp_path):
    """`objects` of the destination counts for a verified report as for the draft."""
    wanted = [folder_of(tmp_path, "a"), folder_of(tmp_path, "b", objects=["images"])]
    site = Site(store, clock, tmp_path, *wanted)
    decision = site.decide()
    assert site.deliver() == []
    assert (len(site.verified("a")), site.verified("b")) == (1, [])
    assert site.report(decision).state is ReportState.READ_BACK


def test_a_destination_that_gets_the_draft_later_gets_the_report_too(store, clock, tmp_path):
    """A person has the job sent to one more archive: draft first, then the report."""
    wanted = [folder_of(tmp_path, "a"), folder_of(tmp_path, "b")]
    site = Site(store, clock, tmp_path, *wanted, names=["a"])
    decision = site.decide()
    site.deliver()
    assert (len(site.verified("a")), site.verified("b")) == (1, [])
    store.resend(site.job.id, "admin", to=["b"])
    site.deliver()
    assert site.verified("b") == site.verified("a")
    assert site.report(decision).state is ReportState.READ_BACK


def test_orthanc_holds_the_report_as_verified(store, clock, tmp_path, orthanc):
    """Read back from a real PACS: flags, verifier and predecessor."""
    pacs = {"kind": "orthanc", "name": "pacs", "url": orthanc.url}
    site = Site(store, clock, tmp_path, pacs)
    decision = site.decide()
    assert site.deliver() == []
    uid = site.report(decision).sop_instance_uid
    (found,) = httpx.post(f"{orthanc.url}/tools/lookup", content=uid).json()
    held = httpx.get(f"{orthanc.url}/instances/{found['ID']}/file").content
    document = dcmread(BytesIO(held))
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("VERIFIED", "FINAL")
    assert str(document.VerifyingObserverSequence[0].VerifyingObserverName) == "Röntgen^Wilhelm"
    assert faults(document, site.image) == ()
    assert isinstance(destinations(site.settings)["pacs"], OrthancDestination)
    states = [each.state for each in store.report_deliveries(decision.id)]
    assert states == [DeliveryState.CONFIRMED]


def test_a_recall_removes_the_draft_from_our_archive_and_not_the_report(
    store, clock, tmp_path, orthanc
):
    """The objects of the draft are removed; the person's report stays."""
    pacs = {"kind": "orthanc", "name": "pacs", "url": orthanc.url, "may_remove": True}
    site = Site(store, clock, tmp_path, pacs)
    decision = site.decide()
    assert site.deliver() == []
    order = RecallOrder(
        model=None,
        since=None,
        version=None,
        reason="Bad weights.",
        actor="admin",
        study=site.job.study_instance_uid,
    )
    sending = destinations(site.settings)
    steps = plan(store, site.settings, order)
    done = list(Recall(store, site.settings, sending, lambda: EQUIPMENT, order).run(steps))
    assert [each.failed for each in done] == [False]

    def is_there(uid):
        return bool(httpx.post(f"{orthanc.url}/tools/lookup", content=uid).json())

    assert is_there(site.report(decision).sop_instance_uid)
    assert not is_there(decision.draft_uid)
    assert {each.kind for each in store.notify_authors()} == {"draft withdrawn"}


def _as_another_patient(image):
    changed = as_dataset(draw(7, rows=160, columns=144))
    assert changed.SOPInstanceUID == image.SOPInstanceUID
    changed.PatientID = "RIGHT-2"
    return changed
