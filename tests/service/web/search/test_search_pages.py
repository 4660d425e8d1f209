"""`/search` and `/studies/{uid}/similar`: their content, their audience, and their audit records."""

import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from service.accounts import Role
from service.records.search import ImageVector
from service.search.text_tower import VOCABULARY, WEIGHTS, tower_folder
from service.store.audit.trail import AuditFilter
from service.study_identity import StudyIdentity
from tests.service.search.test_final_reports import KEPT, READ, REPORT

SPACE = "cxr-clip-0123456789abcdef"
CAUTION = "AI search, unverified"


def keep(site, job, *values):
    """Store a vector of the image of a job."""
    vector = np.array(values, "<f4")
    vector = ImageVector(SPACE, (vector / np.linalg.norm(vector)).astype("<f4").tobytes())
    files = site.here.search.files
    assert site.store.keep_vector(
        vector,
        study_uid=job.study_instance_uid,
        image_uid=site.store.job(job.id).drafted_image,
        write=lambda _, row: files.write(vector, row),
    )


@pytest.fixture
def jobs(site, seeder):
    """Three drafted jobs with vectors, and one without."""
    found = [seeder.drafted(number) for number in (1, 2, 3, 4)]
    for job, values in zip(found[:3], ((1, 0, 0), (0, 1, 0), (1, 0.2, 0)), strict=True):
        keep(site, job, *values)
    return found


def links(answer):
    """Return the studies that a page leads to, in order."""
    rows = re.search(r"<tbody>(.*?)</tbody>", answer.text, re.S)
    return re.findall(r'href="[./]*studies/([0-9.]+)"', rows.group(1)) if rows else []


def test_similar_studies_are_listed_the_closest_first(site, jobs):
    """With findings, decision, date and the number on demand; no patient's name; audited."""
    one, other, close, _ = (job.study_instance_uid for job in jobs)
    answer = site.get(f"/studies/{one}/similar")
    assert answer.status_code == 200
    assert links(answer) == [close, other]
    assert CAUTION in answer.text
    assert "no. 1 of 2 by similarity" in answer.text
    assert "cosine 0.981" in answer.text
    assert "left pleural effusion" in answer.text
    assert "PHANTOM" not in answer.text.upper().replace("PHANTOM'S", "")
    page = site.get(f"/studies/{one}")
    assert f'href="../studies/{one}/similar"' in page.text
    event = site.store.audit_records(AuditFilter(), limit=5)[0].event
    searched = [
        (each.event.action, each.event.study_uid, each.event.detail)
        for each in site.store.audit_records(AuditFilter(), limit=5)
    ]
    assert ("searched", one, "similar studies") in searched
    assert event.outcome == "success"


def test_kept_final_reports_are_for_radiologists_and_admins(site, jobs, cookie_of):
    """A viewer neither finds a study by its final report nor sees the impression."""
    uid = jobs[0].study_instance_uid
    site.store.record_identity(StudyIdentity(study_uid=uid, accession_number="A1"), 1)
    site.store.take_final_report(REPORT, KEPT, READ)
    cookies = {role: cookie_of(site.store, role, login=role.value) for role in Role}
    pages = (
        "/search?q=Kerley",
        "/search?q=edema",
        f"/studies/{jobs[2].study_instance_uid}/similar",
    )
    for role, cookie in cookies.items():
        sees = role is not Role.VIEWER
        answers = [site.get(path, as_=cookie) for path in pages]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert ["Bilateral edema." in answer.text for answer in answers] == [sees] * 3
        assert [uid in links(answer) for answer in answers] == [sees, sees, True]
        assert ("final report" in answers[0].text) is sees


def test_a_study_without_a_vector_says_why(site, jobs):
    """And a study that is not here is not found."""
    answer = site.get(f"/studies/{jobs[3].study_instance_uid}/similar")
    assert "has no vector" in answer.text
    assert "wetread search rebuild" in answer.text
    assert site.get("/studies/1.2.3/similar").status_code == 404
    assert site.get("/studies/x/similar").status_code == 404


def test_a_damaged_file_is_named_with_its_remedy(site, jobs):
    """The page answers, and the other pages too."""
    site.here.search.files.path(SPACE).write_bytes(b"x" * 500)
    answer = site.get(f"/studies/{jobs[0].study_instance_uid}/similar")
    assert answer.status_code == 503
    assert "wetread search rebuild" in answer.text
    assert site.get(f"/studies/{jobs[0].study_instance_uid}").status_code == 200


def test_words_find_drafts_by_their_findings(site, jobs):
    """The recognized terms are shown; the text is escaped; an empty box searches nothing."""
    everywhere = {job.study_instance_uid for job in jobs}
    answer = site.get("/search", params={"q": "left pleural effusion"})
    assert set(links(answer)) == everywhere
    assert "Findings asked for: left pleural effusion: present." in answer.text
    assert CAUTION in answer.text
    assert links(site.get("/search", params={"q": "costophrenic"}))
    nothing = site.get("/search", params={"q": "<b>granuloma"})
    assert links(nothing) == []
    assert "&lt;b&gt;granuloma" in nothing.text
    assert "<b>granuloma" not in nothing.text
    before = len(site.store.audit_records(AuditFilter(), limit=99))
    assert site.get("/search").status_code == 200
    assert len(site.store.audit_records(AuditFilter(), limit=99)) == before


def test_words_are_compared_with_images_where_there_is_a_text_tower(site, jobs):
    """A tower in the data folder; the texts can be searched too; a damaged one is named."""
    one, other, close, _ = (job.study_instance_uid for job in jobs)
    folder = tower_folder(site.here.settings.data_dir, SPACE)
    write_tower(folder, [1, 0.1, 0])
    answer = site.get("/search", params={"q": "effusion"})
    assert links(answer) == [close, one, other]
    assert "by the text tower of the model" in answer.text
    assert "no. 1 of 3 by similarity" in answer.text
    texts = site.get("/search", params={"q": "effusion", "in": "texts"})
    assert len(links(texts)) == 4
    assert "search?q=effusion" in texts.text
    site.here.search._towers.clear()
    (folder / WEIGHTS).write_bytes(b"x" * 64)
    assert site.get("/search", params={"q": "effusion"}).status_code == 503


def write_tower(folder, vector):
    """Write a text tower without layers, of width 2, that returns this vector for every text."""
    tensors = {
        "embeddings.word_embeddings.weight": np.zeros((3, 2)),
        "embeddings.position_embeddings.weight": np.zeros((8, 2)),
        "embeddings.token_type_embeddings.weight": np.zeros((2, 2)),
        "embeddings.LayerNorm.weight": np.zeros(2),
        "embeddings.LayerNorm.bias": np.ones(2),
        "proj.0.weight": np.ones((1, 2)),
        "proj.2.weight": np.array([vector]).T,
    }
    folder.mkdir(parents=True, exist_ok=True)
    named = {name: np.ascontiguousarray(each, "<f4") for name, each in tensors.items()}
    save_file(named, folder / WEIGHTS, metadata={"heads": "1"})
    (folder / VOCABULARY).write_text("[UNK]\n[CLS]\n[SEP]\n")


@pytest.mark.parametrize("role", list(Role))
def test_each_role_that_sees_studies_may_search(site, jobs, cookie_of, role):
    """As the page of a study."""
    cookie = cookie_of(site.store, role, login=f"a-{role}")
    path = f"/studies/{jobs[0].study_instance_uid}/similar"
    assert site.get(path, as_=cookie).status_code == 200
    assert site.get(path, as_="").status_code in (303, 401)
