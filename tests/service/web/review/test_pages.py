"""The pages of a radiologist, by role and by state of the draft."""

import re
from dataclasses import replace

import pytest

from service.accounts import Role
from service.maintenance.study_identities import StudyIdentityReader
from service.store import Store
from service.study_identity import StudyIdentity


@pytest.fixture
def site(make_site):
    """A site with a name, which a verified report must state."""
    return make_site(site_name="St. Example Hospital")


@pytest.fixture
def seeder(site, seeder_of):
    """The object that fills the site's store."""
    return seeder_of(site)


@pytest.fixture
def radiologist(site, cookie_of):
    """The login of a radiologist."""
    return cookie_of(site.store, Role.RADIOLOGIST, login="roentgen")


def identify(site):
    """Record who the patients are, as the sweeper does."""
    StudyIdentityReader(site.store).record_new()


def rows(html):
    """Return the ids of the jobs in a worklist, in order."""
    return re.findall(r'<tr id="draft-([0-9a-f]{32})"', html)


def test_the_worklist_names_patient_reason_and_accession(site, seeder, radiologist):
    """Urgent by the site above waiting time; each row leads to its study."""
    routine, urgent = seeder.drafted(1), seeder.drafted(2, urgent=True)
    identify(site)
    answer = site.get("/read", as_=radiologist)
    assert answer.status_code == 200
    assert rows(answer.text) == [urgent.id, routine.id]
    assert f'href="read/{urgent.id}"' in answer.text
    assert "PHANTOM, CHEST 2" in answer.text
    assert "Urgent by the site" in answer.text
    assert "By waiting time" in answer.text
    parts = site.get("/read/rows.json", as_=radiologist).json()
    assert parts["order"] == [f"draft-{urgent.id}", f"draft-{routine.id}"]
    assert {"bar", "empty"} < set(parts["parts"])


def test_a_draft_above_the_waiting_limit_stands_first(make_site, seeder_of):
    """Also above one that the site made urgent."""
    site = make_site(web={"port": 0, "waiting_limit_minutes": 0.0001})
    seeder = seeder_of(site)
    old, urgent = seeder.drafted(1), seeder.drafted(2, urgent=True)
    html = site.get("/read").text
    assert rows(html) == [urgent.id, old.id]
    assert html.count("Waiting over 0.0001 min") == 2
    assert "2</b> above the waiting limit" in html


def test_a_search_finds_by_name_patient_id_and_accession(site, seeder, radiologist):
    """Each word must occur; upper and lower case are the same; nothing found is reported."""
    jobs = [seeder.drafted(number) for number in (1, 2)]
    identify(site)
    for query in ("chest 2", "PHANTOM-2", "phantom 2"):
        assert rows(site.get("/read", params={"q": query}, as_=radiologist).text) == [jobs[1].id]
    html = site.get("/read", params={"q": "<b>nobody"}, as_=radiologist).text
    assert rows(html) == []
    assert "&lt;b&gt;nobody" in html
    assert "<b>nobody" not in html


def test_the_worklist_has_pages(site, seeder, radiologist, monkeypatch):
    """The link to the next one keeps the search; the counts are of the whole list."""
    monkeypatch.setattr("service.web.review.worklist_view._MOST_SHOWN", 2)
    one, two, three = (seeder.drafted(number) for number in (1, 2, 3))
    identify(site)
    first = site.get("/read", params={"q": "chest"}, as_=radiologist).text
    assert rows(first) == [one.id, two.id]
    assert "<b>3</b> waiting" in first
    assert "First drafts" not in first
    following = f"read?q=chest&amp;after={two.id}"
    assert f'href="{following}"' in first
    second = site.get(f"/{following}".replace("amp;", ""), as_=radiologist).text
    assert rows(second) == [three.id]
    assert '<a href="read?q=chest">First drafts</a>' in second
    assert "Next drafts" not in second
    query = {"q": "chest", "after": two.id}
    parts = site.get("/read/rows.json", params=query, as_=radiologist).json()
    assert parts["order"] == [f"draft-{three.id}"]
    last = site.get("/read", params={"after": three.id}, as_=radiologist).text
    assert "No further draft awaits a decision." in last
    assert site.get("/read", params={"after": "none"}, as_=radiologist).status_code == 404


def test_who_has_a_draft_open_is_shown_to_others(site, seeder, radiologist, cookie_of):
    """The notice is not shown to the person."""
    job = seeder.drafted(1)
    other = cookie_of(site.store, Role.RADIOLOGIST, login="curie", display_name="Marie Curie")
    path = f"/api/jobs/{job.id}/open"
    news = site.post(path, json={}, as_=other).json()
    assert [each["name"] for each in news["open"]] == ["Marie Curie"]
    assert (news["version"], news["by"], news["obstacle"], news["decision"]) == (
        0,
        None,
        None,
        None,
    )
    assert "Marie Curie" in site.get("/read", as_=radiologist).text
    assert "open: <bdi>" not in site.get("/read", as_=other).text


