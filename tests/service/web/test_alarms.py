"""A draft that is withdrawn or in doubt is marked so on every page, in the API and in the metrics."""

import hashlib
import html
import io
import re
from dataclasses import replace

import pytest
from PIL import Image
from pydicom import dcmread

from dicom.selection.local_files import describe
from service.jobs import DeliveryState, DraftStatus, Event
from service.records import Arrival

RED = (160, 20, 16)


@pytest.fixture
def withdrawn(site, seeder):
    """A delivered draft that was recalled, its notice read back."""
    job = seeder.completed(1)
    site.store.withdraw(job.id, "Ann (command line)", "Withdrawn: trial ended")
    site.store.note(job.id, Event.RECALL_DONE, "Ann", "orthanc: notice 2.25.1 is there, read back")
    return site.store.job(job.id)


@pytest.fixture
def doubtful(site, seeder):
    """A delivered draft whose image came again with another Patient ID."""
    job = seeder.completed(1)
    (first,) = site.store.instances(job.study_instance_uid)
    other = dcmread(first.path)
    other.PatientID, other.PatientName = "ANOTHER", "Other^<b>Person"
    path = first.path.with_name("second.dcm")
    other.save_as(path)
    given = {"calling_ae": "MODALITY", "association_id": "b", "eligible": True}
    assert site.store.add_instance(describe(path), **given) is Arrival.CONFLICT
    (conflict,) = site.store.conflicts_to_compare()
    site.store.compared(conflict, "Patient ID")
    return site.store.job(job.id)


