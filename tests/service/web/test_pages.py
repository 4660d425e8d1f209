import hashlib
import html
import io
import re
from dataclasses import replace

import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from dicom.content.report import Agreement, Finding, Observation, Presence
from dicom.errors import InvalidDataset
from dicom.parsing.header import read_header
from dicom.validation.same_patient import check_source
from service.jobs import JobState
from service.settings.keys.reading import Model
from service.web.queue import view

HOSTILE = "<script>alert(1)</script>"


def test_an_empty_queue_explains_how_to_send_the_first_study(site):
    """Without any job the page names AE title, port, permitted senders, and a command."""
    page = site.get("/").text
    assert "No study has arrived yet" in page
    assert "storescu -aet MODALITY -aec WETREAD localhost 11112 image.dcm" in page


def test_every_page_states_that_results_are_unverified_ai_drafts(site, seeder):
    """Queue, study and error pages carry the permanent line."""
    job = seeder.completed(1)
    for path in ("/", f"/studies/{job.study_instance_uid}", "/nowhere"):
        assert "All results are unverified AI drafts. They are never a diagnosis" in (
            site.get(path).text
        )


def test_every_page_states_that_a_demonstration_model_reads_patients(site, make_site, seeder_of):
    """Queue and error page name the models with the setting; without it there is no such line."""
    assert "demo_reads_patients" not in site.get("/").text
    trial = Model(name="trial", model="tiny", demo_reads_patients=True)
    insisting = make_site(models=(trial,))
    seeder = seeder_of(insisting)
    job = seeder.completed(1)
    for path in ("/", f"/studies/{job.study_instance_uid}", "/nowhere"):
        text = html.unescape(insisting.get(path).text)
        assert "demo_reads_patients is set for the model trial" in text
        assert 'class="caution alarm" role="alert"' in text


def test_the_queue_lists_jobs_with_state_reason_and_counts(site, seeder):
    """Each job has its state as a word, the reason, its sender, and its state is counted."""
    seeder.beat("reading")
    seeder.waiting(1, urgent=True)
    held = seeder.reading(2)
    site.store.not_analysed(held.id, held.fence, "NOT_FRONTAL", "The only image is a lateral view.")
    page = site.get("/").text
    assert "Waiting for the message broker" in page
    assert "The only image is a lateral view." in page
    assert "urgent</span>" in page
    assert page.count("MODALITY</td>") == 2
    assert re.search(r"Not analyzed</span> <b>1</b>", page)


def test_the_queue_lists_studies_whose_quiet_time_runs(site, seeder):
    """A study without a job yet is there, with its images and the end of its quiet time."""
    image = seeder.image(1, quiet_seconds=60)
    page = site.get("/").text
    assert f'href="./studies/{image.study_instance_uid}"' in page
    assert "1 image; quiet time ends <time" in page
    assert "No job yet" in site.get(f"/studies/{image.study_instance_uid}").text
    assert image.study_instance_uid not in site.get("/?state=FAILED").text


def test_the_queue_shows_one_state_when_asked(site, seeder):
    """`?state=` keeps only the jobs in it, and an unknown state is 400."""
    waiting, held = seeder.waiting(1), seeder.reading(2)
    page = site.get("/?state=IN_PROGRESS").text
    assert f"job-{held.id}" in page
    assert f"job-{waiting.id}" not in page
    assert site.get("/?state=NONSENSE").status_code == 400


def test_the_queue_names_dead_and_restarted_processes(site, seeder):
    """A process that was started again states it; nothing is read while no reading worker is alive."""
    seeder.beat("delivery", restarts=2)
    page = site.get("/").text
    assert "restarted 2 times" in page
    assert "Nothing is read now:" in page


def test_a_study_page_shows_draft_findings_images_deliveries_and_events(site, seeder):
    """The page of a drafted study has all its results and the unverified-AI banner."""
    job = seeder.drafted(1)
    page = html.unescape(site.get(f"/studies/{job.study_instance_uid}").text)
    assert "UNVERIFIED AI DRAFT — not a diagnosis" in page
    assert "Its weights are random: the text is meaningless." in page
    assert "There is a small left pleural effusion" in page
    assert "Not mentioned: edema. Not mentioned does not mean absent." in page
    assert "Read: the draft is about this image" in page
    assert "Waiting to be sent to orthanc." in page or "no delivery worker is alive" in page
    assert "Basic Text SR Storage" in page
    assert "The association ended." in page
    assert f"../jobs/{job.id}/film.png" in page


