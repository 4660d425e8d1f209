"""The engine: many answers at once, each as if it were alone."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from workers.model.checkpoints import registry
from workers.model.engine import engine as engine_module
from workers.model.engine import prefill
from workers.model.engine.engine import Engine
from workers.model.errors import Canceled, EngineStopped, GenerationError
from workers.model.networks import multimodal
from workers.model.prompts import EarlierAnswer, Task
from workers.model.vlm import Decoding
from workers.reading.content.scores import QUESTIONS

TASKS = (Task.REPORT, Task.DIFFERENTIAL, Task.PAEDIATRIC_REPORT, Task.QUESTION)


@pytest.fixture
def model(tiny_folder):
    """The tiny model, the engine's own."""
    return registry.load("tiny", tiny_folder)


@pytest.fixture
def engine(model):
    """A running engine with six rows."""
    running = Engine(model, rows=6)
    yield running
    running.close()


def images(count):
    """Images of noise, float32 [90, 70] in 0..1."""
    return np.random.default_rng(5).random((count, 90, 70), dtype=np.float32)


def asked(target, number, image):
    """One of several different answers: other task, length, questions and decoding."""
    decoding = Decoding(max_new_tokens=5 + 7 * (number % 5), temperature=float(number % 3 == 2))
    return target.answer(
        image, TASKS[number % 4], question=f"Is there {'a ' * number}shadow?",
        questions=QUESTIONS[: number % 3], decoding=decoding,
    )  # fmt: skip


def test_many_at_once_equal_each_alone(tiny_folder, engine):
    """Sixteen orders of different lengths through six rows: the tokens of a model used alone."""
    plain = registry.load("tiny", tiny_folder)
    shots = images(16)
    expected = [asked(plain, number, image) for number, image in enumerate(shots)]
    with ThreadPoolExecutor(16) as callers:
        futures = [callers.submit(asked, engine, n, image) for n, image in enumerate(shots)]
        answers = [future.result(60) for future in futures]
    for answer, single in zip(answers, expected, strict=True):
        assert answer.token_ids == single.token_ids
        assert answer.text == single.text
        assert answer.token_scores == pytest.approx(single.token_scores, abs=1e-4)
        assert answer.chances == pytest.approx(single.chances, abs=1e-4)
        assert answer.prompt == single.prompt
        np.testing.assert_allclose(answer.image_tokens, single.image_tokens, atol=1e-5)


def test_llava_rad_batches_of_unequal_prompts_equal_the_single_results(shared_goldens):
    """With and without an indication, two images, all together: the golden texts, one by one."""
    folder = shared_goldens / "llava_rad_tiny_seed0"
    model = registry.load("llava-rad", folder / "llava-rad-tiny", base=folder / "vicuna-tiny")
    reasons = ("", "Fall.", "Shortness of breath, evaluate for effusion.", "Cough") * 2
    decoding = Decoding(max_new_tokens=24)
    cases = list(zip(images(8), reasons, strict=True))
    expected = [
        model.answer(image, Task.REPORT, indication=reason, decoding=decoding)
        for image, reason in cases
    ]
    running = Engine(model, rows=8)
    with ThreadPoolExecutor(8) as callers:
        answers = callers.map(
            lambda case: running.answer(
                case[0], Task.REPORT, indication=case[1], decoding=decoding
            ),
            cases,
        )
        assert [one.token_ids for one in answers] == [one.token_ids for one in expected]
    running.close()


def test_the_timings_name_every_part(engine):
    """An answer has its waiting time and the time of each part."""
    answer = engine.answer(images(1)[0], Task.REPORT, decoding=Decoding(max_new_tokens=3))
    parts = {"preprocess", "wait", "vision", "prefill", "questions", "decode"}
    assert set(answer.timings_ms) == parts
    assert all(spent >= 0 for spent in answer.timings_ms.values())


