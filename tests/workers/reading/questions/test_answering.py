"""Questions answered by real models: the demo model, and one behind a server in longer chats."""

import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from dicom.content.report import Observation, Side
from dicom.identifiers import derived_uid
from dicom.phantom import PhantomFinding, as_dataset, draw, write
from dicom.selection.local_files import describe
from service.records import ResultObject
from service.review.decision import Reviewer
from service.review.questions import NewQuestion, QuestionFault, QuestionKind, QuestionState
from service.settings.config import load_settings
from service.store import Store
from service.web.review import questions_view
from tests.databases import make_database
from workers.model.profiles.profile import Ability
from workers.reading.questions.answering import Answering
from workers.reading.questions.lane import QuestionLane
from workers.reading.reader import Reader
from workers.tasks import work_on

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PERSON = Reviewer(id="u1", name="Röntgen^Wilhelm", organization="Klinikum")
REPORT = "Findings: The heart is enlarged. No pneumothorax.\nImpression: Cardiomegaly."
EFFUSION = PhantomFinding(observation=Observation.PLEURAL_EFFUSION, side=Side.RIGHT)


class Desk:
    """A worker's answering, a drafted study, and a person with questions about it."""

    def __init__(self, store, reader, settings, path):
        self.store, self.reader, self.path = store, reader, path
        self.abandon, self.replaced = threading.Event(), []
        self.answering = Answering(
            store, settings, reader, "reading@a", self.abandon, lambda: self.replaced.append(1),
            settings.caller,
        )  # fmt: skip
        self.job = self._drafted(describe(path))
        self.number = 0

    def _drafted(self, instance):
        store, uid = self.store, instance.study_instance_uid
        store.add_instance(instance, calling_ae="CR1", association_id="a", eligible=True)
        job = store.schedule(
            uid, model=self.answering._settings.model_name, version="1", actor="t", reason="Due."
        )
        job = store.claim_reading(job.id, "reading@a", 600)
        read = self.reader.draft(store.study(uid), produced_at=NOW)
        found = ResultObject(
            kind="draft-report", sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
            sop_instance_uid=derived_uid("sr", job.id), study_instance_uid=uid, path=self.path,
            series_instance_uid=derived_uid("series", job.id), sha256="0" * 64,
        )  # fmt: skip
        return store.draft(job.id, job.fence, read.draft, [found], ())

    def ask(self, text, kind=QuestionKind.QUESTION):
        """Return a stored question."""
        self.number += 1
        new = NewQuestion(
            job_id=self.job.id, kind=kind, text=text, person=PERSON, key=f"key-{self.number}"
        )
        return self.store.ask(new, self.job, 1000)[0]

    def work(self, question):
        """Let the worker take the question once; return it as it is afterwards."""
        held = self.answering.claim(question.id)
        if held is not None:
            work_on(self.answering, held)
        return self.store.question(question.id)

    def answered(self, text, kind=QuestionKind.QUESTION):
        """Return a question that was asked and answered."""
        return self.work(self.ask(text, kind))


@pytest.fixture
def desk_of(tmp_path):
    """A function that returns a desk with a reader, its settings and an own database."""
    stores = []

    def make(reader, settings):
        url = f"sqlite:///{tmp_path / f'{len(stores)}.db'}"
        make_database(url)
        stores.append(Store(url))
        image = as_dataset(draw(102, rows=420, columns=400, findings=(EFFUSION,)))
        image.PatientName = "Zyxwert^Quendolin"
        return Desk(stores[-1], reader, settings, write(image, tmp_path / f"{len(stores)}.dcm"))

    yield make
    for each in stores:
        each.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo model's reader and settings, loaded once."""
    settings = load_settings(data_dir=tmp_path_factory.mktemp("demo"), reading={"model": "demo"})
    reader = Reader.from_settings(settings)
    yield SimpleNamespace(reader=reader, settings=settings)
    reader.model.close()


@pytest.fixture
def desk(demo, desk_of):
    """A desk with the demo model."""
    return desk_of(demo.reader, demo.settings)


