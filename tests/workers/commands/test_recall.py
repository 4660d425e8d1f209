"""Removal of drafts: superseded ones from our own archive, withdrawn ones from everywhere."""

import shutil
import subprocess
import threading
from dataclasses import replace
from datetime import timedelta

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from pydicom import dcmread

from dicom.content.report import DraftReport, ModelIdentity, SourceImage
from dicom.phantom import as_dataset, draw, write
from dicom.results.outputs import Equipment, build
from dicom.selection.local_files import describe
from dicom.validation.result_object import faults
from service.errors import LeaseLost
from service.jobs import DeliveryState, IllegalTransition, JobState
from service.maintenance.notice_files import doubt_uids
from service.maintenance.recall import Recall, RecallOrder, WithdrawalMethod, plan
from service.settings.config import load_settings
from service.settings.destination_factory import destinations, encoded_object
from service.sweeper.doubts import Doubts
from workers.commands.recall import recall as command
from workers.delivery.delivering import Delivering
from workers.outbox import write_outputs

EQUIPMENT = Equipment(device_uid="2.25.9", software_version="0.1.0")


class Site:
    """A store, an Orthanc of ours, a folder, and drafts that have been delivered to them."""

    def __init__(self, store, folder, orthanc, *, may_remove=True):
        self.store = store
        self.folder = folder
        self.orthanc = orthanc
        self.settings = load_settings(
            data_dir=folder / "data",
            destinations=[
                {"kind": "orthanc", "name": "ours", "url": orthanc.url, "may_remove": may_remove},
                {"kind": "folder", "name": "other", "path": str(folder / "other")},
            ],
        )
        self.destinations = destinations(self.settings)

    def arrive(self, seed):
        """Let an image of the study `seed` arrive; return its path."""
        image = as_dataset(draw(seed, rows=128, columns=112))
        path = write(image, self.folder / f"{seed}.dcm")
        instance = describe(path)
        self.store.add_instance(instance, calling_ae="M", association_id="A", eligible=True)
        return path

    def drafted(self, seed, *, version="1", forced=False):
        """Return a DRAFTED job of the study `seed`, not yet delivered."""
        path = self.arrive(seed)
        image = dcmread(path)
        job = self.store.schedule(
            image.StudyInstanceUID,
            model="tiny",
            version=version,
            actor="t",
            reason="Released.",
            force=forced,
        )
        job = self.store.claim_reading(job.id, "reader", 60)
        draft = DraftReport(
            study_instance_uid=image.StudyInstanceUID,
            source=SourceImage(
                sop_instance_uid=image.SOPInstanceUID,
                sop_class_uid=image.SOPClassUID,
                series_instance_uid=image.SeriesInstanceUID,
                rows=128,
                columns=112,
            ),
            revision=job.revision,
            produced_at=job.produced_at,
            findings_text=("Clear.",),
            model=ModelIdentity(name="Tiny model", version=version, weights_sha256="0" * 64),
        )
        outputs = build(draft, image, np.zeros((128, 112), np.float32), EQUIPMENT)
        objects = write_outputs(self.settings.outbox_dir / job.id / "1", outputs, [path])
        return self.store.draft(job.id, job.fence, draft, objects, ["ours", "other"])

    def deliver(self, job):
        """Send the job's due deliveries."""
        sender = Delivering(
            self.store, self.settings, self.destinations, "sender", threading.Event()
        )
        while claim := sender.claim(job.id):
            sender.work(claim)
        return self.store.job(job.id)

    def held(self, job):
        """Return how many of the job's objects the Orthanc holds."""
        uids = [item.sop_instance_uid for item in self.store.objects(job.id)]
        lookup = f"{self.orthanc.url}/tools/lookup"
        return sum(bool(httpx.post(lookup, content=uid).json()) for uid in uids)

    def order(self, **changes):
        """Return the order to withdraw the model since yesterday."""
        since = self.store.now() - timedelta(days=1)
        wanted = RecallOrder(
            model="tiny", since=since, version=None, reason="It errs.", actor="Ann"
        )
        return replace(wanted, **changes)

    def recall(self, order):
        """Carry an order out; return the result."""
        work = Recall(self.store, self.settings, self.destinations, lambda: EQUIPMENT, order)
        return list(work.run(plan(self.store, self.settings, order)))


