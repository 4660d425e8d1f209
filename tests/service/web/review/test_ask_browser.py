"""A radiologist asks the model about the image, in headless Chromium; the answer comes by the stream."""

from dataclasses import replace

import pytest

from service.review.questions import QuestionAnswer, QuestionFault, QuestionState

pytestmark = [pytest.mark.browser, pytest.mark.serial]

ENTER, ESCAPE = "\ue007", "\ue00c"
ANSWER = QuestionAnswer(
    text="No pneumothorax is seen, said the model.", model="Tiny", version="0.1",
    weights_sha256="0" * 64, prompt_sha256="1" * 64, earlier=0,
)  # fmt: skip
SHOWN = "return document.getElementById('missing')?.textContent !== 'The image is not shown yet.'"
NEWEST = "document.querySelector('#asked li')"


@pytest.fixture
def reading_site(make_site):
    """A site with a name, whose model made the drafts."""
    return make_site(site_name="St. Example Hospital", reading={"model_version": "0.1"})


@pytest.fixture
def seeder(reading_site, seeder_of):
    """The object that fills the site's store."""
    return seeder_of(reading_site)


@pytest.fixture
def until(eventually):
    """A function that waits until a script returns something true in a person's page."""

    def wait(who, script, what, seconds=15):
        eventually(lambda: who.run(script), seconds=seconds, what=what)

    return wait


@pytest.fixture
def newest(reading_site):
    """A function that returns the newest question about a job's study."""

    def find(job):
        return reading_site.store.questions(job.study_instance_uid)[-1]

    return find


def answer(store, question, text=ANSWER):
    """Answer a question as a worker does."""
    held = store.claim_question(question.id, "reading@a", 60, model=question.model_name)
    store.answer_question(held, text)


def state_is(state):
    """Return the script that returns the state of the newest question on the page."""
    return f"return {NEWEST}?.dataset.state === {state!r}"


def test_a_question_is_asked_and_answered_by_keys_without_a_reload(
    reading_site, seeder, newest, person, until
):
    """q, text, Enter: waiting with its reason, then the answer, spoken; nothing of it in the report."""
    job, store = seeder.drafted(1), reading_site.store
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    who.run("window.stays = true")
    who.press("q")
    assert who.run("return document.activeElement.name") == "text"
    who.press(*"Is there a pneumothorax, or air?", ENTER)
    until(who, state_is("WAITING"), "the question on the page")
    assert "Waiting for a worker: no reading worker is alive" in who.text("#asked")
    assert who.run("return document.activeElement.name") == "text"
    who.press(*"Another?", ENTER)
    until(who, "return document.querySelector('#ask .fault').textContent", "the refusal")
    assert "not answered yet" in who.text("#ask .fault")
    answer(store, newest(job))
    until(who, state_is("ANSWERED"), "the answer")
    assert "UNVERIFIED AI ANSWER" in who.text("#asked").upper()
    assert ANSWER.text in who.text("#asked")
    spoken = "return document.getElementById('answer-spoken').textContent"
    assert who.run(spoken) == f"Unverified AI answer: {ANSWER.text}"
    assert who.run("return window.stays") is True
    who.press(ESCAPE)
    assert who.run("return document.getElementById('ask').hidden") is True
    until(who, "return document.activeElement.matches('.viewer-stage')", "focus on the image")
    who.press(" ", "y", "y", "y", "y", "y")
    until(who, "return document.getElementById('missing').textContent === ''", "all answered")
    until(who, "return document.getElementById('saved').textContent === 'Stored'", "stored")
    who.press("a")
    until(who, "return document.getElementById('accept-dialog').open", "the four steps")
    who.press("1")
    until(who, "return location.pathname === '/read'", "the worklist")
    (made,) = store.decisions(job_id=job.id)
    assert not any(
        "said the model" in each for each in (*made.findings_text, *made.impression_text)
    )
    assert [each for each in who.faults() if "409" not in each] == []


def test_a_differential_is_asked_by_its_button_canceled_and_a_double_click_asks_once(
    reading_site, seeder, newest, person, until
):
    """D only goes to the button. Cancel, failure and a model without answers are each reported."""
    job, store = seeder.drafted(1), reading_site.store
    who = person(then=f"/read/{job.id}")
    until(who, SHOWN, "the image")
    who.press("d")
    assert who.run("return document.activeElement.id") == "ask-differential"
    assert store.questions(job.study_instance_uid) == []
    who.run("const button = document.activeElement; button.click(); button.click();")
    until(who, state_is("WAITING"), "the question")
    assert len(store.questions(job.study_instance_uid)) == 1
    who.click("#asked .cancel-question")
    until(who, state_is("CANCELED"), "the end of the question")
    assert newest(job).state is QuestionState.CANCELED
    who.click("#ask-differential")
    until(who, state_is("WAITING"), "the second question")
    held = store.claim_question(newest(job).id, "reading@a", 60, model="demo")
    until(who, state_is("ANSWERING"), "the progress")
    store.fail_question(held, QuestionFault.TIMEOUT)
    until(who, state_is("FAILED"), "the reason")
    assert "The model did not answer in time." in who.text("#asked")
    store.withdraw(job.id, "admin", "wrong model")
    until(who, "return document.getElementById('why-not').textContent", "why nothing can be asked")
    assert who.run("return document.querySelector('#ask-form label').hidden") is True
    assert "The draft was withdrawn" in who.text("#why-not")
    other = seeder.reading(2)
    draft = seeder.draft_of(other)
    model = replace(draft.model, name="LLaVA-Rad", cannot=("chat", "differential"))
    found = seeder.result_object(other)
    store.draft(other.id, other.fence, replace(draft, model=model), [found], ("orthanc",))
    who.open(f"/read/{other.id}")
    until(who, SHOWN, "the image")
    who.press("q")
    assert "LLaVA-Rad cannot answer questions" in who.text("#why-not")
    assert who.run("return document.querySelector('#ask-form label').hidden") is True
    who.press("?")
    until(who, "return document.getElementById('keys-dialog').open", "the list of keys")
    assert "ask the model a question" in who.text("#keys-list")
    assert who.faults() == []
