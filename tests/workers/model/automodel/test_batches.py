"""Checkpoints of four architectures in batches: as `generate` alone, cancel, memory, urgency."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from workers.model.automodel import batches
from workers.model.automodel.batches import BatchEngine
from workers.model.automodel.loading import load
from workers.model.errors import Canceled, EngineStopped, GenerationError
from workers.model.profiles import chat
from workers.model.profiles.picture import image_sent
from workers.model.prompts import IS_NORMAL, IS_THERE, EarlierAnswer, Task
from workers.model.vlm import Decoding

QUESTIONS = (*IS_THERE.values(), IS_NORMAL)
SHORT = Decoding(max_new_tokens=12)


@pytest.fixture(scope="module")
def loaded(checkpoint, profile):
    """A function that returns a loaded architecture, loaded once."""
    made = {}

    def of(name):
        if name not in made:
            made[name] = load(checkpoint(name), profile)
        return made[name]

    return of


@pytest.fixture
def engine(loaded):
    """A function that returns an engine of an architecture with rows; closed at the end."""
    opened = []

    def of(name, rows):
        opened.append(BatchEngine(loaded(name), rows=rows))
        return opened[-1]

    yield of
    for each in opened:
        each.close()


def asked(number):
    """Return the request of caller `number`: tasks, prompts, lengths and samplings differ."""
    return {
        "task": Task.DIFFERENTIAL if number % 3 == 0 else Task.REPORT,
        "indication": "cough " * (number % 4),
        "questions": QUESTIONS[: number % 3],
        "decoding": Decoding(
            max_new_tokens=4 + 3 * (number % 6), temperature=0.9 * (number % 5 == 4), seed=number
        ),
    }


def test_the_first_answer_is_that_of_generate(architecture, loaded, engine, profile, frames):
    """In float32 the ids are those of the library's `generate` with the library's own processor call."""
    one = loaded(architecture)
    turns = chat.turns(profile, Task.REPORT)
    inputs = one.maker.prompt(image_sent(frames[0], profile.image), turns).tensors
    fresh = one.network.generate(
        **inputs, max_new_tokens=24, do_sample=False, eos_token_id=2, pad_token_id=0,
        suppress_tokens=list(one.special.placeholders),
    )  # fmt: skip
    expected = fresh[0, inputs["input_ids"].shape[1] :].tolist()
    answer = engine(architecture, 1).answer(
        frames[0], Task.REPORT, decoding=Decoding(max_new_tokens=24)
    )
    assert list(answer.token_ids) == expected
    assert answer.ended == (expected[-1] == 2)


def test_a_batch_of_sixteen_equals_singles(architecture, engine, frames):
    """Unequal images, prompts, lengths and samplings: the same ids and scores together as alone."""
    alone = engine(architecture, 1)
    singles = [alone.answer(frame, **asked(n)) for n, frame in enumerate(frames)]
    together = engine(architecture, 16)
    assert together.rows == 16
    with ThreadPoolExecutor(16) as callers:
        both = list(callers.map(lambda n: together.answer(frames[n], **asked(n)), range(16)))
    assert [one.token_ids for one in both] == [one.token_ids for one in singles]
    assert len({one.token_ids for one in singles}) > 8
    for one, other in zip(both, singles, strict=True):
        assert one.chances == pytest.approx(other.chances, abs=1e-5)
        assert one.token_scores == pytest.approx(other.token_scores, abs=1e-3)


def test_an_urgent_request_interrupts_a_batch_whose_rows_go_on_unchanged(engine, frames):
    """Urgent is answered first, and the interrupted answer has the ids that it has alone."""
    one = engine("qwen2_vl", 1)
    long = Decoding(max_new_tokens=60, temperature=1.0, seed=3)
    expected = one.answer(frames[0], Task.REPORT, decoding=long).token_ids
    order, held = [], []
    begun = threading.Event()

    def ask(name, number, **more):
        answer = one.answer(frames[number], Task.REPORT, **more)
        order.append(name)
        return answer

    def holding():
        """Hold the first token until both others wait."""
        begun.set()
        end = time.monotonic() + 60
        while one._batch and not held and len(one._waiting) < 2 and time.monotonic() < end:
            time.sleep(0.005)
        held.extend(one._batch)
        return False

    with ThreadPoolExecutor(3) as callers:
        first = callers.submit(ask, "routine", 0, decoding=long, canceled=holding)
        begun.wait(60)
        second = callers.submit(ask, "later", 1, decoding=SHORT)
        urgent = callers.submit(ask, "urgent", 2, decoding=SHORT, urgent=True)
        interrupted = first.result().token_ids
        second.result(), urgent.result()
    assert order[0] == "urgent"
    assert interrupted == expected


def test_a_withdrawn_request_ends_and_the_others_do_not_notice(engine, frames):
    """Canceled at its third token; the row beside it has the ids that it has alone."""
    alone = engine("llava_next", 1).answer(frames[1], Task.REPORT, decoding=SHORT).token_ids
    both = engine("llava_next", 2)
    calls = []

    def third():
        calls.append(1)
        return len(calls) > 3

    with ThreadPoolExecutor(2) as callers:
        gone = callers.submit(both.answer, frames[0], Task.REPORT, canceled=third)
        stays = callers.submit(both.answer, frames[1], Task.REPORT, decoding=SHORT)
        with pytest.raises(Canceled):
            gone.result()
        assert stays.result().token_ids == alone


def test_a_withdrawn_request_that_waits_ends_too(engine, frames):
    """A request behind a long one is withdrawn while it waits."""
    one = engine("gemma3", 1)
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(
            one.answer, frames[0], Task.REPORT, decoding=Decoding(max_new_tokens=80)
        )
        time.sleep(0.05)
        with pytest.raises(Canceled):
            callers.submit(one.answer, frames[1], Task.REPORT, canceled=lambda: True).result()
        first.result()


def test_what_does_not_fit_into_memory_is_halved(engine, frames, monkeypatch):
    """With memory for two rows at a time, six callers get the answers that they get alone."""
    alone = engine("idefics3", 1)
    expected = [alone.answer(f, Task.REPORT, decoding=SHORT).token_ids for f in frames[:6]]
    real, sizes = batches.extend_batch, []

    def small(network, rows, *more):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("out of memory")
        real(network, rows, *more)

    monkeypatch.setattr(batches, "extend_batch", small)
    six = engine("idefics3", 6)
    with ThreadPoolExecutor(6) as callers:
        answers = list(
            callers.map(lambda f: six.answer(f, Task.REPORT, decoding=SHORT), frames[:6])
        )
    assert [one.token_ids for one in answers] == expected
    assert max(sizes) > 2


def test_a_row_that_does_not_fit_alone_fails_alone(engine, frames, monkeypatch):
    """Its caller gets the error, and the engine answers the next."""
    real = batches.extend_batch

    def refuse(network, rows, *more):
        if any(row.prompt.length > 160 for row in rows):
            raise torch.OutOfMemoryError("out of memory")
        real(network, rows, *more)

    one = engine("gemma3", 2)
    monkeypatch.setattr(batches, "extend_batch", refuse)
    with pytest.raises(torch.OutOfMemoryError):
        one.answer(frames[0], Task.REPORT, indication="cough " * 200, decoding=SHORT)
    assert one.answer(frames[0], Task.REPORT, decoding=SHORT).token_ids


@pytest.mark.parametrize("error", [TypeError, KeyError, AssertionError, ZeroDivisionError])
def test_what_the_library_cannot_use_fails_its_row_only(engine, frames, monkeypatch, error):
    """An error of the library's code for one image: its row fails, the others and the engine go on."""
    alone = engine("llava_next", 1)
    expected = [alone.answer(f, Task.REPORT, decoding=SHORT).token_ids for f in frames[:3]]
    real = batches.extend_batch

    def refuse(network, rows, *more):
        if any("odd" in row.prompt.text for row in rows):
            raise error("unexpected")
        real(network, rows, *more)

    monkeypatch.setattr(batches, "extend_batch", refuse)
    four = engine("llava_next", 4)
    with ThreadPoolExecutor(4) as callers:
        bad = callers.submit(four.answer, frames[3], Task.REPORT, indication="odd", decoding=SHORT)
        answers = list(
            callers.map(lambda f: four.answer(f, Task.REPORT, decoding=SHORT), frames[:3])
        )
        with pytest.raises(GenerationError, match="refuses image or prompt"):
            bad.result()
    assert [one.token_ids for one in answers] == expected