def test_the_study_page_has_image_draft_and_decision(site, seeder, radiologist):
    """The draft is folded; sentences to answer and images not examined are listed."""
    job = seeder.drafted(1)
    html = site.get(f"/read/{job.id}", as_=radiologist).text
    assert f'<noscript><img src="../jobs/{job.id}/film.png?source=1"' in html
    (image,) = site.store.instances(job.study_instance_uid)
    base = f"../studies/{job.study_instance_uid}/films/{image.sop_instance_uid}/"
    assert f'data-base="{base}"' in html
    assert site.get(f"/read/{base}voi.json".replace("/read/..", "")).status_code == 200
    assert '<details id="draft">' in html
    assert "AI draft, unverified" in html
    assert 'id="accept"' in html
    assert "No decision can be recorded." not in html
    assert "The cardiac silhouette is enlarged." in html
    assert "Answer needed" in html
    assert "The draft does not mention edema." in html
    assert "Earlier images: the model had none." in html
    assert re.search(r"unlikely.*?score 2 %, not calibrated", html, re.DOTALL)
    assert not re.search(r"<h\d[^>]*>[^<]*%", html)


def test_the_site_may_show_the_draft_at_once(make_site, seeder_of):
    """`web.fold_draft = false`."""
    site = make_site(web={"port": 0, "fold_draft": False})
    job = seeder_of(site).drafted(1)
    assert '<details id="draft" open>' in site.get(f"/read/{job.id}").text


def test_others_look_and_do_not_decide(site, seeder, cookie_of):
    """A viewer and an admin get the study without the controls to decide; `/mine` is of radiologists."""
    job = seeder.drafted(1)
    for role in (Role.VIEWER, Role.ADMIN):
        cookie = cookie_of(site.store, role, login=role.value)
        html = site.get(f"/read/{job.id}", as_=cookie).text
        assert "The cardiac silhouette is enlarged." in html
        assert 'id="accept"' not in html
        assert "<textarea" not in html
        assert site.get("/mine", as_=cookie).status_code == 403
        assert site.get("/read", as_=cookie).status_code == 200
    assert site.request("GET", "/read", as_="").status_code == 303


def test_no_link_of_the_worklist_leads_to_a_page_that_the_person_may_not_open(
    site, seeder, radiologist, cookie_of, monkeypatch
):
    """`mine` is of radiologists, the measurement of agreement of radiologists and admins."""
    seeder.drafted(1)
    withheld = replace(site.store.withheld(), n=3)
    monkeypatch.setattr(Store, "withheld", lambda _: withheld)
    linked = {Role.RADIOLOGIST: {"mine", "monitor"}, Role.ADMIN: {"monitor"}, Role.VIEWER: set()}
    for role, areas in linked.items():
        cookie = (
            radiologist
            if role is Role.RADIOLOGIST
            else cookie_of(site.store, role, login=role.value)
        )
        bar = site.get("/read/rows.json", as_=cookie).json()["parts"]["bar"]
        assert "withheld for measurement" in bar
        paths = re.findall(r'href="([^"#]+)', bar)
        assert {path.split("/")[0] for path in paths} == areas
        assert {site.get(path, as_=cookie).status_code for path in paths} <= {200}


def test_the_start_page_is_the_worklist_of_those_who_only_read(site, radiologist, cookie_of):
    """An account that also operates the service gets the queue, with the worklist at its top."""
    answer = site.request("GET", "/", as_=radiologist)
    assert (answer.status_code, answer.headers["location"]) == (303, "read")
    assert ">Queue<" not in site.get("/read", as_=radiologist).text
    both = cookie_of(site.store, Role.RADIOLOGIST, Role.ADMIN, login="chief")
    html = site.get("/", as_=both).text
    assert '<a href="./read">Worklist</a>' in html
    assert '<a href="./queue" aria-current="page">Queue</a>' in html


def test_a_draft_in_doubt_cannot_be_accepted_and_states_why(site, seeder, radiologist):
    """The page names the obstacle and offers no decision."""
    job = seeder.drafted(1)
    with site.store._writing() as session:
        row = site.store._row(session, job.id)
        row.doubt, row.doubted_at = "It differs in Patient ID.", site.store.now()
    html = site.get(f"/read/{job.id}", as_=radiologist).text
    assert "This draft cannot be accepted." in html
    assert "may be of another patient" in html
    assert "It differs in Patient ID." in html
    assert 'data-obstacle=""' not in html
    assert "Cannot be accepted." in site.get("/read", as_=radiologist).text


def test_the_text_of_a_withdrawn_draft_is_not_shown(site, seeder, radiologist):
    """Its text cannot be used."""
    job = seeder.drafted(1)
    with site.store._writing() as session:
        site.store._row(session, job.id).reason_code = "RECALLED"
    html = site.get(f"/read/{job.id}", as_=radiologist).text
    assert "The cardiac silhouette is enlarged." not in html
    assert "was withdrawn" in html
    assert rows(site.get("/read", as_=radiologist).text) == []