def test_a_study_page_shows_agreement_with_samples_beside_the_score(site, seeder):
    """The number of sampled reports with a finding has its own column, if there are any."""
    plain = seeder.drafted(1)
    job = seeder.reading(2)
    draft = seeder.draft_of(job)
    compared = (
        replace(each, agreement=Agreement(same=3, samples=8)) for each in draft.findings[:2]
    )
    draft = replace(draft, findings=(*compared, *draft.findings[2:]))
    site.store.draft(job.id, job.fence, draft, [seeder.result_object(job)], ["orthanc"])
    page = site.get(f"/studies/{job.study_instance_uid}").text
    assert page.count("<td>3 of 8 samples</td>") == 2
    assert '<th scope="col">Agreement</th>' in page
    assert "Agreement" not in site.get(f"/studies/{plain.study_instance_uid}").text


def test_a_study_page_states_what_its_model_cannot_do(site, seeder):
    """License, use and missing abilities are shown; without scores there is no empty column."""
    job = seeder.reading(1)
    draft = seeder.draft_of(job)
    model = replace(
        draft.model, cannot=("scores", "regions"), licence="MIT", intended_use="research only."
    )
    plain = tuple(replace(each, score=None) for each in draft.findings)
    draft = replace(draft, model=model, findings=plain)
    site.store.draft(job.id, job.fence, draft, [seeder.result_object(job)], ["orthanc"])
    page = html.unescape(site.get(f"/studies/{job.study_instance_uid}").text)
    assert "Score for presence" not in page
    assert "Not available with this model: scores, regions." in page
    assert "Intended use: Research only. License: MIT." in page


def test_a_study_page_states_what_a_score_is_a_score_of(site, seeder):
    """Beside "absent" a bare percentage could mean the chance of absence: both layouts label it."""
    job = seeder.drafted(1)
    page = site.get(f"/studies/{job.study_instance_uid}").text
    assert '<th scope="col">Score for presence</th>' in page
    assert '<span class="narrow">score for presence </span>' in page


@pytest.mark.parametrize("patient_id", [b"PAGE-7\r\n", b"PAGE-7\0A", b"PAGE-\xfc7 "])
def test_the_page_states_why_an_image_gets_no_result_for_its_patient_id(site, seeder, patient_id):
    """Study page and queue have the whole reason, with what to do and without the Patient ID."""
    job = seeder.reading(1)
    (image,) = site.store.instances(job.study_instance_uid)
    header = dcmread(image.path)
    # A value that pydicom would write differently from the received one.
    header["PatientID"] = RawDataElement(
        Tag("PatientID"), "LO", len(patient_id), patient_id, 0, False, True
    )
    header.save_as(image.path, enforce_file_format=True)
    with pytest.raises(InvalidDataset) as raised:
        check_source(image.path)
    site.store.fail(job.id, job.fence, "INVALID_DATASET", str(raised.value))
    page = html.unescape(site.get(f"/studies/{job.study_instance_uid}").text)
    assert "The Patient ID (0010,0020) of the image cannot be copied exactly" in page
    assert "send the image again, with a new SOP Instance UID" in page
    assert "cannot be copied exactly" in html.unescape(site.get("/").text)
    assert "PAGE-7" not in re.search("cannot be copied exactly.*", page).group(0)


def test_the_link_of_each_small_image_has_a_name(site, seeder):
    """Users of keyboard and screen reader get the target of the link around an image."""
    job = seeder.drafted(1)
    page = site.get(f"/studies/{job.study_instance_uid}").text
    assert 'alt="Open this image"' in page
    assert 'alt=""' not in page


def test_no_finding_is_not_shown_as_an_alarm(site, seeder):
    """That an image is reported as normal is written without the color of a positive finding."""
    job = seeder.reading(1)
    draft = seeder.draft_of(job)
    normal = Finding(observation=Observation.NO_FINDING, presence=Presence.PRESENT)
    draft = replace(draft, findings=(normal,))
    site.store.draft(job.id, job.fence, draft, [seeder.result_object(job)], ["orthanc"])
    page = site.get(f"/studies/{job.study_instance_uid}").text
    assert 'class="presence present normal"' in page


def test_an_event_does_not_state_twice_where_it_led(site, seeder):
    """The event "Not analyzed" does not repeat its state as target; others state their target."""
    job = seeder.reading(1)
    site.store.not_analysed(job.id, job.fence, "NOT_FRONTAL", "The only image is a lateral view.")
    page = html.unescape(site.get(f"/studies/{job.study_instance_uid}").text)
    assert "→ Not analyzed" not in page
    assert "→ Reading" in page


def test_a_study_page_reads_the_patient_from_the_image_and_keeps_nothing(site, seeder, caplog):
    """The name is on the page, and neither in the live parts nor in any log line."""
    job = seeder.completed(1)
    address = f"/studies/{job.study_instance_uid}"
    with caplog.at_level("DEBUG"):
        page = site.get(address).text
        parts = site.get(f"/live{address}.json").text
    assert "PHANTOM, CHEST 1" in page
    assert "PHANTOM" not in parts
    assert "PHANTOM" not in caplog.text


