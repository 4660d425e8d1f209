"""Links of the RIS: by accession number or Study Instance UID to a study, in any state."""

import re
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urljoin

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom.identifiers import derived_uid
from service.accounts import Role
from service.audit import AuditAction
from service.maintenance.study_identities import StudyIdentityReader
from service.store.audit.trail import AuditFilter
from service.study_identity import StudyIdentity
from tests.spooled import spool

HEART = "cardiac silhouette is enlarged"
PHRASE = "correct horse battery"


def arrive(site, seeder, number, accession, issuer="", study=None):
    """Let an image with an accession number arrive, and record whose it is; return its study."""
    first = seeder.image(number)
    dataset = dcmread(first.path)
    dataset.StudyInstanceUID = derived_uid("linked study", study or number)
    dataset.SOPInstanceUID = derived_uid("linked image", number)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.AccessionNumber = accession
    if issuer:
        item = Dataset()
        item.LocalNamespaceEntityID = issuer
        dataset.IssuerOfAccessionNumberSequence = [item]
    path = seeder.folder / f"linked{number}.dcm"
    spool(site.store, dataset, path, association_id=f"linked{number}")
    StudyIdentityReader(site.store).record_new()
    return dataset.StudyInstanceUID


def scheduled(site, study):
    """Return the scheduled job of a study."""
    job = site.store.schedule(
        study, model="demo", version="0.1", actor="intake", reason="Complete."
    )
    assert job is not None
    return job


def drafted(site, seeder, study):
    """Return the job of a study with a draft."""
    return seeder.finish(seeder.claim(scheduled(site, study)))


@pytest.fixture(scope="module")
def linked(make_module_site, seeder_of):
    """A site with studies in each state; returns the site, its seeder and the studies by name."""
    site = make_module_site(site_name="St. Example Hospital")
    seeder = seeder_of(site)
    studies = {"read": arrive(site, seeder, 1, "A1"), "arriving": arrive(site, seeder, 2, "A2")}
    drafted(site, seeder, studies["read"])
    studies["waiting"] = arrive(site, seeder, 3, "A3")
    scheduled(site, studies["waiting"])
    studies["not analyzed"] = arrive(site, seeder, 4, "A4")
    held = seeder.claim(scheduled(site, studies["not analyzed"]))
    site.store.not_analysed(held.id, held.fence, "LATERAL", "No frontal image.")
    studies["withheld"] = arrive(site, seeder, 5, "A5")
    held = seeder.claim(scheduled(site, studies["withheld"]))
    until = site.store.now() + timedelta(hours=9)
    report, result = seeder.draft_of(held), seeder.result_object(held)
    site.store.draft(held.id, held.fence, report, [result], ("orthanc",), withheld_until=until)
    studies["failed"] = arrive(site, seeder, 6, "A6")
    held = seeder.claim(scheduled(site, studies["failed"]))
    site.store.fail(held.id, held.fence, "PIXELS", "The pixel data end too soon.")
    studies["one"] = arrive(site, seeder, 7, "SAME", "NORTH")
    studies["two"] = arrive(site, seeder, 8, "SAME", "SOUTH")
    studies["three"] = arrive(site, seeder, 9, "SAME")
    for name in ("one", "two"):
        drafted(site, seeder, studies[name])
    return site, seeder, studies


def at(site, query, **options):
    """Return the answer to a link by accession number."""
    return site.get(f"read/by-accession?{query}", **options)


def choices(answer):
    """Return the studies that a page offers."""
    return re.findall(r'href="by-study\?study=([\d.]+)"', answer.text)