def test_chances_need_no_text(tiny_folder, engine):
    """The questions alone give what the plain model gives."""
    image = images(1)[0]
    plain = registry.load("tiny", tiny_folder).chances(image, QUESTIONS)
    assert engine.chances(image, QUESTIONS) == pytest.approx(plain, abs=1e-4)


def test_a_short_answer_does_not_wait_for_a_long_one(engine):
    """An order that comes later and is shorter ends first."""
    ended = []

    def ask(name, tokens, begun):
        begun.set()
        engine.answer(images(1)[0], Task.REPORT, decoding=Decoding(max_new_tokens=tokens))
        ended.append(name)

    begun = threading.Event()
    long = threading.Thread(target=ask, args=("long", 40, begun))
    long.start()
    begun.wait(10)
    ask("short", 1, threading.Event())
    long.join()
    assert ended == ["short", "long"]


def test_a_withdrawn_order_leaves_and_the_others_go_on(tiny_folder, engine):
    """One caller withdraws after some tokens; the other's answer is as if it had been alone."""
    counted, shots = [], images(2)

    def canceled():
        counted.append(None)
        return len(counted) > 6

    with ThreadPoolExecutor(2) as callers:
        gone = callers.submit(engine.answer, shots[0], Task.REPORT, canceled=canceled)
        stays = callers.submit(engine.answer, shots[1], Task.REPORT)
        with pytest.raises(Canceled):
            gone.result(60)
        plain = registry.load("tiny", tiny_folder).answer(shots[1], Task.REPORT)
        assert stays.result(60).token_ids == plain.token_ids
    assert len(counted) == 7


def test_a_wrong_question_affects_no_other(engine):
    """An order with a question that cannot be asked fails by itself."""
    with ThreadPoolExecutor(2) as callers:
        wrong = callers.submit(engine.answer, images(1)[0], Task.REPORT, questions=("<image>",))
        right = callers.submit(engine.answer, images(1)[0], Task.REPORT)
        with pytest.raises(GenerationError):
            wrong.result(60)
        assert right.result(60).token_ids


def test_little_memory_makes_smaller_batches(tiny_folder, model, monkeypatch):
    """A device that holds two images and three rows still answers eight orders, each as if alone."""
    plain = registry.load("tiny", tiny_folder)
    shots, largest = images(8), []
    read_images, decoder = model.network.read_images, model.network.llama.forward

    def few_images(pixels):
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("images")
        return read_images(pixels)

    def few_rows(embeds, *rest, **how):
        largest.append(len(embeds))
        if len(embeds) > 3:
            raise torch.OutOfMemoryError("rows")
        return decoder(embeds, *rest, **how)

    monkeypatch.setattr(model.network, "read_images", few_images)
    monkeypatch.setattr(model.network.llama, "forward", few_rows)
    running = Engine(model, rows=8)
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda image: running.answer(image, Task.REPORT), shots))
    running.close()
    assert max(largest) > 3
    expected = [plain.answer(image, Task.REPORT).token_ids for image in shots]
    assert [answer.token_ids for answer in answers] == expected


def test_memory_that_is_too_small_for_one_is_reported(model, monkeypatch):
    """When not even one order fits, its caller gets the error, and the engine continues."""
    read_images = model.network.read_images
    faults = [torch.OutOfMemoryError("full")]
    monkeypatch.setattr(
        model.network, "read_images",
        lambda pixels: read_images(pixels) if not faults else (_ for _ in ()).throw(faults.pop()),
    )  # fmt: skip
    running = Engine(model, rows=2)
    with pytest.raises(torch.OutOfMemoryError):
        running.answer(images(1)[0], Task.REPORT)
    assert running.answer(images(1)[0], Task.REPORT).token_ids
    running.close()