def test_a_study_page_without_its_image_reports_it(site, seeder):
    """When retention has removed the image the page is still there, without a picture."""
    job = seeder.completed(1)
    for image in site.store.instances(job.study_instance_uid):
        image.path.unlink()
    page = site.get(f"/studies/{job.study_instance_uid}")
    assert page.status_code == 200
    assert "header cannot be read" in page.text
    picture = site.get(f"/jobs/{job.id}/film.png")
    assert (picture.status_code, "is no longer stored" in picture.text) == (404, True)


def test_revisions_of_a_study_point_at_each_other(site, seeder):
    """The older draft is marked as superseded, the newer as superseding."""
    first = seeder.completed(1)
    seeder.image(2, study=1)
    second = site.store.schedule(
        first.study_instance_uid,
        model=first.model_name,
        version=first.model_version,
        actor="intake",
        reason="A later image arrived.",
    )
    seeder.finish(seeder.claim(second))
    address = f"/studies/{first.study_instance_uid}"
    older = site.get(f"{address}?job={first.id}").text
    assert "Superseded: a later draft" in older
    mark = "a later revision of this study exists. Use that one."
    assert mark in older
    newest = site.get(address).text
    assert mark not in newest
    assert "This draft supersedes an earlier one." in newest
    assert "It is a lateral image." in newest


def test_an_image_is_shown_as_png_small_on_request(site, seeder):
    """The image that was read is a PNG of its own size; its thumbnail is at most 160 pixels."""
    job = seeder.drafted(1, side=256)
    whole = site.get(f"/jobs/{job.id}/film.png")
    assert whole.headers["content-type"] == "image/png"
    assert whole.headers["cache-control"] == "no-store"
    assert Image.open(io.BytesIO(whole.content)).size == (256, 256)
    image = site.store.instances(job.study_instance_uid)[0].sop_instance_uid
    for url in (
        f"studies/{job.study_instance_uid}/films/{image}.png?size=160",
        f"jobs/{job.id}/film.png?source=1&size=160",
    ):
        small = site.get(f"/{url}")
        assert Image.open(io.BytesIO(small.content)).size == (160, 160)
    annotated = site.get(f"/jobs/{job.id}/film.png?size=160")
    assert Image.open(io.BytesIO(annotated.content)).size == (256, 256)


