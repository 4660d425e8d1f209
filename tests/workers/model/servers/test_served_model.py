"""A model behind a server: its requests, the parsing of answers, and the end of requests."""

import base64
import io
import math
import threading
import time

import numpy as np
import pytest
from PIL import Image

from service.settings.site_networks import permitted
from workers.model.errors import (
    Canceled,
    EngineStopped,
    GenerationError,
    ServerRefused,
    ServerUnavailable,
)
from workers.model.profiles.load import find_profile, load_profile
from workers.model.prompts import IS_NORMAL, IS_THERE, Task
from workers.model.servers.chat_client import Server
from workers.model.servers.retrying import RetryPolicy
from workers.model.servers.served_model import ServedModel, recorded
from workers.model.vlm import Decoding

PROFILE = load_profile(find_profile("generic"))
TEXT = "Findings: The lungs are clear. Impression: No acute disease."


@pytest.fixture
def model_of():
    """A function that returns the model of a server; its connections are closed after the test."""
    models = []

    def make(url, *, profile=PROFILE, remote=False, indication=False, **options):
        options = {"seconds": 5.0, "retry": RetryPolicy(tries=2, first_seconds=0.01)} | options
        server = Server(url=url, model="chest", permitted=permitted(allow_remote=remote), **options)
        record = recorded(server, profile, remote=remote, indication=indication)
        models.append(ServedModel(server, profile, record))
        return models[-1]

    yield make
    for model in models:
        model.close()


@pytest.fixture
def frame():
    """An image float32 [60, 40], dark at the left."""
    return np.tile(np.linspace(0, 1, 40, dtype=np.float32), (60, 1))


def image_of(body):
    """Return the image of a request, decoded."""
    [part] = [each for each in body["messages"][-1]["content"] if each["type"] == "image_url"]
    head, _, content = part["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    return base64.b64decode(content)


def test_a_request_holds_the_prompt_and_the_image(scripted_server, model_of, frame):
    """Turns of the profile, the image first, and the decoding; the PNG has pixels and nothing else."""
    server = scripted_server(lambda _n, _body: server.events([TEXT], model="chest"))
    answer = model_of(server.url).answer(frame, Task.REPORT, decoding=Decoding(max_new_tokens=99))
    [body] = server.bodies
    assert [each["role"] for each in body["messages"]] == ["system", "user"]
    assert [each["type"] for each in body["messages"][1]["content"]] == ["image_url", "text"]
    assert body["messages"][1]["content"][1]["text"].startswith("Write the report of this chest")
    assert {key: value for key, value in body.items() if key != "messages"} == {
        "model": "chest", "temperature": 0, "top_p": 1, "max_tokens": 99, "seed": 0, "stream": True,
    }  # fmt: skip
    content = image_of(body)
    kinds = [
        content[at - 4 : at] for at in range(12, len(content)) if content[at - 4 : at].isalpha()
    ]
    assert not {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"} & set(kinds)
    image = Image.open(io.BytesIO(content))
    assert (image.mode, image.size, image.info) == ("RGB", (40, 60), {})
    assert image.getpixel((0, 0)) == (0, 0, 0)
    assert image.getpixel((39, 59)) == (255, 255, 255)
    assert answer.text == TEXT
    assert answer.ended
    assert "<image>" in answer.prompt


def test_the_image_has_the_size_and_mode_of_the_profile(scripted_server, model_of, frame):
    """Here gray, 32 x 32."""
    sized = PROFILE.image.model_copy(update={"mode": "L", "width": 32, "height": 32})
    profile = PROFILE.model_copy(update={"image": sized})
    server = scripted_server(lambda _n, _body: server.events([TEXT], model="chest"))
    model_of(server.url, profile=profile).answer(frame, Task.REPORT)
    image = Image.open(io.BytesIO(image_of(server.bodies[0])))
    assert (image.mode, image.size) == ("L", (32, 32))


def test_an_answer_that_was_cut_is_marked(scripted_server, model_of, frame):
    """The number of tokens is the server's."""
    server = scripted_server(
        lambda _n, _body: server.chat("The lungs", model="chest", finish="length", usage=(900, 2))
    )
    answer = model_of(server.url).answer(frame, Task.REPORT)
    assert (answer.ended, len(answer.token_ids)) == (False, 2)


@pytest.mark.parametrize(
    "answer",
    [
        f"<think>Is the heart large? Findings: it is.</think>\n{TEXT}",
        f"<reasoning>x</reasoning>{TEXT}",
        f"{TEXT}<think>and so on",
    ],
)
def test_passages_in_which_a_model_thinks_are_no_report(scripted_server, model_of, frame, answer):
    """They must not be coded."""
    server = scripted_server(lambda _n, _body: server.events([answer], model="chest"))
    assert model_of(server.url).answer(frame, Task.REPORT).text.strip() == TEXT


def test_stop_words_of_the_profile_end_the_text(scripted_server, model_of, frame):
    """Also where the server does not know them."""
    stops = PROFILE.answer.model_copy(update={"stop": ("<|eot|>",)})
    profile = PROFILE.model_copy(update={"answer": stops})
    server = scripted_server(
        lambda _n, _body: server.events([TEXT + "<|eot|>User: and now?"], model="chest")
    )
    assert model_of(server.url, profile=profile).answer(frame, Task.REPORT).text == TEXT


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"text": "x" * 4096 + "x" * 33 * 16}, "too many for 16 tokens"),
        ({"text": "The lungs\0 are clear."}, "not text"),
        ({"text": "The lungs \ud800 are clear."}, "not text"),
        ({"text": "", "refusal": "I cannot read images of patients."}, "refused to answer"),
        ({"text": "", "finish": "content_filter"}, "refused to answer"),
    ],
)
def test_an_answer_that_cannot_be_a_report_is_refused(
    scripted_server, model_of, frame, reply, message
):
    """One request: the same image would be answered alike."""
    server = scripted_server(lambda _n, _body: server.chat(model="chest", **reply))
    with pytest.raises(ServerRefused, match=message):
        model_of(server.url).answer(frame, Task.REPORT, decoding=Decoding(max_new_tokens=16))
    assert len(server.requests) == 1


