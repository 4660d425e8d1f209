"""Questions about phantoms and their answers; the first word of a yes-or-no answer is Yes or No."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom import PhantomFinding
from workers.model.prompts import IS_NORMAL, IS_THERE
from workers.training import grammar

YES: Final = "Yes"
NO: Final = "No"
_ARTICLE: Final = {Observation.PLEURAL_EFFUSION: "a ", Observation.PNEUMOTHORAX: "a "}
_OTHER_WORDS: Final = (
    "Do you see {}?",
    "Is there evidence of {}?",
    "Does this radiograph show {}?",
    "Does the patient have {}?",
)
_NORMAL_OTHERWISE: Final = ("Is this a normal film?", "Is the chest radiograph normal?")
_SIDED: Final = tuple(
    name for name in CODED_OBSERVATIONS if name not in {Observation.CARDIOMEGALY, Observation.EDEMA}
)
_WHERE: Final = {
    Side.RIGHT: "It is on the right.",
    Side.LEFT: "It is on the left.",
    Side.BILATERAL: "It is on both sides.",
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer."""

    question: str
    answer: str


def is_there(
    findings: Sequence[PhantomFinding], name: Observation, rng: np.random.Generator
) -> Exchange:
    """Return the question whether `name` is in the image, mostly in the words that the service uses."""
    thing = _ARTICLE.get(name, "") + grammar.NAMES[name]
    question = IS_THERE[name.value]
    if rng.random() < 0.25:
        question = _OTHER_WORDS[int(rng.integers(len(_OTHER_WORDS)))].format(thing)
    shown = _shown(findings, name)
    if shown is None:
        return Exchange(question, f"{NO}, there is no {grammar.NAMES[name]}.")
    several = shown.side is Side.BILATERAL and name in _ARTICLE
    article = "are " if several else "is " + _ARTICLE.get(name, "")
    return Exchange(question, f"{YES}, there {article}{grammar.phrase(shown)}.")


def is_normal(findings: Sequence[PhantomFinding], rng: np.random.Generator) -> Exchange:
    """Return the question whether the image is normal."""
    question = IS_NORMAL
    if rng.random() < 0.25:
        question = _NORMAL_OTHERWISE[int(rng.integers(len(_NORMAL_OTHERWISE)))]
    if not findings:
        return Exchange(question, f"{YES}, the radiograph is normal.")
    return Exchange(question, f"{NO}, the radiograph is not normal.")


def which_side(findings: Sequence[PhantomFinding], rng: np.random.Generator) -> Exchange:
    """Return a question about the side of a finding; of a present one, if there is any."""
    there = [one for one in findings if one.observation in _SIDED]
    if there:
        chosen = there[int(rng.integers(len(there)))]
        name = chosen.observation
    else:
        name = _SIDED[int(rng.integers(len(_SIDED)))]
    shown = _shown(findings, name)
    term = grammar.NAMES[name]
    if rng.random() < 0.5:
        side = Side.LEFT if rng.random() < 0.5 else Side.RIGHT
        return _on_this_side(shown, term, side)
    question = f"On which side is the {term}?"
    if shown is None or shown.side is None:
        return Exchange(question, f"There is no {term}.")
    return Exchange(question, _WHERE[shown.side])


def _on_this_side(shown: PhantomFinding | None, term: str, side: Side) -> Exchange:
    question = f"Is there {term} on the {side}?"
    if shown is None or shown.side is None:
        return Exchange(question, f"{NO}, there is no {term}.")
    right = shown.side in {side, Side.BILATERAL}
    return Exchange(question, f"{YES if right else NO}. {_WHERE[shown.side]}")


def _shown(findings: Sequence[PhantomFinding], name: Observation) -> PhantomFinding | None:
    return next((one for one in findings if one.observation is name), None)
