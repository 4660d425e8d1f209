"""Questions over HTTP: asked once, with a reason where none can be asked, visible, audited, live."""

from dataclasses import replace

import pytest

from service.accounts import Role
from service.audit import AuditAction
from service.review.questions import QuestionAnswer, QuestionFault
from service.sweeper.question_sweep import QuestionSweep

ANSWER = QuestionAnswer(
    text="Yes, a <small> effusion.", model="Tiny", version="0.1", weights_sha256="0" * 64,
    prompt_sha256="1" * 64, earlier=0,
)  # fmt: skip


@pytest.fixture
def asked_site(make_site):
    """A site at which a person may ask three questions an hour."""
    return make_site(
        site_name="Klinikum Süd",
        reading={"model_version": "0.1"},
        questions={"most_an_hour": 3, "longest": 60},
    )


@pytest.fixture
def job(asked_site, seeder_of):
    """A drafted job."""
    return seeder_of(asked_site).drafted(1)


@pytest.fixture
def ask(asked_site, job):
    """A function that asks, as the person with every role unless `as_` says otherwise."""

    def send(text="Is there an effusion?", key="key-00001", kind="question", **options):
        body = {"kind": kind, "text": text}
        headers = {"Idempotency-Key": key} if key else {}
        path = options.pop("path", f"/api/jobs/{job.id}/questions")
        return asked_site.post(path, json=body, headers=headers, **options)

    return send


def claimed(site, question_id, seconds=15):
    """Return the question as a worker claimed it."""
    return site.store.claim_question(question_id, "reading@a", seconds, model="demo")


def test_a_question_is_stored_once_and_audited_without_its_text(asked_site, job, ask):
    """201, then 200 with the same question; the audit states that it was asked, without its text."""
    first, again = ask(), ask()
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["state"] == "WAITING"
    asked = [
        each.event
        for each in asked_site.store.whole_audit()
        if each.event.action is AuditAction.ASKED
    ]
    (event,) = asked
    assert (event.study_uid, event.job_id, event.detail) == (
        job.study_instance_uid, job.id, "question",
    )  # fmt: skip
    other = ask("Another one?")
    assert (other.status_code, other.json()["error"]) == (
        409, "The Idempotency-Key belongs to another question.",
    )  # fmt: skip
    assert ask("Is it?", key="").status_code == 428


def test_a_study_is_asked_like_a_job(asked_site, job, ask):
    """The path by study asks about its newest draft; viewers read, and may not ask."""
    path = f"/api/studies/{job.study_instance_uid}/questions"
    assert ask(path=path).status_code == 201
    listed = asked_site.get(path).json()
    assert [each["text"] for each in listed["questions"]] == ["Is there an effusion?"]
    assert listed["unavailable"] == {"question": None, "differential": None}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ADMIN])