def test_samples_are_further_requests_and_may_fail(scripted_server, model_of, frame):
    """Each has its own seed and temperature; a failing one is missing."""

    def script(_n, body):
        if body["seed"] == 2:
            return server.json({}, 400)
        return server.events([f"Text {body['seed']} at {body['temperature']}."], model="chest")

    server = scripted_server(script)
    samples = [Decoding(temperature=1.0, seed=seed) for seed in (1, 2, 3)]
    answer = model_of(server.url).answer(frame, Task.REPORT, samples=samples)
    assert answer.text == "Text 0 at 0.0."
    assert answer.samples == ("Text 1 at 1.0.", "Text 3 at 1.0.")


def test_a_failed_answer_ends_its_samples(scripted_server, model_of, frame):
    """Their connections are closed; the error is the answer's own."""

    def script(_n, body):
        if body["seed"] == 0:
            time.sleep(0.3)
            return server.json({}, 400)
        return server.events(["a"] * 1000, seconds=0.02, model="chest")

    server = scripted_server(script)
    with pytest.raises(ServerRefused, match="400"):
        model_of(server.url).answer(frame, Task.REPORT, samples=[Decoding(temperature=1, seed=1)])
    assert server.broken_off.wait(10)


def test_a_withdrawn_request_ends_at_the_server(scripted_server, model_of, frame):
    """Within a moment, also while the server is silent; the next request is answered."""
    withdrawn = threading.Event()

    def script(n, _body):
        if n == 0:
            return server.events(["a"] * 2000, seconds=0.02, model="chest")
        return server.silence() if n == 1 else server.events([TEXT], model="chest")

    server = scripted_server(script)
    model = model_of(server.url, connections=1, seconds=50)
    for _ in range(2):
        withdrawn.clear()
        threading.Timer(0.5, withdrawn.set).start()
        begun = time.monotonic()
        with pytest.raises(Canceled):
            model.answer(frame, Task.REPORT, canceled=withdrawn.is_set)
        assert time.monotonic() - begun < 20
    assert server.broken_off.wait(10)
    assert model.answer(frame, Task.REPORT).text == TEXT


def test_urgent_requests_go_first(scripted_server, model_of, frame):
    """One at a time: of four that wait, the urgent one is next."""
    free = threading.Event()

    def script(n, body):
        if n == 0:
            free.wait(20)
        return server.events([body["messages"][1]["content"][1]["text"]], model="chest")

    server = scripted_server(script)
    model = model_of(server.url, connections=1, seconds=60)
    order, threads = [], []

    def ask(name, urgent):
        model.answer(frame, Task.QUESTION, question=name, urgent=urgent)
        order.append(name)

    for name in ("first", "second", "third", "urgent"):
        threads.append(threading.Thread(target=ask, args=(name, name == "urgent")))
        threads[-1].start()
        time.sleep(0.3)
    free.set()
    for thread in threads:
        thread.join(30)
    asked = [body["messages"][1]["content"][1]["text"] for body in server.bodies]
    assert asked == ["first", "urgent", "second", "third"]