@pytest.fixture
def served(tmp_path, scripted_server, desk_of):
    """A function that returns a desk with a model behind a server, which answers by a script."""
    readers = []

    def make(*answers, **limits):
        texts = [REPORT, REPORT, *answers]  # of the first try at the start, and of the draft

        def script(number, _body):
            answer = texts[min(number, len(texts) - 1)]
            return answer() if callable(answer) else server.events([answer], model="chest")

        server = scripted_server(script)
        reading = {
            "kind": "openai", "model": "chest", "profile": "generic", "server_url": server.url,
            "server_model": "chest", "server_seconds": 5,
        }  # fmt: skip
        settings = load_settings(data_dir=tmp_path / "data", reading=reading, questions=limits)
        readers.append(Reader.from_settings(settings))
        made = desk_of(readers[-1], settings)
        made.server = server
        return made

    yield make
    for reader in readers:
        reader.model.close()


def test_the_words_for_what_a_model_lacks_are_those_of_its_profile():
    """The pages compare them, and do not load the models."""
    words = {questions_view.CHAT, questions_view.DIFFERENTIAL}
    words |= {questions_view.FOLLOW_UP, questions_view.OPEN_QUESTIONS}
    known = {Ability.CHAT, Ability.DIFFERENTIAL, Ability.FOLLOW_UP, Ability.OPEN_QUESTIONS}
    assert words == {each.value for each in known}


def test_the_demo_model_answers_about_the_image(desk):
    """Yes and no as drawn, with model, version and the digest of the prompt; no earlier turns."""
    yes = desk.answered("Is there a pleural effusion?")
    no = desk.answered("Is there a pneumothorax?")
    assert (yes.state, yes.answer.text[:4], no.answer.text[:3]) == (
        QuestionState.ANSWERED, "Yes,", "No,",
    )  # fmt: skip
    identity = desk.reader.identity
    assert (yes.answer.model, yes.answer.version) == (identity.name, identity.version)
    assert yes.answer.weights_sha256 == identity.weights_sha256
    assert len(yes.answer.prompt_sha256) == 64
    assert yes.answer.prompt_sha256 != no.answer.prompt_sha256
    assert no.answer.earlier == 0


def test_the_demo_model_suggests_a_differential_diagnosis(desk):
    """By the published prompt, without a text of the person."""
    asked = desk.answered("", QuestionKind.DIFFERENTIAL)
    assert asked.state is QuestionState.ANSWERED
    assert "effusion" in asked.answer.text


def test_earlier_turns_are_in_the_prompt_in_the_form_of_the_model(served):
    """The image once, in the first turn; the latest turns only; nothing of the patient is sent."""
    desk = served("No edema.", "About 3 cm.", "On the right.", earlier=2)
    for text in ("Is there edema?", "How large is the heart?"):
        assert desk.answered(text).state is QuestionState.ANSWERED
    last = desk.answered("Where is it?")
    assert (last.answer.text, last.answer.earlier) == ("On the right.", 2)
    messages = desk.server.bodies[-1]["messages"]
    chat = [each for each in messages if each["role"] != "system"]
    assert [each["role"] for each in chat] == ["user", "assistant", "user", "assistant", "user"]
    images = [part for each in chat for part in each["content"] if "image_url" in part]
    assert len(images) == 1
    assert "image_url" in chat[0]["content"][0]
    assert chat[0]["content"][-1]["text"] == "Is there edema?"
    assert chat[1]["content"] == "No edema."
    assert chat[4]["content"] == [{"type": "text", "text": "Where is it?"}]
    desk.answered("And now?")
    later = [each for each in desk.server.bodies[-1]["messages"] if each["role"] != "system"]
    assert later[0]["content"][-1]["text"] == "How large is the heart?"
    assert not any(b"Zyxwert" in raw for raw in desk.server.requests)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("", QuestionFault.EMPTY),
        ("   \n", QuestionFault.EMPTY),
        ("sdkjfh kjsdhf ksjdhf wqpoei", QuestionFault.NOT_LANGUAGE),
        ("no " * 60, QuestionFault.NOT_LANGUAGE),
    ],
)
def test_an_empty_or_senseless_answer_is_not_shown(served, answer, fault):
    """The question has the reason, and no text of the answer."""
    asked = served(answer).answered("Is there edema?")
    assert (asked.state, asked.fault, asked.answer) == (QuestionState.FAILED, fault, None)
    assert asked.reason