def test_a_study_with_a_draft_is_opened(linked):
    """Relative, so that it holds under a path of a proxy; spaces around the number do not matter."""
    site, _, studies = linked
    (job,) = site.store.jobs(study=studies["read"])
    for path in ("by-accession?accession=A1", f"by-study?study={studies['read']}"):
        answer = site.get(f"read/{path}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"../read/{job.id}")
        prefixed = urljoin(f"https://host/wetread/read/{path}", answer.headers["location"])
        assert prefixed == f"https://host/wetread/read/{job.id}"
    assert at(site, "accession=%20A1%20").headers["location"] == f"../read/{job.id}"
    assert HEART in site.get(f"read/{job.id}").text


@pytest.mark.parametrize(
    ("number", "name", "words"),
    [
        ("A2", "arriving", "Images of this study are arriving."),
        ("A3", "waiting", "Waiting for a worker: "),
        ("A4", "not analyzed", "No frontal image."),
        ("A5", "withheld", "withheld for the measurement of agreement"),
        ("A6", "failed", "The pixel data end too soon."),
    ],
)
def test_a_study_without_a_draft_states_why(linked, number, name, words):
    """With the patient's name, and nothing of a withheld draft; the same by its UID."""
    site, _, studies = linked
    for answer in (
        at(site, f"accession={number}"),
        site.get(f"read/by-study?study={studies[name]}"),
    ):
        assert answer.status_code == 200
        assert words in answer.text
        assert "PHANTOM, CHEST" in answer.text
        assert HEART not in answer.text
        assert f'href="../studies/{studies[name]}"' in answer.text


def test_several_studies_are_listed_and_the_issuer_chooses(linked):
    """A study that names another issuer is left out; one that names none must be chosen by a person."""
    site, _, studies = linked
    everything = at(site, "accession=SAME")
    assert everything.status_code == 200
    assert sorted(choices(everything)) == sorted(studies[name] for name in ("one", "two", "three"))
    assert everything.text.count("PHANTOM, CHEST") == 3
    for issuer, name in (("NORTH", "one"), ("SOUTH", "two")):
        (job,) = site.store.jobs(study=studies[name])
        answer = at(site, f"accession=SAME&issuer={issuer}")
        assert answer.headers["location"] == f"../read/{job.id}"
    answer = at(site, "accession=SAME&issuer=WEST")
    assert answer.status_code == 200
    assert choices(answer) == [studies["three"]]
    assert "Is this the study?" in answer.text
    assert "the images name no issuer" in answer.text


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("accession=NONE", 404, "No study with the accession number NONE is stored here"),
        ("accession=a1", 404, "No study"),
        ("accession=A", 404, "No study"),
        ("accession=%25", 404, "No study"),
        ("accession=A1&issuer=<script>", 200, "the images name no issuer"),
        ("accession=<script>alert(1)</script>", 404, "&lt;script&gt;"),
        ("", 400, "no accession number"),
        ("accession=%20", 400, "no accession number"),
        ("accession=A1%01B", 400, "without control characters"),
        ("accession=A1%00", 400, "NUL"),
        ("accession=%ff%fe", 404, "No study"),
        (f"accession={'9' * 64}", 400, "at most 63 characters"),
        (f"accession=A1&issuer={'9' * 65}", 400, "at most 64 characters"),
    ],
)
def test_no_study_or_no_valid_number_is_a_clear_page(linked, query, status, words):
    """Never a 500; wildcards, another case and a part of a number find nothing."""
    answer = at(linked[0], query)
    assert answer.status_code == status
    assert words in answer.text
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("query", ["", "study=", "study=1.2.x", "study=1.2.3", "study=%00"])
def test_an_unknown_or_invalid_uid_is_a_clear_page(linked, query):
    """404 for a study that is not here, else 400."""
    answer = linked[0].get(f"read/by-study?{query}")
    assert answer.status_code == (404 if query == "study=1.2.3" else 400)