def test_closing_ends_what_runs(scripted_server, model_of, frame):
    """A caller that waits gets EngineStopped, as does a later one."""
    server = scripted_server(lambda _n, _body: server.silence())
    model = model_of(server.url, seconds=60)
    ended = []

    def ask():
        try:
            model.answer(frame, Task.REPORT)
        except EngineStopped as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    model.close()
    thread.join(10)
    assert len(ended) == 1
    with pytest.raises(EngineStopped):
        model.answer(frame, Task.REPORT)
    model.close = lambda: None


def test_an_outage_is_distinguished_from_a_failure(scripted_server, model_of, frame):
    """No connection, 429, 502 to 504 are unrelated to the image; 500 and half an answer may."""
    status = [503]
    server = scripted_server(lambda _n, _body: server.json({}, status[0]))
    model = model_of(server.url)
    for status[0], outage in ((429, True), (502, True), (503, True), (504, True), (500, False)):
        with pytest.raises(ServerUnavailable) as caught:
            model.answer(frame, Task.REPORT)
        assert caught.value.outage is outage
    server.stop()
    with pytest.raises(ServerUnavailable) as caught:
        model.answer(frame, Task.REPORT)
    assert caught.value.outage


def test_what_a_server_cannot_do_is_stated(scripted_server, model_of, frame):
    """No regions and no scores; the indication only if the site allows it."""
    server = scripted_server(lambda _n, _body: b"")
    model = model_of(server.url)
    assert {"regions", "scores"} <= set(model.checkpoint.cannot)
    assert not model.locates
    assert not model.checkpoint.takes_indication
    assert model_of(server.url, indication=True).checkpoint.takes_indication
    without = PROFILE.model_copy(update={"scores": None})
    with pytest.raises(GenerationError, match="no scores: its profile has no questions"):
        model_of(server.url, profile=without).chances(frame, [IS_NORMAL])
    assert model.chances(frame, []) == ()
    assert server.requests == []


def test_a_remote_server_is_recorded(scripted_server, model_of):
    """Its host stands in the record, and from there in every draft."""
    server = scripted_server(lambda _n, _body: b"")
    assert model_of(server.url).checkpoint.remote_host == ""
    host = f"127.0.0.1:{server.server_address[1]}"
    assert model_of(server.url, remote=True).checkpoint.remote_host == host


def likeliest(**chances):
    """Return a reply of one token with the probabilities of the likeliest."""
    tokens = [{"token": word, "logprob": math.log(chance)} for word, chance in chances.items()]
    first = {"token": "x", "logprob": -0.1, "top_logprobs": tokens}
    choice = {
        "message": {"content": "x"},
        "finish_reason": "length",
        "logprobs": {"content": [first]},
    }
    return {"model": "chest", "choices": [choice]}


def test_scores_are_the_probability_of_yes_against_no(scripted_server, model_of, frame):
    """Both of their spellings count together; each question in the profile's words, one token."""

    def script(_n, body):
        if "logprobs" not in body:
            return server.events([TEXT], model="chest")
        edema = "edema" in str(body["messages"][-1]["content"])
        chances = {"Yes": 0.4, " yes": 0.2, "No": 0.1, "Maybe": 0.3} if edema else {"no": 0.9}
        return server.json(likeliest(**chances))

    server = scripted_server(script)
    model = model_of(server.url)
    questions = [IS_THERE["edema"], IS_NORMAL]
    answer = model.answer(frame, Task.REPORT, questions=questions)
    assert answer.text == TEXT
    assert answer.chances == pytest.approx((6 / 7, 0))
    assert model.chances(frame, questions) == pytest.approx((6 / 7, 0))
    asked = [body for body in server.bodies if "logprobs" in body]
    assert {(body["max_tokens"], body["top_logprobs"], body["stream"]) for body in asked} == {
        (1, 20, False)
    }
    texts = {body["messages"][-1]["content"][-1]["text"] for body in asked}
    assert "Is there pulmonary edema? Answer yes or no." in texts


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (None, GenerationError, "no probabilities of tokens"),
        ({"Maybe": 1.0}, GenerationError, "neither yes nor no"),
        ({"Yes": 2.0}, ServerRefused, "is none"),
    ],
)
def test_a_score_is_not_guessed(scripted_server, model_of, frame, reply, kind, message):
    """Without probabilities, with other words, or with a probability above 1 there is none."""
    server = scripted_server(
        lambda _n, _body: (
            server.chat("Yes", model="chest") if reply is None else server.json(likeliest(**reply))
        )
    )
    with pytest.raises(kind, match=message):
        model_of(server.url).chances(frame, [IS_NORMAL])