def test_logits_that_are_not_finite_fail_their_row(checkpoint, profile, frames):
    """Damaged weights end in an error, not in text."""
    damaged = load(checkpoint("llava_next"), profile)
    damaged.network.get_output_embeddings().weight.data[5] = torch.nan
    one = BatchEngine(damaged, rows=1)
    with pytest.raises(GenerationError, match="not finite"):
        one.answer(frames[0], Task.REPORT, decoding=SHORT)
    one.close()


def test_a_prompt_without_room_is_refused(engine, frames):
    """More tokens than the model has positions: a message with the number, before any computing."""
    with pytest.raises(GenerationError, match="leaves no room"):
        engine("gemma3", 1).answer(frames[0], Task.REPORT, indication="cough " * 1100)


def test_earlier_turns_are_laid_out_by_the_template_of_the_checkpoint(engine, frames):
    """The image occurs once, in the first turn; the prompt continues that of the first question."""
    one = engine("gemma3", 1)
    first = one.answer(frames[0], Task.QUESTION, question="Is there edema?", decoding=SHORT)
    earlier = (EarlierAnswer(Task.QUESTION, "Is there edema?", "No edema."),)
    second = one.answer(
        frames[0], Task.QUESTION, question="And an effusion?", decoding=SHORT, earlier=earlier
    )
    assert second.prompt.startswith(first.prompt)
    later = second.prompt.removeprefix(first.prompt)
    assert later.index("No edema.") < later.index("And an effusion?")
    assert second.prompt.count("<boi>") == 1