@pytest.fixture
def site(store, tmp_path, orthanc):
    """A site on each kind of database."""
    return Site(store, tmp_path, orthanc)


def actions(store, job):
    """The actions in the job's history."""
    return [event.action for event in store.events(job.id)]


def test_a_superseded_draft_goes_once_the_new_one_is_confirmed(site, store):
    """Before the new draft's confirmation nothing is removed; then the old one from our archive only."""
    first = site.deliver(site.drafted(21))
    assert (first.state, site.held(first)) == (JobState.COMPLETED, 4)
    second = site.drafted(21, forced=True)
    assert site.held(first) == 4
    site.deliver(second)
    assert (site.held(first), site.held(second)) == (0, 4)
    note = store.events(first.id)[-1]
    assert note.action == "remove_superseded"
    assert note.reason.startswith("ours: 4 object(s) removed, superseded by job")
    assert len(list((site.folder / "other").rglob("*.dcm"))) == 8


def test_a_draft_that_arrives_after_its_successor_goes_at_once(site, store):
    """A delayed draft that is superseded does not stay in our archive."""
    first = site.drafted(33)
    second = site.drafted(33, forced=True)
    site.deliver(store.job(second.id))
    assert site.held(second) == 4
    site.deliver(first)
    assert (site.held(first), site.held(second)) == (0, 4)
    assert "remove_superseded" in actions(store, first)


def test_without_leave_a_superseded_draft_stays(store, tmp_path, orthanc):
    """By default nothing is removed from any archive."""
    site = Site(store, tmp_path, orthanc, may_remove=False)
    first = site.deliver(site.drafted(22))
    site.deliver(site.drafted(22, forced=True))
    assert site.held(first) == 4
    assert "remove_superseded" not in actions(store, first)


def test_a_plan_changes_nothing(site, store):
    """The plan names what would happen to each draft at each destination."""
    sent, waiting = site.deliver(site.drafted(23)), site.drafted(24)
    before = store.version()
    steps = plan(store, site.settings, site.order())
    ways = {(step.job.id, step.destination): step.method for step in steps}
    assert ways == {
        (sent.id, "ours"): WithdrawalMethod.REMOVE,
        (sent.id, "other"): WithdrawalMethod.MARK,
        (waiting.id, "ours"): WithdrawalMethod.CANCEL,
        (waiting.id, "other"): WithdrawalMethod.CANCEL,
    }
    assert (store.version(), site.held(sent)) == (before, 4)


def test_only_the_named_model_version_and_time_are_withdrawn(site, store, clock):
    """Other versions, other models and older drafts are left alone."""
    site.drafted(25)
    site.drafted(26, version="2")
    assert len(plan(store, site.settings, site.order())) == 4
    assert len(plan(store, site.settings, site.order(version="2"))) == 2
    assert len(plan(store, site.settings, site.order(model="Tiny model", version="1"))) == 2
    assert plan(store, site.settings, site.order(model="other")) == []
    later = site.order(since=clock.move(60))
    assert plan(store, site.settings, later) == []


def test_withdrawing_removes_marks_and_stops(site, store):
    """Our archive loses the draft, the other has a valid notice, waiting results are not sent."""
    sent, waiting = site.deliver(site.drafted(27)), site.drafted(28)
    done = site.recall(site.order())
    assert not [step for step in done if step.failed]
    assert site.held(sent) == 0
    found = [dcmread(path) for path in (site.folder / "other").rglob("*.dcm")]
    (notice,) = [each for each in found if "WITHDRAWN" in each.SeriesDescription]
    for job in (sent, waiting):
        after = store.job(job.id)
        assert (after.reason_code, after.reason) == ("RECALLED", "Withdrawn: It errs.")
        assert "recall" in actions(store, job)
    assert notice.StudyInstanceUID == sent.study_instance_uid
    states = {each.state for each in store.deliveries(waiting.id)}
    assert states == {DeliveryState.CANCELED}
    assert site.held(waiting) == 0


