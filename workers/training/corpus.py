"""Texts about images as ids: the tokenizer of the grammar's language, prompts and answers."""

import functools
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import sentencepiece
import torch

from dicom.content.report import CODED_OBSERVATIONS
from dicom.phantom import PhantomFinding
from workers.model import prompts
from workers.model.prompts import IMAGE_SENTINEL, Task
from workers.model.tokenizer import EOS, Tokenizer
from workers.training import grammar, questions
from workers.training.images import plan
from workers.training.packed import Packed

VOCABULARY: Final = 800
_SAMPLES: Final = 1500  # images whose texts train the tokenizer
_FIRST_SAMPLE: Final = 40_000_000
_CHILD: Final = 0.1  # of the reports use the pediatric prompt
_DIFFERENTIAL: Final = 0.3  # of the images have a differential diagnosis
_ASKED: Final = 3  # of the six findings, for each image
DECISION: Final = 3.0  # weight of the first id of a yes-or-no answer; other ids weigh 1


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt about an image, and its answer.

    Attributes:
        weight: Weight of the answer's first id; the others weigh 1.
    """

    task: Task
    question: str
    answer: str
    weight: float = 1.0


def train_tokenizer() -> bytes:
    """Return the SentencePiece model of prompts and answers, the same each time."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_language(),
        model_writer=written,
        model_type="bpe",
        vocab_size=VOCABULARY,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,  # the merges must not depend on the timing of threads
        minloglevel=2,
    )
    return written.getvalue()


def _language() -> Iterator[str]:
    for number in range(_SAMPLES):
        findings = plan(_FIRST_SAMPLE + number).findings
        rng = np.random.default_rng(number)
        for text in (*texts(findings, rng), *texts(findings, rng)):
            turns = prompts.chat(text.task, text.question)
            yield from prompts.render(turns).replace("<s>", "").splitlines()
            yield from text.answer.splitlines()


def texts(findings: Sequence[PhantomFinding], rng: np.random.Generator) -> Iterator[Text]:
    """Yield the texts about one image: a report, some questions, sometimes a differential diagnosis."""
    yield report_text(findings, rng)
    asked = rng.permutation(len(CODED_OBSERVATIONS))[:_ASKED]
    exchanges = [questions.is_there(findings, CODED_OBSERVATIONS[int(i)], rng) for i in asked]
    other = questions.which_side if rng.random() < 0.5 else questions.is_normal
    for one in (*exchanges, other(findings, rng)):
        decides = one.answer.startswith((questions.YES, questions.NO))
        yield Text(Task.QUESTION, one.question, one.answer, DECISION if decides else 1.0)
    if rng.random() < _DIFFERENTIAL:
        yield Text(Task.DIFFERENTIAL, "", grammar.differential(findings, rng))


def report_text(findings: Sequence[PhantomFinding], rng: np.random.Generator) -> Text:
    """Return a report, with a prompt as the service uses it."""
    task = Task.PAEDIATRIC_REPORT if rng.random() < _CHILD else Task.REPORT
    return Text(task, "", grammar.report(findings, rng))


class Corpus:
    """Converts texts to ids, each text after its prompt as the service renders it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._prompt = functools.lru_cache(maxsize=256)(self._split_prompt)
        self.lead = self._prompt(Task.REPORT, "")[0]

    def _split_prompt(
        self, task: Task, question: str
    ) -> tuple[tuple[int, ...], tuple[int, ...], str]:
        """Return the ids before and after the image, and the rendered prompt."""
        prompt = prompts.render(prompts.chat(task, question))
        ids = prompts.prompt_ids(self._tokenizer, prompt)
        image = ids.index(IMAGE_SENTINEL)
        return tuple(ids[:image]), tuple(ids[image + 1 :]), prompt

    def ids(self, text: Text) -> tuple[list[int], int]:
        """Return the ids after the image (prompt, answer, `</s>`), and how many belong to the prompt."""
        _, behind, prompt = self._prompt(text.task, text.question)
        ids = prompts.prompt_ids(self._tokenizer, f"{prompt} {text.answer}")
        answer = ids[ids.index(IMAGE_SENTINEL) + 1 :]
        return [*answer, EOS], len(behind)

    def packed(self, images: Sequence[Sequence[Text]]) -> Packed:
        """Return the texts of some images as one batch."""
        rows = [self._row(list(one)) for one in images]
        longest = max(len(row[0]) for row in rows)
        ids, segment, place, weight = (
            torch.tensor([list(row[i]) + [0] * (longest - len(row[i])) for row in rows])
            for i in range(4)
        )
        return Packed(torch.tensor(self.lead), ids, segment, place, weight.float())

    def _row(self, image: Sequence[Text]) -> tuple[list[int], list[int], list[int], list[float]]:
        ids: list[int] = []
        segment: list[int] = []
        place: list[int] = []
        weight: list[float] = []
        for number, text in enumerate(image, 1):
            answer, asked = self.ids(text)
            ids += answer
            segment += [number] * len(answer)
            place += range(len(answer))
            weight += [0.0] * asked + [text.weight] + [1.0] * (len(answer) - asked - 1)
        return ids, segment, place, weight