def test_images_are_read_in_pieces_between_the_others_steps(tiny_folder, model, monkeypatch):
    """Four images come while one is written about: it gets a token after each piece; all as if alone."""
    monkeypatch.setattr(prefill, "PIECE", 64)
    monkeypatch.setattr(multimodal, "BRANCHES", 1)  # and their questions one by one
    plain, shots = registry.load("tiny", tiny_folder), images(5)
    widths, decoder, begun = [], model.network.llama.forward, threading.Event()

    def noted(embeds, *rest, **how):
        widths.append(embeds.shape[1])
        if len(widths) > 12:
            begun.set()
        return decoder(embeds, *rest, **how)

    monkeypatch.setattr(model.network.llama, "forward", noted)
    running = Engine(model, rows=5)
    with ThreadPoolExecutor(5) as callers:
        first = callers.submit(running.answer, shots[0], Task.REPORT)
        begun.wait(60)
        later = [
            callers.submit(running.answer, shot, Task.REPORT, questions=QUESTIONS[:2])
            for shot in shots[1:]
        ]
        answers = [one.result(60) for one in (first, *later)]
    running.close()
    between = widths[12:]
    assert not any(
        one > 1 < other for one, other in itertools.pairwise(between[: between.index(1)])
    )
    for shot, answer in zip(shots, answers, strict=True):
        expected = plain.answer(shot, Task.REPORT, questions=QUESTIONS[:2])
        assert answer.token_ids == expected.token_ids
    assert answers[1].chances == pytest.approx(plain.chances(shots[1], QUESTIONS[:2]), abs=1e-4)


def test_what_is_withdrawn_while_it_is_read_ends_at_once(model, monkeypatch):
    """An image whose reading takes many pieces is canceled between them."""
    monkeypatch.setattr(prefill, "PIECE", 16)
    begun, counted = threading.Event(), []
    running = Engine(model, rows=2)

    def first():
        begun.set()
        return False

    def canceled():
        counted.append(None)
        return len(counted) > 2

    with ThreadPoolExecutor(2) as callers:
        stays = callers.submit(running.answer, images(1)[0], Task.REPORT, canceled=first)
        begun.wait(60)
        with pytest.raises(Canceled):
            running.answer(images(1)[0], Task.REPORT, canceled=canceled)
        assert len(counted) == 3
        assert stays.result(60).token_ids
    running.close()


def test_an_overflow_stays_in_its_row(tiny_folder, model, monkeypatch):
    """One image gives values that are no numbers: its caller gets an error, its row serves others."""
    shots = images(3)
    plain = registry.load("tiny", tiny_folder)
    expected = [plain.answer(image, Task.REPORT).token_ids for image in shots[1:]]
    read_images = model.network.read_images

    def broken(pixels):
        features = read_images(pixels)
        bad = (pixels - torch.from_numpy(wrong)).abs().amax(dim=(1, 2, 3)) == 0
        features.tokens[bad] = torch.nan
        return features

    wrong = model.pixel_values(engine_module.preprocess.gray_image(shots[0]))
    monkeypatch.setattr(model.network, "read_images", broken)
    running = Engine(model, rows=1)
    with pytest.raises(GenerationError, match="finite"):
        running.answer(shots[0], Task.REPORT)
    answers = [running.answer(image, Task.REPORT).token_ids for image in shots[1:]]
    running.close()
    assert answers == expected


def test_a_device_that_hangs_is_noticed(model, monkeypatch):
    """A step that never ends is reported to waiting callers."""
    release = threading.Event()
    read_images = model.network.read_images

    def hang(pixels):
        release.wait(30)
        return read_images(pixels)

    monkeypatch.setattr(model.network, "read_images", hang)
    running = Engine(model, rows=1, step_timeout=0.2)
    with pytest.raises(EngineStopped, match="not answered"):
        running.answer(images(1)[0], Task.REPORT)
    release.set()
    running.close()