def test_the_notice_is_valid_and_names_the_draft(site, store, tmp_path):
    """It states not to use the draft, names it as predecessor, and validators find no error."""
    sent = site.deliver(site.drafted(29))
    site.recall(site.order())
    path = site.settings.outbox_dir / sent.id / "withdrawn.dcm"
    document = dcmread(path)
    assert faults(document, dcmread(tmp_path / "29.dcm")) == ()
    assert document.SeriesDescription.startswith("AI DRAFT WITHDRAWN - DO NOT USE")
    texts = [str(each.value) for each in document.iterall() if each.keyword == "TextValue"]
    assert "Why the draft is withdrawn: It errs." in texts
    reference = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    draft = store.predecessor(sent)
    uid = reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert uid == draft.sop_instance_uid
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    found = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, timeout=60)
    assert (found.returncode, "Error" in found.stderr) == (0, False), found.stderr


def test_doing_it_again_changes_nothing_more(site):
    """The second run finds nothing to remove and sends the same notice."""
    sent = site.deliver(site.drafted(30))
    site.recall(site.order())
    notice = (site.settings.outbox_dir / sent.id / "withdrawn.dcm").read_bytes()
    done = site.recall(site.order())
    assert not [step for step in done if step.failed]
    assert (site.settings.outbox_dir / sent.id / "withdrawn.dcm").read_bytes() == notice
    assert "ours" in [step.destination for step in done if step.done.startswith("0 object(s)")]


def test_a_withdrawn_draft_is_not_sent_again(site, store):
    """A retry by a person is refused with the reason."""
    waiting = site.drafted(31)
    site.recall(site.order())
    with pytest.raises(IllegalTransition, match="withdrawn"):
        store.retry(waiting.id, "Ann")


def test_what_cannot_be_reached_is_reported_and_the_rest_is_done(store, tmp_path, orthanc):
    """An unavailable archive fails its line only; a missing copy is left to a person."""
    site = Site(store, tmp_path, orthanc)
    sent = site.deliver(site.drafted(32))
    (site.settings.outbox_dir / sent.id / "1" / "draft-report.dcm").unlink()
    away = load_settings(
        data_dir=tmp_path / "data",
        destinations=[
            {"kind": "orthanc", "name": "ours", "url": "http://127.0.0.1:1", "may_remove": True},
            {"kind": "folder", "name": "other", "path": str(tmp_path / "other")},
        ],
    )
    site.settings, site.destinations = away, destinations(away)
    done = {step.destination: step for step in site.recall(site.order())}
    assert done["ours"].failed
    assert done["ours"].done.startswith("failed: ours (Orthanc at")
    assert (done["other"].method, done["other"].failed) == (WithdrawalMethod.BY_HAND, True)


def test_the_command_shows_first_and_needs_a_reason(tmp_path, monkeypatch, database_url):
    """Without --apply nothing is done; with it a reason is required."""
    monkeypatch.setenv("WETREAD_DATABASE__URL", database_url)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(tmp_path))
    arguments = ["--model", "tiny", "--since", "2026-01-01"]
    shown = CliRunner().invoke(command, arguments)
    assert (shown.exit_code, "no drafts" in shown.output) == (1, True), shown.output
    refused = CliRunner().invoke(command, [*arguments, "--apply"])
    assert refused.exit_code == 2
    assert "--reason" in refused.output


def test_a_name_that_matches_nothing_lists_those_that_exist(site, monkeypatch, database_url):
    """A safety recall with a wrong name lists the names and versions that exist, and fails."""
    monkeypatch.setenv("WETREAD_DATABASE__URL", database_url)
    monkeypatch.setenv("WETREAD_DATA_DIR", str(site.folder / "data"))
    site.drafted(41, version="7")
    shown = CliRunner().invoke(command, ["--model", "tyni", "--since", "2026-01-01"])
    assert shown.exit_code == 1
    assert "There are no drafts of the model 'tyni' since 2026-01-01" in shown.output
    assert "tiny (Tiny model), version 7: 1 draft" in shown.output
    assert "demo (model demo), version 1" in shown.output
    incomplete = CliRunner().invoke(command, ["--model", "tiny"])
    assert (incomplete.exit_code, "--study" in incomplete.output) == (2, True)


def test_a_model_is_found_by_the_checkpoint_of_its_table_too(site, store):
    """`model = "cxr-llava-v2"` under another name is that model all the same."""
    site.drafted(42)
    table = {"name": "tiny", "model": "cxr-llava-v2", "model_dir": str(site.folder)}
    settings = load_settings(data_dir=site.folder / "data", models=[table])
    assert len(plan(store, settings, site.order(model="cxr-llava-v2"))) == 2
    assert plan(store, settings, site.order(model="cxr-llava-v1")) == []


