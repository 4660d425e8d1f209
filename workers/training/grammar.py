"""Reports on phantoms in varied words: each sentence is true, and the labeller codes it as meant.

`workers.labeller.findings` must read the findings back from every report; a test checks that.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from dicom.content.report import CODED_OBSERVATIONS, Observation, Side
from dicom.phantom import PhantomFinding
from dicom.phantom.chest import LOBAR
from service.sentence import capitalized

Findings = Sequence[PhantomFinding]

_GROWING: Final = (0.33, 0.66)  # extents from which a finding is of the second, the third grade
_SIZES: Final = ("small", "moderate", "large")
_DEGREES: Final = ("mild", "moderate", "severe")
_ADVERBS: Final = ("mildly", "moderately", "markedly")
_ZONES: Final = {"upper": "upper", "middle": "mid", "lower": "lower", None: "lower"}
NAMES: Final = {
    Observation.ATELECTASIS: "atelectasis",
    Observation.CARDIOMEGALY: "cardiomegaly",
    Observation.CONSOLIDATION: "consolidation",
    Observation.EDEMA: "pulmonary edema",
    Observation.PLEURAL_EFFUSION: "pleural effusion",
    Observation.PNEUMOTHORAX: "pneumothorax",
}
_LUNGS: Final = (Observation.CONSOLIDATION, Observation.ATELECTASIS, Observation.EDEMA)
_PLEURA: Final = (Observation.PLEURAL_EFFUSION, Observation.PNEUMOTHORAX)
_HEART_NORMAL: Final = (
    "The heart is normal in size.",
    "The heart size is normal.",
    "The heart is not enlarged.",
    "The cardiac silhouette is normal in size.",
)
# One beginning only, as for findings that are present: a greedy report follows the likeliest first
# words, and a statement with many wordings would lose to one with few.
_CLEAR: Final = (
    "The lungs are clear without consolidation, atelectasis or edema.",
    "The lungs are clear. There is no consolidation, atelectasis or pulmonary edema.",
)
_NORMAL: Final = (
    "No acute cardiopulmonary abnormality.",
    "Normal chest radiograph.",
    "No acute disease in the chest.",
)
_FAILURE: Final = "The findings are in keeping with congestive heart failure."
_CAUSES: Final = {
    Observation.ATELECTASIS: ("mucus plugging", "hypoventilation", "a postoperative state"),
    Observation.CARDIOMEGALY: ("cardiomyopathy", "valvular heart disease", "pericardial fluid"),
    Observation.CONSOLIDATION: ("infection", "aspiration", "pulmonary hemorrhage"),
    Observation.EDEMA: ("fluid overload", "left heart failure", "acute lung injury"),
    Observation.PLEURAL_EFFUSION: ("heart failure", "infection", "malignancy"),
    Observation.PNEUMOTHORAX: ("trauma", "a ruptured bleb", "a recent procedure"),
}


def report(findings: Findings, rng: np.random.Generator) -> str:
    """Return a report on an image with exactly `findings`; it mentions all six observations."""
    blocks = [_heart(findings, rng), _lungs(findings, rng), _pleura(findings, rng)]
    order = (0, 1, 2) if rng.random() < 0.6 else tuple(int(i) for i in rng.permutation(3))
    body = " ".join(blocks[i] for i in order)
    if rng.random() < 0.25:
        return f"{body} {impression(findings, rng)}"
    return f"Findings: {body}\nImpression: {impression(findings, rng)}"


def impression(findings: Findings, rng: np.random.Generator) -> str:
    """Return the impression: a short sentence for each finding."""
    if not findings:
        return _one_of(_NORMAL, rng)
    lines = [capitalized(phrase(finding)) + "." for finding in _in_order(findings)]
    shown = {finding.observation for finding in findings}
    if {Observation.CARDIOMEGALY, Observation.EDEMA} <= shown:
        lines.append(_FAILURE)
    elif Observation.CONSOLIDATION in shown:
        lines.append("Consider infection." if rng.random() < 0.5 else "Infection is likely.")
    return " ".join(lines)


def differential(findings: Findings, rng: np.random.Generator) -> str:
    """Return the possible causes of `findings`, the likeliest first."""
    if not findings:
        return "The radiograph is normal. No differential diagnosis is suggested."
    shown = {finding.observation for finding in findings}
    lines = []
    if {Observation.CARDIOMEGALY, Observation.EDEMA} <= shown:
        lines.append("Congestive heart failure explains the large heart and the pulmonary edema.")
    for finding in _in_order(findings):
        causes = _CAUSES[finding.observation]
        start = "The" if rng.random() < 0.5 else "This"
        name = NAMES[finding.observation]
        lines.append(f"{start} {name} may be due to {causes[0]}, {causes[1]} or {causes[2]}.")
    return " ".join(lines)


def phrase(finding: PhantomFinding) -> str:
    """Return a finding as a noun phrase without an article, such as "small left pleural effusion"."""
    side, grade = side_word(finding), _grade(finding)
    match finding.observation:
        case Observation.CARDIOMEGALY:
            return f"{_DEGREES[grade]} cardiomegaly"
        case Observation.EDEMA:
            return f"{_DEGREES[grade]} pulmonary edema"
        case Observation.CONSOLIDATION:
            return f"{side} {_ZONES[finding.zone]} zone consolidation"
        case Observation.ATELECTASIS:
            return f"{side} {_collapse(finding)} atelectasis"
        case Observation.PLEURAL_EFFUSION:
            return f"{_SIZES[grade]} {side} pleural effusion{_many(finding)}"
        case _:
            many = "pneumothoraces" if finding.side is Side.BILATERAL else "pneumothorax"
            return f"{_SIZES[grade]} {side} {many}"


def sentence(finding: PhantomFinding, rng: np.random.Generator) -> str:
    """Return one sentence that states that `finding` is present."""
    term, several = phrase(finding), finding.side is Side.BILATERAL
    match finding.observation:
        case Observation.CARDIOMEGALY:
            adverb = _ADVERBS[_grade(finding)]
            heart = ("The heart is", "The cardiac silhouette is")
            return _one_of(
                (*(f"{one} {adverb} enlarged." for one in heart), f"There is {term}."), rng
            )
        case Observation.EDEMA:
            signs = "Perihilar haze and septal lines indicate"
            return _one_of((f"There is {term}.", f"{signs} {term}.", f"There is {term}."), rng)
        case Observation.CONSOLIDATION:
            return _consolidation(finding, rng)
        case Observation.ATELECTASIS:
            return _one_of((f"There is {term}.", f"There is {term} with volume loss."), rng)
        case _:
            verb = "There are" if several else "There is a"
            seen = "are" if several else "is"
            article = "" if several else "a "
            return _one_of(
                (
                    f"{verb} {term}.",
                    f"{verb} {term}.",
                    f"{capitalized(article + term)} {seen} present.",
                ),
                rng,
            )


def side_word(finding: PhantomFinding) -> str:
    """Return "right", "left" or "bilateral", or "" if there is no side."""
    return str(finding.side or "")


def _consolidation(finding: PhantomFinding, rng: np.random.Generator) -> str:
    zone = _ZONES[finding.zone]
    dense = ("patchy", "focal", "dense")[_grade(finding)]
    if finding.side is Side.BILATERAL:
        place = f"both {zone} zones"
    else:
        place = f"the {side_word(finding)} {zone} zone"
    return _one_of(
        (
            f"There is {dense} consolidation in {place}.",
            f"There is consolidation in {place}.",
            f"There is {dense} consolidation in {place}, with air bronchograms.",
        ),
        rng,
    )


def _collapse(finding: PhantomFinding) -> str:
    if finding.extent >= LOBAR:
        return "lower lobe"
    return "basal linear"


def _heart(findings: Findings, rng: np.random.Generator) -> str:
    big = [one for one in findings if one.observation is Observation.CARDIOMEGALY]
    return sentence(big[0], rng) if big else _one_of(_HEART_NORMAL, rng)


def _lungs(findings: Findings, rng: np.random.Generator) -> str:
    shown = {one.observation: one for one in findings if one.observation in _LUNGS}
    if not shown:
        return _one_of(_CLEAR, rng)
    lines = [sentence(shown[name], rng) for name in _LUNGS if name in shown]
    absent = _one_breath([name for name in _LUNGS if name not in shown])
    return " ".join([*lines, *([f"There is no {absent}."] if absent else [])])


def _pleura(findings: Findings, rng: np.random.Generator) -> str:
    shown = {one.observation: one for one in findings if one.observation in _PLEURA}
    lines = [sentence(shown[name], rng) for name in _PLEURA if name in shown]
    return " ".join([*lines, *_absent([name for name in _PLEURA if name not in shown], rng)])


def _absent(names: Sequence[Observation], rng: np.random.Generator) -> list[str]:
    if not names:
        return []
    listed = _one_breath(names)
    return [
        _one_of((f"There is no {listed}.", f"No {listed} is seen.", f"There is no {listed}."), rng)
    ]


def _one_breath(names: Sequence[Observation]) -> str:
    return " or ".join(NAMES[name] for name in names)


def _in_order(findings: Findings) -> list[PhantomFinding]:
    return sorted(findings, key=lambda finding: CODED_OBSERVATIONS.index(finding.observation))


def _many(finding: PhantomFinding) -> str:
    return "s" if finding.side is Side.BILATERAL else ""


def _grade(finding: PhantomFinding) -> int:
    return sum(finding.extent >= limit for limit in _GROWING)


def _one_of(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