def test_previous_and_next_follow_the_worklist(site, seeder, radiologist):
    """From the last one on to the first; a study that is decided leads to the first."""
    one, two, three = (seeder.drafted(number) for number in (1, 2, 3))
    html = site.get(f"/read/{two.id}", as_=radiologist).text
    assert f'data-before="{one.id}"' in html
    assert f'data-after="{three.id}"' in html
    html = site.get(f"/read/{three.id}", as_=radiologist).text
    assert f'data-after="{one.id}"' in html


def test_mine_shows_own_decisions_and_differences(site, seeder, radiologist, cookie_of):
    """Figures, the changed words, and nothing of another person."""
    job = seeder.drafted(1)
    path = f"/api/jobs/{job.id}"
    review = site.get(f"{path}/review", as_=radiologist).json()
    content = review["review"]["content"]
    for each in content["sentences"]:
        each["answer"] = "agree"
    content["sentences"][0]["text"] = "The cardiac silhouette is <i>normal</i>."
    content["sentences"][1]["text"] = ""
    content["sentences"].append({"id": "n1", "section": "impression", "text": "Normal heart."})
    content["findings"] = [{"verdict": "add", "observation": "edema", "text": "mild"}]
    content["findings"].append({"verdict": "disagree", "id": "cardiomegaly"})
    body = {"verdict": "edit", "base_version": 0, "acceptability": 2, "content": content}
    made = site.post(
        f"{path}/decisions",
        json={**body, "seconds": {"total": 12}},
        headers={"Idempotency-Key": "key-0001"},
        as_=radiologist,
    )
    assert made.status_code == 201, made.text
    html = site.get("/mine", as_=radiologist).text
    assert "1 of 1" in html
    assert "<del>enlarged.</del>" in html
    assert "&lt;i&gt;normal&lt;/i&gt;" in html
    assert "<ins>Normal heart.</ins>" in html
    assert re.search("<del>There is a small left pleural effusion.*</del>", html)
    assert "<ins>edema mild</ins>" in html
    assert re.search("disagreed</span> cardiomegaly", html)
    other = cookie_of(site.store, Role.RADIOLOGIST, login="curie")
    assert "enlarged" not in site.get("/mine", as_=other).text
    assert "Edited and accepted" in site.get(f"/read/{job.id}", as_=radiologist).text
    amending = site.get(f"/read/{job.id}?amend", as_=radiologist).text
    assert f'data-amends="{made.json()["id"]}"' in amending
    assert 'id="accept"' not in site.get(f"/read/{job.id}", as_=radiologist).text


def test_a_search_also_finds_studies_that_await_nothing(site, seeder, radiologist):
    """With a link to the study; a waiting one is not listed twice."""
    seeder.drafted(1)
    waiting = seeder.waiting(2)
    identify(site)
    html = site.get("/read", params={"q": "chest"}, as_=radiologist).text
    assert len(rows(html)) == 1
    found = html.split("Found, not awaiting a decision")[1]
    assert f'href="studies/{waiting.study_instance_uid}"' in found
    assert "CHEST 2" in found
    assert "CHEST 1" not in found


def test_earlier_images_of_the_patient_are_offered(site, seeder, radiologist):
    """Of the same patient ID, issuer and birth date, not of another patient."""
    now, before, other = (seeder.drafted(number) for number in (1, 2, 3))
    for job, number in ((now, 1), (before, 1), (other, 9)):
        site.store.record_identity(
            StudyIdentity(
                study_uid=job.study_instance_uid,
                patient_id=f"P{number}",
                birth_date="19600101",
                study_date="20260301" if job is now else "20250301",
            ),
            1,
        )
    html = site.get(f"/read/{now.id}", as_=radiologist).text
    assert html.count('class="thumbnail"') == 1
    assert f'data-base="../studies/{before.study_instance_uid}/films/' in html
    assert "<strong>Earlier</strong> 2025-03-01" in html
    html = site.get(f"/read/{before.id}", as_=radiologist).text
    assert 'class="thumbnail"' not in html, "a later study is no earlier image"


def test_that_a_study_was_seen_is_in_the_audit_trail(site, seeder, radiologist):
    """With person, study and job."""
    job = seeder.drafted(1)
    site.get(f"/read/{job.id}", as_=radiologist)
    seen = [each for each in site.store.whole_audit() if each.event.action == "viewed"]
    assert [each.event.study_uid for each in seen] == [job.study_instance_uid]


def test_a_site_without_a_name_is_reported_before_a_person_reads(make_site, seeder_of):
    """A verified report states the organization: no decision could be recorded."""
    site = make_site()
    job = seeder_of(site).drafted(1)
    assert "No decision can be recorded." in site.get(f"/read/{job.id}").text


def test_an_unknown_study_is_not_found(site, radiologist):
    """Neither is a job without a draft an error of the page."""
    assert site.get(f"/read/{'0' * 32}", as_=radiologist).status_code == 404