def test_the_drafts_of_one_study_are_withdrawn_alone(site, store):
    """Without a model and a time, for a draft in doubt for one."""
    first, second = site.deliver(site.drafted(43)), site.deliver(site.drafted(44))
    done = site.recall(site.order(model=None, since=None, study=first.study_instance_uid))
    assert {step.job.id for step in done} == {first.id}
    assert store.job(second.id).reason_code == ""


def put_in_doubt(site, job, seed):
    """Let the job's image come again with another Patient ID; its notices of doubt are due then."""
    image = as_dataset(draw(seed, rows=128, columns=112))
    image.PatientID = "RIGHT-2"
    path = write(image, site.folder / f"{seed}-again.dcm")
    site.store.add_instance(describe(path), calling_ae="M", association_id="B", eligible=True)
    assert Doubts(site.store, site.settings).compare_due() == 1
    return doubt_count(site, job)


def doubt_count(site, job):
    """Return how many notices that the job's draft is in doubt our Orthanc holds."""
    lookup = f"{site.orthanc.url}/tools/lookup"
    uids = doubt_uids(site.settings.outbox_dir, job.id)
    return sum(bool(httpx.post(lookup, content=uid).json()) for uid in uids)


def test_withdrawing_leaves_no_notice_of_doubt_about_a_draft_that_is_gone(site):
    """Our archive loses draft and notice; the other keeps both and gets the notice of withdrawal."""
    sent = site.deliver(site.drafted(46))
    put_in_doubt(site, sent, 46)
    site.deliver(sent)
    assert doubt_count(site, sent) == 1
    done = site.recall(site.order())
    assert not [step for step in done if step.failed]
    assert (site.held(sent), doubt_count(site, sent)) == (0, 0)
    found = [dcmread(path).SeriesDescription for path in (site.folder / "other").rglob("*.dcm")]
    assert sum("IN DOUBT" in text for text in found) == 1
    assert sum("WITHDRAWN" in text for text in found) == 1


def test_a_notice_of_doubt_that_is_being_sent_is_left_for_the_next_run(site, store):
    """The first run reports that it may still arrive; the second removes it."""
    sent = site.deliver(site.drafted(47))
    put_in_doubt(site, sent, 47)
    sender = Delivering(store, site.settings, site.destinations, "sender", threading.Event())
    claim = sender.claim(sent.id, excluding=["other"])
    assert (claim.delivery.destination, bool(claim.delivery.notice)) == ("ours", True)
    first = {step.destination: step for step in site.recall(site.order())}
    assert first["ours"].failed
    assert "being sent at this moment" in first["ours"].done
    with pytest.raises(LeaseLost):
        sender.work(claim)
    assert doubt_count(site, sent) == 1
    second = {step.destination: step for step in site.recall(site.order())}
    assert not second["ours"].failed
    assert doubt_count(site, sent) == 0


def test_a_notice_of_doubt_goes_with_the_draft_that_is_superseded(site):
    """Also the one that was delayed until the later draft had arrived."""
    first = site.deliver(site.drafted(48))
    put_in_doubt(site, first, 48)
    site.deliver(first)
    assert doubt_count(site, first) == 1
    second = site.deliver(site.drafted(48, forced=True))
    assert (site.held(first), site.held(second), doubt_count(site, first)) == (0, 4, 0)


def test_a_notice_of_doubt_that_comes_after_the_later_draft_goes_at_once(site):
    """It was delayed; its draft is no longer in our archive."""
    first = site.deliver(site.drafted(49))
    put_in_doubt(site, first, 49)
    second = site.deliver(site.drafted(49, forced=True))
    site.deliver(first)
    assert doubt_uids(site.settings.outbox_dir, first.id)
    assert (site.held(first), site.held(second), doubt_count(site, first)) == (0, 4, 0)


