"""Reads each study in each cell of an experiment, by the site's selection and the model's samples."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from dicom.study import Study
from service.assessment.experiment import Cell, CellReading
from service.evaluation.labels import Label
from workers.evaluation.cases import Case
from workers.evaluation.draft_rows import CAUTION, DraftState, refused_row
from workers.evaluation.experiments.experiment_prompts import QUESTIONS, Prompt
from workers.evaluation.faults import InputFaults
from workers.evaluation.labeled import label_of_word, labels_of
from workers.evaluation.reading import Stop
from workers.evaluation.studies import header_attributes
from workers.labeller.findings import label
from workers.labeller.report_language import fault_of
from workers.model.engine.engine import Engine
from workers.model.prompts import EarlierAnswer, Task
from workers.model.vlm import Answer, Decoding
from workers.reading.error_mapping import reading_errors
from workers.reading.image_selection import SelectedImage
from workers.reading.outcomes import NotAnalysed
from workers.reading.reader import Reader

_YES: Final = "yes"
_ANSWER_TOKENS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is read: the cells in order, and how often each.

    Attributes:
        prompts: By name.
        repeats: Readings of each study in each cell, with seeds one after the other.
    """

    prompts: Mapping[str, Prompt]
    cells: tuple[Cell, ...]
    repeats: int


def cells_of(
    prompts: Sequence[Prompt], temperatures: Sequence[float], top_ps: Sequence[float]
) -> tuple[Cell, ...]:
    """Return the cells; at temperature 0 top_p has no effect, and the first one stands for all."""
    return tuple(
        Cell(prompt.name, temperature, top_p)
        for prompt in prompts
        for temperature in temperatures
        for place, top_p in enumerate(top_ps)
        if temperature > 0 or place == 0
    )


class CellRows:
    """Makes the row of a case by reading its image in every cell."""

    def __init__(self, reader: Reader, plan: Plan, stop: Stop) -> None:
        """Set up the reading.

        Raises:
            InputFaults: A prompt asks again in the same chat, which only a built-in model can.
        """
        asks = [prompt.name for prompt in plan.prompts.values() if prompt.confirm]
        if asks and not isinstance(reader.model, Engine):
            raise InputFaults([f"the prompt {asks[0]} needs a built-in model (reading.kind)"])
        self._reader = reader
        self._plan = plan
        self._stop = stop

    def __call__(self, case: Case, study: Study) -> dict[str, Any]:
        """Return the row of a case: by the name of each cell the labels of each repeat.

        Raises:
            ReadingError: The study cannot be read.
        """
        image = self._reader.selected(study, canceled=self._stop)
        if isinstance(image, NotAnalysed):
            return refused_row(case, image)
        with reading_errors():
            cells = {
                cell.name: self._cell(image, cell, self._plan.prompts[cell.prompt])
                for cell in self._plan.cells
            }
        tokens = sum(each.pop("tokens") for each in cells.values())
        return {
            "id": case.id,
            "state": DraftState.DRAFTED.value,
            "caution": CAUTION,
            "cells": cells,
            "tokens": tokens,
            "attributes": {
                str(key): value for key, value in header_attributes(image.header).items()
            },
        }

    def _cell(self, image: SelectedImage, cell: Cell, prompt: Prompt) -> dict[str, Any]:
        base = dataclasses.replace(
            self._reader.decoding, temperature=cell.temperature, top_p=cell.top_p
        )
        seeds = [
            dataclasses.replace(base, seed=base.seed + place) for place in range(self._plan.repeats)
        ]
        answer = self._reader.model.answer(
            image.pixels,
            prompt.task,
            question=prompt.text,
            decoding=seeds[0],
            samples=seeds[1:],
            canceled=self._stop,
        )
        texts = [answer.text, *answer.samples]
        confirmed = [
            self._confirmed(image, prompt, text, decoding)
            for text, decoding in zip(texts, seeds, strict=False)
        ]
        return {
            "labels": [{name: int(value) for name, value in each.items()} for each in confirmed],
            "empty": sum(not text.strip() for text in texts),
            "not_language": sum(bool(fault_of(text)) for text in texts),
            "cut": not answer.ended,
            "missing": self._plan.repeats - len(texts),
            "tokens": len(answer.token_ids),
        }

    def _confirmed(
        self, image: SelectedImage, prompt: Prompt, text: str, decoding: Decoding
    ) -> dict[str, Any]:
        if fault_of(text):
            return {}
        labels = labels_of(label(text))
        if not prompt.confirm or not text.strip():
            return labels
        for finding, question in QUESTIONS.items():
            answer = self._asked(image, prompt, text, question, decoding).text.strip().lower()
            labels[finding] = label_of_word(yes=answer.startswith(_YES))
        return labels

    def _asked(
        self, image: SelectedImage, prompt: Prompt, text: str, question: str, decoding: Decoding
    ) -> Answer:
        engine = cast("Engine", self._reader.model)  # checked at the start
        return engine.answer(
            image.pixels,
            Task.QUESTION,
            question=question,
            decoding=dataclasses.replace(decoding, max_new_tokens=_ANSWER_TOKENS),
            canceled=self._stop,
            earlier=(EarlierAnswer(prompt.task, prompt.text, text),),
        )


def readings_of(
    plan: Plan, rows: Iterable[Mapping[str, Any]]
) -> dict[Cell, dict[str, CellReading]]:
    """Return what was read, by cell and study id."""
    read = [row for row in rows if row["state"] == DraftState.DRAFTED]
    return {
        cell: {row["id"]: _reading(row["cells"][cell.name]) for row in read if "cells" in row}
        for cell in plan.cells
    }


def _reading(cell: Mapping[str, Any]) -> CellReading:
    return CellReading(
        labels=tuple(
            {name: Label(value) for name, value in labels.items()} for labels in cell["labels"]
        ),
        empty=cell["empty"],
        not_language=cell["not_language"],
    )