@pytest.mark.parametrize("bad", [np.zeros((0, 4), np.float32), np.full((8, 8), np.nan, np.float32)])
def test_an_image_that_is_none_is_refused(engine, bad):
    """Empty and not finite frames end in a message."""
    with pytest.raises(GenerationError, match="two-dimensional"):
        engine("gemma3", 1).answer(bad, Task.REPORT)


def test_samples_are_further_answers(engine, frames):
    """Each sample has its own seed; the draft is the same as without."""
    one = engine("idefics3", 4)
    samples = [Decoding(max_new_tokens=12, temperature=1.5, seed=seed) for seed in (1, 2)]
    plain = one.answer(frames[0], Task.REPORT, decoding=SHORT)
    answer = one.answer(frames[0], Task.REPORT, decoding=SHORT, samples=samples)
    assert answer.token_ids == plain.token_ids
    assert len(set(answer.samples)) == 2


def test_the_scores_are_probabilities_of_the_first_token(engine, loaded, frames, profile):
    """The chance of yes is that of its first token against no's, from the logits of one forward pass."""
    one = loaded("llava_next")
    prompt = one.asked(image_sent(frames[0], profile.image), QUESTIONS[1])
    with torch.inference_mode():
        logits = one.network(**prompt.tensors).logits[0, -1]
    # The profile's words for no are "No" and "no"; for yes the tokenizer has "Yes" only.
    ids = one.maker.tokenizer.convert_tokens_to_ids(["Yes", "No", "no"])
    expected = float(logits[ids].softmax(0)[0])
    assert engine("llava_next", 1).chances(frames[0], QUESTIONS[1:2]) == pytest.approx((expected,))


def test_a_closed_engine_refuses(loaded, frames):
    """After `close` every request ends with EngineStopped."""
    one = BatchEngine(loaded("gemma3"), rows=1)
    one.close()
    with pytest.raises(EngineStopped):
        one.answer(frames[0], Task.REPORT)


def test_a_device_that_does_not_answer_is_noticed(loaded, frames, monkeypatch):
    """No step for longer than `step_timeout`: the caller stops waiting."""
    released = threading.Event()
    monkeypatch.setattr(batches, "extend_batch", lambda *_: released.wait(20))
    one = BatchEngine(loaded("gemma3"), rows=1, step_timeout=0.2)
    with pytest.raises(EngineStopped, match="not answered"):
        one.answer(frames[0], Task.REPORT)
    released.set()