def test_without_login_nothing_is_told_and_the_link_survives_it(linked, cookie_of):
    """The same redirect for any number; after the login the study is opened."""
    site = linked[0]
    known, unknown = (at(site, f"accession={each}", as_="") for each in ("A1", "X1"))
    for answer, number in ((known, "A1"), (unknown, "X1")):
        assert answer.status_code == 303
        assert (
            answer.headers["location"] == f"../login?next=/read/by-accession%3Faccession%3D{number}"
        )
    cookie_of(site.store, Role.VIEWER, login="visitor")
    form = {"name": "visitor", "password": PHRASE, "next": "/read/by-accession?accession=A1"}
    headers = {"Origin": site.url.rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    entered = httpx.post(f"{site.url}login", data=form, headers=headers, timeout=20)
    assert entered.status_code == 303
    assert entered.headers["location"].endswith("read/by-accession?accession=A1")
    cookie = entered.headers["set-cookie"].partition(";")[0]
    assert at(site, "accession=A1", as_=cookie).headers["location"].startswith("../read/")


def test_each_use_is_audited_without_the_number(linked):
    """With the study, if there is one; the page of a study without a draft is a view of it."""
    site, _, studies = linked
    at(site, "accession=A4")
    at(site, "accession=NONE")
    records = site.store.audit_records(AuditFilter(person="ann"), limit=300)
    asked = [each.event for each in records if each.event.action is AuditAction.SEARCHED]
    assert [each.study_uid for each in asked[:2]] == ["", studies["not analyzed"]]
    assert {each.detail for each in asked} == {"a link with an accession number"}
    viewed = {each.event.study_uid for each in records if each.event.action is AuditAction.VIEWED}
    assert studies["not analyzed"] in viewed


def path_of(site, study, number=0):
    """Return the file of an image of a study."""
    return site.store.instances(study)[number].path


def test_a_study_whose_issuer_cannot_be_read_is_never_opened_by_an_issuer(site, seeder):
    """Its file is gone, or is damaged: it may be another patient's. With none read, a person chooses."""
    south = arrive(site, seeder, 1, "N1", "SOUTH")
    drafted(site, seeder, south)
    assert at(site, "accession=N1&issuer=NORTH").status_code == 404
    file = path_of(site, south)
    content = file.read_bytes()
    for damage in (lambda: file.write_bytes(content[:200]), file.unlink):
        damage()
        answer = at(site, "accession=N1&issuer=NORTH")
        assert (answer.status_code, choices(answer)) == (200, [south])
        assert "issuer unknown" in answer.text
        assert "PHANTOM, CHEST" in answer.text
    assert at(site, "accession=N1").status_code == 303


def test_an_issuer_is_read_from_any_image_of_the_study(site, seeder):
    """The first states none, or its file is gone: the next one decides."""
    study = arrive(site, seeder, 1, "N2")
    arrive(site, seeder, 2, "N2", "SOUTH", study=1)
    assert at(site, "accession=N2&issuer=NORTH").status_code == 404
    drafted(site, seeder, study)
    assert at(site, "accession=N2&issuer=SOUTH").status_code == 303
    path_of(site, study).unlink()
    assert at(site, "accession=N2&issuer=NORTH").status_code == 404
    assert at(site, "accession=N2&issuer=SOUTH").status_code == 303


def test_images_of_different_issuers_match_none_of_them(site, seeder):
    """A person chooses."""
    study = arrive(site, seeder, 1, "N3", "NORTH")
    arrive(site, seeder, 2, "N3", "SOUTH", study=1)
    drafted(site, seeder, study)
    for issuer in ("NORTH", "SOUTH"):
        answer = at(site, f"accession=N3&issuer={issuer}")
        assert choices(answer) == [study]
        assert "others another one" in answer.text


def test_the_issuer_is_compared_in_more_studies_than_were_once_listed(site, seeder):
    """The oldest of 25 is found; the page states that there are more than are compared."""
    study = arrive(site, seeder, 1, "MANY", "NORTH")
    drafted(site, seeder, study)
    store = site.store
    file = path_of(site, arrive(site, seeder, 2, "OTHER", "SOUTH"))

    def more(numbers):
        for number in numbers:
            uid = f"1.2.3.{number}"
            [image] = store.spooled(store.identities_with_accession("OTHER", limit=1)[0].study_uid)
            copy = replace(image, study_instance_uid=uid, sop_instance_uid=f"{uid}.1", path=file)
            store.add_instance(copy, calling_ae="M", association_id=uid, eligible=True)
            identity = StudyIdentity(study_uid=uid, accession_number="MANY", patient_name="P")
            store.record_identity(identity, 1000 + number)

    more(range(25))
    assert at(site, "accession=MANY&issuer=NORTH").status_code == 303
    assert "More than" not in at(site, "accession=MANY").text
    more(range(25, 110))
    page = at(site, "accession=MANY")
    assert len(choices(page)) == 100
    assert "Only the newest 100 were compared" in page.text
    assert at(site, "accession=MANY&issuer=NORTH").status_code == 404
    assert "More than 100 studies" in at(site, "accession=MANY&issuer=NORTH").text
    assert len(choices(at(site, "accession=MANY&issuer=SOUTH"))) == 100


def test_a_draft_that_stands_is_opened_before_a_withdrawn_one_of_another_model(site, seeder):
    """Also in the answer for a study and where the withdrawn one is the newer one."""
    study = arrive(site, seeder, 1, "N4")
    stands = drafted(site, seeder, study)
    other = site.store.schedule(study, model="other", version="1", actor="t", reason="New.")
    held = seeder.claim(other)
    seeder.finish(held)
    assert at(site, "accession=N4").headers["location"] == f"../read/{other.id}"
    site.store.withdraw(other.id, "ann", "It errs.")
    assert at(site, "accession=N4").headers["location"] == f"../read/{stands.id}"
    assert site.get(f"api/studies/{study}/review").json()["job_id"] == stands.id
    site.store.withdraw(stands.id, "ann", "It errs.")
    assert at(site, "accession=N4").headers["location"] == f"../read/{other.id}"