def test_the_annotated_image_is_preferred_and_the_plain_one_can_be_had(site, seeder):
    """With an overlay in the outbox its colors are shown; `?source=1` shows the image itself."""
    job = seeder.reading(1, side=64)
    path = site.here.settings.data_dir / "overlay.dcm"
    capture = dcmread(site.store.instances(job.study_instance_uid)[0].path)
    capture.SamplesPerPixel, capture.PhotometricInterpretation = 3, "RGB"
    capture.PlanarConfiguration = 0
    capture.BitsAllocated, capture.BitsStored, capture.HighBit = 8, 8, 7
    capture["PixelData"].VR = "OB"
    capture.PixelData = bytes([255, 128, 0]) * 64 * 64
    capture.save_as(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    overlay = replace(seeder.result_object(job), kind="overlay", path=path, sha256=digest)
    site.store.draft(job.id, job.fence, seeder.draft_of(job), [overlay], [])
    drawn = Image.open(io.BytesIO(site.get(f"/jobs/{job.id}/film.png").content))
    assert drawn.convert("RGB").getpixel((5, 5)) == (255, 128, 0)
    plain = Image.open(io.BytesIO(site.get(f"/jobs/{job.id}/film.png?source=1").content))
    assert plain.mode == "L"
    assert "Without findings" in site.get(f"/studies/{job.study_instance_uid}").text


def test_an_image_that_cannot_be_decoded_answers_with_a_sentence(site, seeder):
    """Damaged pixel data gives 422 and a message, and the page that embeds it still works."""
    job = seeder.drafted(1)
    path = site.store.instances(job.study_instance_uid)[0].path
    header_end = path.read_bytes().index(b"\xe0\x7f\x10\x00")
    path.write_bytes(path.read_bytes()[: header_end + 20])
    picture = site.get(f"/jobs/{job.id}/film.png")
    assert picture.status_code == 422
    assert "This image cannot be shown" in picture.text


def test_cancel_by_form_keeps_the_reason_and_who_it_was(site, seeder):
    """The history names the person who was logged in."""
    job = seeder.waiting(1)
    done = site.post(f"/jobs/{job.id}/cancel", data={"reason": "Sent\ntwice."})
    assert done.status_code == 303
    assert site.store.job(job.id).reason == "Sent twice."
    assert site.store.events(job.id)[-1].actor == "ann (web page)"


def test_a_form_posted_from_another_site_is_refused(site, seeder):
    """A foreign Origin or a cross-site fetch is refused also from a person who is logged in."""
    job = seeder.waiting(1)
    form = {"reason": "x"}
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = site.post(f"/jobs/{job.id}/cancel", data=form, headers=headers)
        assert answer.status_code == 403
    assert site.store.job(job.id).state is JobState.SCHEDULED


def test_retry_and_urgent_by_form_change_the_job(site, seeder):
    """A failed job goes back to SCHEDULED; a waiting one becomes urgent."""
    held = seeder.reading(1)
    job = site.store.fail(held.id, held.fence, "X", "It failed.")
    site.post(f"/jobs/{job.id}/retry")
    assert site.store.job(job.id).state is JobState.SCHEDULED
    site.post(f"/jobs/{job.id}/urgent")
    assert site.store.job(job.id).urgent


def test_an_action_that_came_too_late_reports_it(site, seeder):
    """Canceling a job that was completed meanwhile answers 409 with a message."""
    job = seeder.waiting(1)
    seeder.deliver(seeder.finish(seeder.claim(job)))
    answer = site.post(f"/jobs/{job.id}/cancel", data={"reason": "late"})
    assert answer.status_code == 409
    assert "Not possible in this state" in answer.text


def test_hostile_values_are_text_on_every_page(site, seeder):
    """Calling AE titles, reasons, incidents and process names never become markup."""
    site.store.record_incident(actor=HOSTILE, kind=HOSTILE, subject=HOSTILE, detail=HOSTILE)
    seeder.image(1, calling_ae="<b>AE</b>")
    job = site.store.schedule(
        seeder.image(2, study=1, calling_ae="<b>AE</b>").study_instance_uid,
        model=HOSTILE,
        version=HOSTILE,
        actor=HOSTILE,
        reason=HOSTILE,
    )
    site.store.cancel(job.id, HOSTILE, f'{HOSTILE}" data-hash="')
    address = f"/studies/{job.study_instance_uid}"
    for path in ("/", address, "/live/queue.json", f"/live{address}.json"):
        text = site.get(path).text
        assert "<script>alert" not in text
        assert "<b>AE" not in text
        assert "alert(1)" in text


def test_hostile_addresses_are_refused_with_a_message(site):
    """Invalid UIDs and job ids give 404 and come back escaped."""
    for path in (
        "/studies/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/studies/1.2.3'%20OR%201=1",
        "/studies/..%2f..%2fetc%2fpasswd",
        "/jobs/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/jobs/0000/film.png",
        "/static/..%2fapp.py",
        "/studies/1.2.840.1/films/1.2.3.png",
        "/?before=%3Cscript%3E",
    ):
        answer = site.get(path)
        assert answer.status_code == 404, path
        assert "<script>alert" not in answer.text


def test_a_hostile_patient_name_is_text(site, seeder):
    """Markup in the image's header is shown as text."""
    image = seeder.image(1)
    header = read_header(image.path)
    path = image.path
    content = path.read_bytes()
    name = str(header.PatientName).encode()
    path.write_bytes(content.replace(name, b"<i>hostile</i>"[: len(name)].ljust(len(name))))
    page = site.get(f"/studies/{image.study_instance_uid}").text
    assert "<i>hostile" not in page
    assert "&lt;i&gt;hostile" in page


def test_a_database_that_went_away_gives_a_page_that_reports_it(site, seeder):
    """Pages and API answer 503 with a message, /healthz stays 200 and the process continues."""
    job = seeder.waiting(1)
    database = site.here.settings.data_dir / "wetread.db"
    site.store.close()
    for file in database.parent.glob("wetread.db*"):
        file.unlink()
    database.write_bytes(b"not a database at all" * 100)
    assert site.get(f"/studies/{job.study_instance_uid}").status_code == 503
    assert site.get("/api/jobs").json()["error"].startswith("The database does not answer")
    assert site.get("/healthz").status_code == 200


@pytest.mark.parametrize(("jobs", "pages"), [(2, 1), (3, 2)])
def test_older_jobs_are_offered_only_where_there_are_some(site, seeder, monkeypatch, jobs, pages):
    """A full page of which the last job is the oldest has no link to an empty one."""
    monkeypatch.setattr(view, "PAGE_LENGTH", 2)
    for number in range(1, jobs + 1):
        seeder.waiting(number)
    text = site.get("/").text
    assert ("Older jobs" in text) == (pages == 2)
    assert "before=" in text or pages == 1