def test_only_a_radiologist_asks_and_the_others_read(asked_site, job, ask, cookie_of, role):
    """403 for asking and canceling, also from a foreign page; the answers are shown."""
    question = ask().json()["id"]
    cookie = cookie_of(asked_site.store, role, login="other")
    assert ask(key="key-00002", as_=cookie).status_code == 403
    cancel = f"/api/questions/{question}/cancel"
    assert asked_site.post(cancel, json={}, as_=cookie).status_code == 403
    path = f"/api/studies/{job.study_instance_uid}/questions"
    assert asked_site.get(path, as_=cookie).json()["questions"][0]["id"] == question
    page = asked_site.get(f"/read/{job.id}", as_=cookie).text
    assert "Is there an effusion?" in page
    assert "Only a radiologist may ask." in page
    foreign = asked_site.post(
        f"/api/jobs/{job.id}/questions",
        json={"text": "Foreign?"},
        headers={"Idempotency-Key": "key-00009", "Sec-Fetch-Site": "cross-site"},
    )
    assert foreign.status_code == 403


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"text": ""}, "The question is empty"),
        ({"text": "x" * 61}, "at most 60"),
        ({"text": "a\u0000b"}, "control characters"),
        ({"text": "<image>"}, "control word"),
        ({"text": 7}, "a string"),
        ({"kind": "report", "text": "a"}, "one of question, differential"),
        ({"kind": "differential", "text": "a"}, "without a text"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_with_the_reason(asked_site, job, body, words):
    """400; nothing is stored."""
    answer = asked_site.post(
        f"/api/jobs/{job.id}/questions", json=body, headers={"Idempotency-Key": "key-00001"}
    )
    assert answer.status_code == 400
    assert words.lower() in answer.json()["error"].lower()
    assert asked_site.store.questions(job.study_instance_uid) == []


def test_two_questions_at_once_and_too_many_are_refused(asked_site, ask):
    """409 while one is open; 429 with Retry-After after three within an hour."""
    for number in range(3):
        answer = ask(f"Number {number}?", key=f"key-0000{number}")
        assert answer.status_code == 201
        assert ask("Too early?", key="key-early").status_code == 409
        asked_site.post(f"/api/questions/{answer.json()['id']}/cancel", json={})
    refused = ask("Fourth?", key="key-00004")
    assert refused.status_code == 429
    assert 3000 < int(refused.headers["retry-after"]) <= 3600
    assert "3 questions within an hour" in refused.json()["error"]


def test_an_answer_is_shown_as_unverified_and_escaped(asked_site, job, ask):
    """In the page and in the JSON, with the model and the digest of its prompt."""
    question = ask().json()["id"]
    asked_site.store.answer_question(claimed(asked_site, question), ANSWER)
    page = asked_site.get(f"/read/{job.id}").text
    assert "Unverified AI answer" in page
    assert "Yes, a &lt;small&gt; effusion." in page
    (shown,) = asked_site.get(f"/api/studies/{job.study_instance_uid}/questions").json()[
        "questions"
    ]
    assert shown["answer"] == {
        "text": ANSWER.text, "status": "unverified AI answer", "earlier": 0,
        "model": {"name": "Tiny", "version": "0.1"}, "prompt_sha256": "1" * 64,
    }  # fmt: skip


def test_an_answer_about_a_withdrawn_draft_is_not_shown(asked_site, ask, seeder_of):
    """A recall also concerns the model's answers; the question stays."""
    job = seeder_of(asked_site).completed(2)
    question = ask(path=f"/api/jobs/{job.id}/questions").json()["id"]
    asked_site.store.answer_question(claimed(asked_site, question), ANSWER)
    asked_site.store.withdraw(job.id, "admin", "wrong model")
    path = f"/api/studies/{job.study_instance_uid}/questions"
    (shown,) = asked_site.get(path).json()["questions"]
    assert (shown["answer"], shown["reason"][:24]) == (None, "The draft was withdrawn,")
    page = asked_site.get(f"/read/{job.id}").text
    assert "effusion?" in page
    assert "&lt;small&gt;" not in page


def test_each_reason_for_no_answer_is_a_sentence(asked_site, job, ask, seeder_of):
    """Without a worker, with one, failed, canceled: the panel states which."""

    def part():
        return asked_site.get(f"/live/questions/{job.id}.json").json()["parts"]["asked"]

    question = ask().json()["id"]
    assert "Waiting for a worker: no reading worker is alive" in part()
    seeder_of(asked_site).beat("reading")
    assert "Waiting for the model." in part()
    held = claimed(asked_site, question)
    assert "The model is answering" in part()
    asked_site.store.fail_question(held, QuestionFault.NOT_LANGUAGE)
    assert "The model&#39;s answer is not language and is not shown." in part()
    second = ask("Another?", key="key-00002").json()["id"]
    asked_site.post(f"/api/questions/{second}/cancel", json={})
    assert "Canceled" in part()


def is_refused(site, job, words):
    """Return whether asking is refused with this message, and the panel shows it."""
    headers = {"Idempotency-Key": "key-00001"}
    refused = site.post(f"/api/jobs/{job.id}/questions", json={"text": "Is it?"}, headers=headers)
    part = site.get(f"/live/questions/{job.id}.json").json()["parts"]["asked"]
    return (
        refused.status_code == 409
        and refused.json()["error"].startswith(words)
        and f'data-why-not="{words}' in part
    )


def test_the_panel_states_why_nothing_can_be_asked_of_a_study(asked_site, seeder_of):
    """A withdrawn draft, a removed image: the message is in place of the field."""
    seeder = seeder_of(asked_site)
    job, other = seeder.completed(1), seeder.completed(2)
    asked_site.store.withdraw(job.id, "admin", "wrong model")
    assert is_refused(asked_site, job, "The draft was withdrawn")
    for image in asked_site.store.spooled(other.study_instance_uid):
        image.path.unlink()
    assert is_refused(asked_site, other, "The images of this study were removed")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"reading": {"model_version": "0.2"}},
            "The model that wrote this draft is no longer in use.",
        ),
        ({"questions": {"enabled": False}}, "Questions are switched off here"),
    ],
)
def test_the_panel_states_why_this_site_takes_no_question(make_site, seeder_of, changes, words):
    """Another version of the model is in use, or the site has switched questions off."""
    site = make_site(site_name="S", **{"reading": {"model_version": "0.1"}, **changes})
    assert is_refused(site, seeder_of(site).drafted(1), words)


def test_a_model_that_writes_reports_only_reports_it(asked_site, seeder_of, ask):
    """LLaVA-Rad has no question answering: the reason is in place of the field."""
    seeder = seeder_of(asked_site)
    job = seeder.reading(2)
    draft = seeder.draft_of(job)
    model = replace(draft.model, name="LLaVA-Rad", cannot=("chat", "differential"))
    found = seeder.result_object(job)
    asked_site.store.draft(job.id, job.fence, replace(draft, model=model), [found], ("orthanc",))
    refused = ask(path=f"/api/jobs/{job.id}/questions")
    assert refused.status_code == 409
    assert "LLaVA-Rad cannot answer questions" in refused.json()["error"]
    page = asked_site.get(f"/read/{job.id}").text
    assert 'data-why-not="LLaVA-Rad cannot answer questions' in page
    assert 'data-why-no-differential="LLaVA-Rad cannot suggest a differential diagnosis.' in page


def test_the_sweeper_publishes_ids_only_and_gives_up_in_the_end(asked_site, ask):
    """If the broker is unavailable the question waits for the next sweep."""
    store, sent = asked_site.store, []
    question = ask().json()["id"]
    sweep = QuestionSweep(store, asked_site.here.settings, lambda *words: sent.append(words))
    sweep.sweep(store.now())
    sweep.sweep(store.now())
    assert sent == [(question, "demo")]
    store.end_unanswered(store.now())
    assert store.question(question).fault is QuestionFault.NO_WORKER
