"""Links to viewers of the site: their addresses, where they stand, and what they never carry."""

import re
from html import unescape

import httpx
import pytest
from pydicom import dcmread

from service.maintenance.study_identities import StudyIdentityReader
from service.settings.keys.viewers import SiteViewer
from service.web.review.patients import Patient
from service.web.review.site_viewers import orthanc_study, viewer_links

CUSTOM = "https://viewer.example/open?study={study_uid}&acc={accession}&id={patient_id}"
PROGRAM = "radiant://?n=pstv&v=0020000D&v={study_uid}&id={patient_id}"
UID = "1.2.840.1"
HOSTILE = Patient(patient_id='7"&x=1#<{accession}>/../ü', accession="A 1/2")


def link(url, patient, kind="custom"):
    """Return the link of one viewer."""
    (found,) = viewer_links([SiteViewer(label="V", kind=kind, url=url)], UID, patient)
    return found


def test_values_are_percent_encoded():
    """Nothing of a value ends its parameter, begins another one or names a placeholder."""
    found = link(CUSTOM, HOSTILE)
    assert found.href == (
        "https://viewer.example/open?study=1.2.840.1&acc=A%201%2F2"
        "&id=7%22%26x%3D1%23%3C%7Baccession%7D%3E%2F..%2F%C3%BC"
    )
    assert found.in_new_tab
    lone = link(CUSTOM, Patient(patient_id="\ud800", accession="1"))
    assert lone.href.endswith("&id=%3F")


def test_no_link_without_its_value():
    """The reason is stated in its place."""
    unknown = Patient(fault="Not known.")
    assert link(CUSTOM, unknown).reason == "no accession number is known"
    assert link("https://x.example", unknown, "ohif").href.endswith(f"StudyInstanceUIDs={UID}")
    assert link("https://x.example", unknown, "orthanc-explorer").href == ""
    program = link(PROGRAM, HOSTILE)
    assert (program.href, program.in_new_tab) == ("", False)
    assert (
        program.reason == "the patient ID has a space or a character that its command cannot hold"
    )
    path = link("https://x.example/{patient_id}/open", Patient(patient_id=".."))
    assert path.reason == "the patient ID cannot stand in an address"


@pytest.mark.parametrize(
    "value",
    [
        "1 --other x",
        "-x",
        "--other",
        "1\u00a02",
        "1\u30002",
        "1\t2",
        "1 2",
        "1(exit)",
        "1{x}",
        "1#",
        "1%22",
        "1!",
        "1=2",
        "1^2",
        "1\uff02",
        "/x",
        "@file",
        ".x",
    ],
)
def test_no_value_adds_an_argument_to_the_command_of_a_program(value):
    """Outside and inside quotes: programs divide their address by rules of their own."""
    for template in (
        "weasis://%24dicom%3Ars%20--url%20x%20-r%20patientID={patient_id}",
        "weasis://%24dicom%3Ars%20--url%20x%20-r%20%22patientID={patient_id}%22",
        "radiant://?n=pstv&v=00100020&v={patient_id}",
    ):
        found = link(template, Patient(patient_id=value))
        assert (found.href, found.reason[:38]) == ("", "the patient ID has a space or a charac")
    web = link("https://x.example/?id={patient_id}", Patient(patient_id=value))
    assert web.href
    assert link(PROGRAM, Patient(patient_id="A-1.2_3/4:5@6")).href


def test_no_value_finds_other_patients_or_is_a_part_of_one():
    """Wildcards and lists of DICOM queries; a value that the database may have cut."""
    for value in ("*", "1*", "1?", "1\\2"):
        for template in ("https://x.example/?id={patient_id}", PROGRAM):
            found = link(template, Patient(patient_id=value))
            assert found.reason == "the patient ID has a character that finds other patients, too"
    long = Patient(patient_id="9" * 64, accession="9" * 64)
    for template, word in (
        ("https://x.example/?id={patient_id}", "patient ID"),
        ("https://x.example/?id={accession}", "accession number"),
        ("https://x.example/?id={orthanc_study}", "patient ID"),
    ):
        reason = f"the {word} is too long: it may not be kept whole"
        assert link(template, long).reason == reason
    assert link("https://x.example/?id={study_uid}", long).href


def test_an_orthanc_gives_the_study_this_id(orthanc, seeder):
    """A real one: the id is computed from Patient ID and Study Instance UID."""
    dataset = dcmread(seeder.image(1).path)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    for patient_id in ("PHANTOM 1", "", " P2 ", "Ärztin"):
        dataset.PatientID = patient_id
        dataset.SOPInstanceUID = dataset.StudyInstanceUID = f"1.2.3.4.{len(patient_id)}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        file = seeder.folder / "sent.dcm"
        dataset.save_as(file, enforce_file_format=True)
        answer = httpx.post(f"{orthanc.url}/instances", content=file.read_bytes(), timeout=20)
        patient = Patient(patient_id=patient_id)
        assert answer.json()["ParentStudy"] == orthanc_study(patient, dataset.StudyInstanceUID)


@pytest.fixture
def linked(make_site):
    """A site with a viewer of each form."""
    viewers = [
        {"label": "OHIF <3>", "kind": "ohif", "url": "https://ohif.example"},
        {"label": "Weasis", "kind": "weasis", "url": "https://pacs.example/dicom-web"},
        {"label": "By accession", "url": CUSTOM},
    ]
    return make_site(site_name="St. Example Hospital", web={"port": 0, "viewers": viewers})


def test_the_links_stand_on_the_pages_of_a_study_and_in_the_worklist(linked, seeder_of):
    """In a new tab, without opener and referrer; a link that cannot be made states why."""
    job = seeder_of(linked).drafted(1)
    StudyIdentityReader(linked.store).record_new()
    uid = job.study_instance_uid
    for path in (f"read/{job.id}", f"studies/{uid}", "read"):
        html = linked.get(path).text
        tags = re.findall(r"<a [^>]*(?:ohif|weasis)[^>]*>", html)
        assert len(tags) == 2, path
        assert f"https://ohif.example/viewer?StudyInstanceUIDs={uid}" in tags[0]
        assert 'target="_blank"' in tags[0]
        assert "target" not in tags[1]
        assert unescape(tags[1]).count(f"studyUID%3D{uid}%22") == 1
        for tag in tags:
            assert 'rel="noopener noreferrer"' in tag
            assert 'referrerpolicy="no-referrer"' in tag
        assert "OHIF &lt;3&gt;" in html
        assert "By accession: no accession number is known" in html
    row = linked.get("read/rows.json").json()["parts"][f"draft-{job.id}"]
    assert row.count("ohif.example") == 1


def test_without_viewers_there_is_no_menu(site, seeder):
    """Neither a column nor a heading."""
    job = seeder.drafted(1)
    for path in (f"read/{job.id}", f"studies/{job.study_instance_uid}", "read"):
        html = site.get(path).text
        assert "Open in" not in html
        assert "Viewers" not in html