def test_an_answer_that_takes_too_long_is_given_up(served):
    """The server's computation ends too."""
    desk = served(answer_seconds=0.5)
    desk.server.script = lambda _number, _body: desk.server.events(["No."] * 60, seconds=0.2)
    began = time.monotonic()
    asked = desk.answered("Is there edema?")
    assert (asked.state, asked.fault) == (QuestionState.FAILED, QuestionFault.TIMEOUT)
    assert time.monotonic() - began < 5
    assert desk.server.broken_off.wait(5)


def test_a_canceled_question_ends_the_computation(served):
    """Within a second; nothing is written."""
    desk = served()
    desk.server.script = lambda _number, _body: desk.server.events(["No."] * 300, seconds=0.2)
    question = desk.ask("Is there edema?")
    worker = threading.Thread(target=desk.work, args=(question,))
    worker.start()
    time.sleep(1)
    assert desk.answering.in_hand == 1
    desk.store.cancel_question(question.id, PERSON.id)
    worker.join(5)
    assert not worker.is_alive()
    found = desk.store.question(question.id)
    assert (found.state, found.answer) == (QuestionState.CANCELED, None)


def test_a_server_that_is_away_is_asked_once_more(served):
    """Then the question has the failure and its reason."""
    desk = served()
    desk.server.stop()
    question = desk.ask("Is there edema?")
    again = desk.work(question)
    assert (again.state, again.attempts) == (QuestionState.WAITING, 1)
    failed = desk.work(question)
    assert (failed.state, failed.fault) == (QuestionState.FAILED, QuestionFault.MODEL_FAILED)
    assert failed.reason.startswith("The model failed: no connection to 127.0.0.1")


def test_a_worker_that_stops_hands_the_question_back(desk):
    """The attempt does not count: the next worker answers it."""
    question = desk.ask("Is there a pneumothorax?")
    desk.abandon.set()
    back = desk.work(question)
    assert (back.state, back.attempts) == (QuestionState.WAITING, 0)
    desk.abandon.clear()
    assert desk.work(question).state is QuestionState.ANSWERED


@pytest.mark.parametrize(
    ("trouble", "fault"),
    [
        ("recalled", QuestionFault.DRAFT_NOT_VALID),
        ("image", QuestionFault.IMAGE_REMOVED),
        ("model", QuestionFault.MODEL_CHANGED),
    ],
)
def test_what_changed_since_it_was_asked_is_reported(desk, trouble, fault):
    """Withdrawn, removed by retention, another version of the model: no answer, with the reason."""
    question = desk.ask("Is there a pneumothorax?")
    if trouble == "recalled":
        desk.store.withdraw(desk.job.id, "admin", "wrong model")
    elif trouble == "image":
        desk.path.unlink()
    else:
        desk.reader._version = "2"
    try:
        found = desk.work(question)
    finally:
        desk.reader._version = "1"
    assert (found.state, found.fault) == (QuestionState.FAILED, fault)
    assert found.reason


def test_the_lane_answers_while_every_thread_is_busy_and_what_was_not_published(desk):
    """The database lists the waiting ones: a lost message delays a question by seconds, not for ever."""
    done = threading.Event()

    def answer(question_id):
        desk.work(desk.store.question(question_id))
        done.set()

    question = desk.ask("Is there a pneumothorax?")
    with QuestionLane(desk.store, "demo", lambda: True, answer).open():
        assert done.wait(10)
    assert desk.store.question(question.id).state is QuestionState.ANSWERED
    done.clear()
    lost = desk.ask("Is there atelectasis?")
    with QuestionLane(desk.store, "demo", lambda: False, answer).open():
        assert done.wait(15)
    assert desk.store.question(lost.id).state is QuestionState.ANSWERED