def overlay_of(site, seeder, job, path):
    """An annotated image of 200 x 160 pixels, green."""
    capture = dcmread(site.store.instances(job.study_instance_uid)[0].path)
    capture.SamplesPerPixel, capture.PhotometricInterpretation = 3, "RGB"
    capture.PlanarConfiguration, capture.Rows, capture.Columns = 0, 160, 200
    capture.BitsAllocated, capture.BitsStored, capture.HighBit = 8, 8, 7
    capture["PixelData"].VR = "OB"
    capture.PixelData = bytes([0, 128, 0]) * 160 * 200
    capture.save_as(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(seeder.result_object(job), kind="overlay", path=path, sha256=digest)


def text_of(site, path):
    """The page's source with its entities as letters."""
    return html.unescape(site.get(path).text)


def test_a_withdrawn_draft_is_seen_first_on_its_study_page(site, withdrawn):
    """The alarm with reason, person and time comes first; the text is folded."""
    page = text_of(site, f"/studies/{withdrawn.study_instance_uid}")
    status = page[page.index('id="status"') : page.index('id="actions"')]
    assert "Withdrawn: trial ended. Do not use this draft." in status
    assert "Withdrawn by Ann (command line)" in status
    assert "Delivered" not in status
    draft = page[page.index('id="draft"') : page.index('id="deliveries"')]
    assert '<details class="withdrawn"><summary>' in draft
    assert "It had 5 sentences and 5 coded findings" in draft
    assert draft.index("</summary>") < draft.index("small left pleural effusion")
    deliveries = page[page.index('id="deliveries"') : page.index('id="objects"')]
    assert "orthanc: notice 2.25.1 is there, read back." in deliveries
    assert "CONFIRMED" not in deliveries
    assert "COMPLETED" not in page[page.index('id="status"') : page.index('id="events"')]


def test_a_withdrawn_draft_is_not_offered_for_sending(site, seeder, withdrawn):
    """The store refuses that; the action on a draft in force is offered."""
    other = seeder.completed(2)
    assert 'id="do-resend"' not in text_of(site, f"/studies/{withdrawn.study_instance_uid}")
    assert 'id="do-resend"' in text_of(site, f"/studies/{other.study_instance_uid}")


def test_a_withdrawn_draft_is_withdrawn_in_the_queue_the_stream_and_the_api(site, withdrawn):
    """Row, live parts and JSON state it; the list of withdrawn drafts has it."""
    row = text_of(site, "/").split(f'id="job-{withdrawn.id}"')[1].split("</tr>")[0]
    live = site.get("/live/queue.json").json()["parts"][f"job-{withdrawn.id}"]
    for shown in (row, html.unescape(live)):
        assert "Withdrawn: trial ended. Do not use this draft." in shown
        assert 'title="WITHDRAWN"' in shown
        assert "Delivered" not in shown
    assert f"job-{withdrawn.id}" in site.get("/?state=WITHDRAWN").text
    assert f"job-{withdrawn.id}" not in site.get("/?state=IN_DOUBT").text
    full = site.get(f"/api/jobs/{withdrawn.id}").json()
    assert full["draft_status"] == "WITHDRAWN"
    assert full["why"] == "Withdrawn: trial ended. Do not use this draft."
    assert full["alarm"]["by"] == "Ann (command line)"
    assert full["deliveries"][0]["withdrawal"] == "WITHDRAWN"


@pytest.mark.parametrize(
    ("note", "word", "state"),
    [
        (None, "Not yet withdrawn", "NOT_YET_WITHDRAWN"),
        (
            (Event.RECALL_FAILED, "orthanc: failed: no route"),
            "Withdrawal failed",
            "WITHDRAWAL_FAILED",
        ),
        ((Event.RECALL_DONE, "orthanc: failed: as it was once noted"), "Withdrawal failed", None),
    ],
)
def test_a_recall_that_is_not_done_everywhere_states_where(site, seeder, note, word, state):
    """Until its notice has arrived, and if that failed, the archive may show the draft."""
    job = seeder.completed(1)
    site.store.withdraw(job.id, "Ann", "Withdrawn: it errs")
    if note:
        site.store.note(job.id, note[0], "Ann", note[1])
    page = text_of(site, f"/studies/{job.study_instance_uid}")
    deliveries = page[page.index('id="deliveries"') : page.index('id="objects"')]
    assert word in deliveries
    assert "orthanc may still show the draft without a notice" in deliveries
    if state:
        assert site.get(f"/api/jobs/{job.id}").json()["deliveries"][0]["withdrawal"] == state


def test_a_withdrawn_draft_that_was_never_sent_is_withdrawn_and_not_sent(site, seeder):
    """It differs from other canceled jobs: the alarm comes first."""
    job = seeder.drafted(1)
    site.store.withdraw(job.id, "Ann", "Withdrawn: it errs")
    page = text_of(site, f"/studies/{job.study_instance_uid}")
    assert "Withdrawn: it errs. Do not use this draft." in page
    assert "Nothing was sent to orthanc." in page


def test_a_withdrawn_draft_that_is_superseded_is_still_withdrawn(site, seeder, withdrawn):
    """The later draft is named, and the alarm stays first."""
    again = site.store.schedule(
        withdrawn.study_instance_uid, model="demo", version="0.1", actor="t", reason="", force=True
    )
    seeder.finish(seeder.claim(again))
    page = text_of(site, f"/studies/{withdrawn.study_instance_uid}?job={withdrawn.id}")
    assert site.store.job(withdrawn.id).draft_status is DraftStatus.WITHDRAWN
    assert page.index("Do not use this draft.") < page.index("UNVERIFIED AI DRAFT")
    later = text_of(site, f"/studies/{withdrawn.study_instance_uid}")
    assert 'title="WITHDRAWN"' in later[later.index('id="revisions"') :]
    assert "Do not use this draft." not in later


def test_the_findings_of_a_withdrawn_draft_are_drawn_only_when_asked_for(site, seeder, tmp_path):
    """The image is shown without them; with them it bears a red stamp."""
    job = seeder.reading(1)
    objects = [overlay_of(site, seeder, job, tmp_path / "overlay.dcm")]
    site.store.draft(job.id, job.fence, seeder.draft_of(job), objects, ["orthanc"])
    url = f"/jobs/{job.id}/film.png"
    assert Image.open(io.BytesIO(site.get(url).content)).size == (200, 160)
    site.store.withdraw(job.id, "Ann", "Withdrawn: it errs")
    assert Image.open(io.BytesIO(site.get(url).content)).size == (96, 96)
    stamped = Image.open(io.BytesIO(site.get(f"{url}?withdrawn=1").content))
    assert stamped.size == (200, 184)
    assert stamped.convert("RGB").getpixel((2, 2)) == RED
    page = text_of(site, f"/studies/{job.study_instance_uid}")
    assert f'src="..{url}?source=1"' in page


def test_a_draft_in_doubt_is_seen_first_and_may_be_read(site, doubtful):
    """The alarm states the differences and what to do; the draft is open, the delivery unchanged."""
    page = text_of(site, f"/studies/{doubtful.study_instance_uid}")
    status = page[page.index('id="status"') : page.index('id="actions"')]
    assert "In doubt: A later copy of its image differs in Patient ID." in status
    assert "Verify patient, order and image before use." in status
    assert "The other copy came from MODALITY" in status
    assert "orthanc: notice of doubt" in page
    assert "It differs in Patient ID." in page
    row = text_of(site, "/").split(f'id="job-{doubtful.id}"')[1].split("</tr>")[0]
    assert 'title="IN_DOUBT"' in row
    draft = page[page.index('id="draft"') : page.index('id="deliveries"')]
    assert draft.index('<h2 class="doubtful">Draft in doubt') < draft.index("UNVERIFIED AI DRAFT")
    assert (
        "1 draft is about an image of which a corrected or conflicting copy was received"
        in text_of(site, "/")
    )
    full = site.get(f"/api/jobs/{doubtful.id}").json()
    assert full["draft_status"] == "IN_DOUBT"
    assert full["why"].startswith("In doubt: A later copy of its image differs in Patient ID.")
    assert [each["state"] for each in full["notices"]] == [DeliveryState.PENDING.value]
    assert 'wetread_drafts{status="IN_DOUBT"} 1.0' in site.get("/metrics").text


def test_a_text_that_is_not_coded_is_not_called_silent_on_the_page(site, seeder):
    """The page states that findings are not coded, and not that they are not mentioned."""
    job = seeder.reading(1)
    draft = replace(seeder.draft_of(job), findings=())
    site.store.draft(job.id, job.fence, draft, [seeder.result_object(job)], ["orthanc"])
    page = text_of(site, f"/studies/{job.study_instance_uid}")
    assert "Findings are not coded for this draft: read the text." in page
    assert "Not mentioned:" not in page


def test_the_copies_of_an_image_in_doubt_stand_beside_each_other(site, doubtful, caplog):
    """Each value of the first and of the later copy, those that differ first; none in the log."""
    caplog.set_level("DEBUG")
    page = site.get(f"/studies/{doubtful.study_instance_uid}").text
    table = page[page.index('id="copies"') : page.index('id="actions"')]
    (first,) = [
        each for each in site.store.instances(doubtful.study_instance_uid) if not each.conflict
    ]
    header = dcmread(first.path)
    rows = re.findall(r"<tr class=\"differs\"><th[^>]*>([^<]+) .*?</th>(.*?)</tr>", table)
    values = {html.unescape(name): re.findall(r"<bdi>(.*?)</bdi>", cells) for name, cells in rows}
    assert values["Patient ID"] == [header.PatientID, "ANOTHER"]
    assert values["Patient's name"][1] == "Other, &lt;b&gt;Person"
    assert len(values) == 2
    assert '<th scope="row">Birth date</th>' in table
    assert '<th scope="row">Study Instance UID</th>' not in table
    assert "differs in Patient ID" in table
    assert "ANOTHER" not in caplog.text
    live = site.get(f"/live/studies/{doubtful.study_instance_uid}.json").text
    assert "ANOTHER" not in live


def test_a_draft_that_is_not_in_doubt_shows_no_copies(site, seeder):
    """Nor does one whose image arrived again without a relevant change."""
    job = seeder.completed(1)
    assert 'id="copies"' not in site.get(f"/studies/{job.study_instance_uid}").text


def test_a_later_copy_of_another_study_stands_beside_the_first(site, seeder):
    """A copy with another Study Instance UID is found by the image's UID; one without file, too."""
    job = seeder.completed(1)
    (first,) = site.store.instances(job.study_instance_uid)
    other = dcmread(first.path)
    other.StudyInstanceUID = "1.2.3.4.5"
    path = first.path.with_name("second.dcm")
    other.save_as(path)
    given = {"calling_ae": "CR_2", "association_id": "b", "eligible": True}
    site.store.add_instance(describe(path), **given)
    (conflict,) = site.store.conflicts_to_compare()
    site.store.compared(conflict, "Study Instance UID")
    page = site.get(f"/studies/{job.study_instance_uid}").text
    table = page[page.index('id="copies"') : page.index('id="actions"')]
    assert "1.2.3.4.5" in table
    assert "from CR_2" in table
    path.unlink()
    page = site.get(f"/studies/{job.study_instance_uid}").text
    assert "cannot be read" in page[page.index('id="copies"') : page.index('id="actions"')]