@pytest.mark.parametrize(
    ("objects", "way"),
    [(["images"], WithdrawalMethod.MARK), (["report-pdf"], WithdrawalMethod.BY_HAND)],
)
def test_a_withdrawal_is_of_a_kind_that_the_destination_gets(
    store, tmp_path, orthanc, objects, way
):
    """Where only images go it is a page; where neither reports nor images go a person is asked."""
    site = Site(store, tmp_path, orthanc, may_remove=False)
    ours, other = (each.model_dump(mode="json") for each in site.settings.destinations)
    site.settings = load_settings(
        data_dir=tmp_path / "data", destinations=[ours, other | {"objects": objects}]
    )
    site.destinations = destinations(site.settings)
    site.deliver(site.drafted(50))
    done = {step.destination: step for step in site.recall(site.order())}
    assert (done["other"].method, done["other"].failed) == (way, way is WithdrawalMethod.BY_HAND)
    found = [dcmread(path) for path in (tmp_path / "other").rglob("*.dcm")]
    notices = [each for each in found if "WITHDRAWN" in each.SeriesDescription]
    assert [each.Modality for each in notices] == (["OT"] if way is WithdrawalMethod.MARK else [])


def sent_by(site, job, name):
    """Claim the job's next delivery, which is to `name`, and send its objects; return it, still open."""
    delivery, objects = site.store.claim_delivery(job.id, "sender", 60, {})
    assert delivery.destination == name
    site.destinations[name].send([encoded_object(item) for item in objects])
    return delivery


def test_a_draft_that_has_arrived_at_one_place_goes_nowhere_else(site, store):
    """Withdrawn while another destination still waits for it, it cannot be sent there by a retry."""
    job = site.drafted(34)
    delivery = sent_by(site, job, "ours")
    store.confirm_delivery(delivery.id, delivery.fence)
    assert not [step for step in site.recall(site.order()) if step.failed]
    assert site.held(job) == 0
    with pytest.raises(IllegalTransition, match="withdrawn"):
        store.retry(job.id, "Ann")


@pytest.mark.parametrize("end", ["postpone_delivery", "fail_delivery"])
def test_a_draft_that_may_have_arrived_is_withdrawn_too(site, store, end):
    """A destination that took it but did not show it when asked may still hold it."""
    job = site.drafted(35)
    for name in ("ours", "other"):
        delivery = sent_by(site, job, name)
        more = [60.0] if end == "postpone_delivery" else []
        getattr(store, end)(delivery.id, delivery.fence, "It does not list it.", *more)
    assert site.held(job) == 4
    done = site.recall(site.order())
    assert not [step for step in done if step.failed]
    assert {step.destination: step.method for step in done} == {
        "ours": WithdrawalMethod.REMOVE,
        "other": WithdrawalMethod.MARK,
    }
    assert site.held(job) == 0
    assert [path for path in (site.folder / "other").rglob("*") if is_notice(path)]


def test_what_is_being_sent_while_it_is_withdrawn_is_left_for_the_next_run(site, store):
    """The first run reports that objects may still arrive; the second removes those that did."""
    job = site.drafted(36)
    delivery, _ = store.claim_delivery(job.id, "sender", 60, {})
    first = {step.destination: step for step in site.recall(site.order())}
    assert first["ours"].failed
    assert "run it again" in first["ours"].done
    assert not first["other"].failed
    site.destinations["ours"].send([encoded_object(item) for item in store.objects(job.id)])
    with pytest.raises(LeaseLost):
        store.confirm_delivery(delivery.id, delivery.fence)
    assert site.held(job) == 4
    second = site.recall(site.order())
    assert [(step.destination, step.failed) for step in second] == [("ours", False)]
    assert site.held(job) == 0


def test_what_was_delivered_after_the_plan_is_withdrawn_as_delivered(site, store):
    """A plan is slightly old when it is carried out: the state at that time counts."""
    job = site.drafted(37)
    steps = plan(store, site.settings, site.order())
    site.deliver(job)
    work = Recall(store, site.settings, site.destinations, lambda: EQUIPMENT, site.order())
    done = {step.destination: step.method for step in work.run(steps)}
    assert done == {"ours": WithdrawalMethod.REMOVE, "other": WithdrawalMethod.MARK}
    assert site.held(job) == 0


def test_a_draft_that_was_canceled_before_cannot_be_sent_later(site, store):
    """A person canceled it; its model is withdrawn; it can then no longer be sent."""
    job = site.drafted(38)
    store.cancel(job.id, "Ann")
    assert not [step for step in site.recall(site.order()) if step.failed]
    with pytest.raises(IllegalTransition, match="withdrawn"):
        store.retry(job.id, "Ann")
    assert site.recall(site.order()) == []


def is_notice(path):
    """Whether the file is a notice of a withdrawn draft."""
    return path.suffix == ".dcm" and "WITHDRAWN" in dcmread(path).SeriesDescription