@pytest.fixture
def blocked(model, monkeypatch):
    """An engine of two rows that stops before it reads images until `blocked.go` is set."""
    read_images = model.network.read_images
    entered, go, taken = threading.Event(), threading.Event(), []

    def wait(pixels):
        taken.extend(float(one.mean()) for one in pixels)
        entered.set()
        assert go.wait(30)
        return read_images(pixels)

    monkeypatch.setattr(model.network, "read_images", wait)
    running = Engine(model, rows=2)
    running.entered, running.go, running.taken = entered, go, taken
    yield running
    go.set()
    running.close()


def gray(engine, level):
    """An even image and the mean of the model's input for it."""
    image = np.full((90, 70), level, dtype=np.float32)
    pixels = engine.model.pixel_values(engine_module.preprocess.gray_image(image))
    return image, float(torch.from_numpy(pixels).mean())


def asked_in_turn(engine, callers, level, **options):
    """Hand one order to the engine, after the last one was taken in; return its future."""
    before = len(engine._waiting)
    image, _ = gray(engine, level)
    decoding = Decoding(max_new_tokens=4)
    future = callers.submit(engine.answer, image, Task.REPORT, decoding=decoding, **options)
    deadline = time.monotonic() + 30
    while len(engine._waiting) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return future


def test_an_urgent_order_enters_next(blocked):
    """With both rows full and four routine orders waiting the urgent one gets the first free row."""
    with ThreadPoolExecutor(8) as callers:
        first = callers.submit(blocked.answer, gray(blocked, 0.1)[0], Task.REPORT)
        assert blocked.entered.wait(30)
        asked = [asked_in_turn(blocked, callers, level) for level in (0.2, 0.3, 0.4, 0.5)]
        asked.append(asked_in_turn(blocked, callers, 0.9, urgent=True))
        blocked.go.set()
        for future in (first, *asked):
            assert future.result(60).token_ids
    order = [gray(blocked, level)[1] for level in (0.1, 0.9, 0.2, 0.3, 0.4, 0.5)]
    assert blocked.taken == pytest.approx(order)


def test_a_waiting_order_that_is_withdrawn_leaves(blocked):
    """It need not wait for a row to be let go, and the image is never read."""
    withdrawn = threading.Event()
    with ThreadPoolExecutor(8) as callers:
        stays = [callers.submit(blocked.answer, gray(blocked, 0.1)[0], Task.REPORT)]
        assert blocked.entered.wait(30)
        stays += [asked_in_turn(blocked, callers, level) for level in (0.2, 0.3)]
        gone = asked_in_turn(blocked, callers, 0.9, canceled=withdrawn.is_set)
        withdrawn.set()
        blocked.go.set()
        with pytest.raises(Canceled):
            gone.result(60)
        for future in stays:
            assert future.result(60).token_ids
    assert not any(mean == pytest.approx(gray(blocked, 0.9)[1]) for mean in blocked.taken)


def test_closing_gives_up_what_is_left(model):
    """Waiting callers get an error, later ones are refused."""
    running = Engine(model, rows=1)
    with ThreadPoolExecutor(3) as callers:
        waiting = [callers.submit(running.answer, image, Task.REPORT) for image in images(3)]
        time.sleep(0.05)
        running.close()
        ended = [future.exception(60) for future in waiting]
    assert any(isinstance(error, EngineStopped) for error in ended)
    with pytest.raises(EngineStopped):
        running.answer(images(1)[0], Task.REPORT)


def test_a_further_question_is_asked_in_the_same_chat(engine):
    """The prompt is the chat so far: the report's prompt, the report, the question."""
    (image,) = images(1)
    short = Decoding(max_new_tokens=4)
    first = engine.answer(image, Task.REPORT, decoding=short)
    earlier = (EarlierAnswer(Task.REPORT, "", "No edema."),)
    asked = "Is there an effusion?"
    second = engine.answer(image, Task.QUESTION, question=asked, decoding=short, earlier=earlier)
    assert second.prompt == f"{first.prompt} No edema. </s><s>[INST] Is there an effusion? [/INST]"
