"""`checklist.json`: what reporting guidelines ask for and this software knows; all else stays empty.

CLAIM 2024, STARD-AI 2025, TRIPOD-LLM 2025 and DECIDE-AI 2022. The items are named by their subject, not
quoted. Ethics, intended use and conclusions are never filled in: they belong to people.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from service.assessment.comparison import PairedComparison
from service.assessment.metrics import Metrics
from service.evaluation.report import shown_with_interval
from service.evaluation.text import collapse

CAUTION: Final = (
    "Draft for a person to check and complete. null: this software does not know it. The model's drafts "
    "are unverified."
)


class Guideline(StrEnum):
    """The guidelines."""

    CLAIM = "CLAIM 2024"
    STARD_AI = "STARD-AI 2025"
    TRIPOD_LLM = "TRIPOD-LLM 2025"
    DECIDE_AI = "DECIDE-AI 2022"


class Source(StrEnum):
    """Where an answer stands."""

    MANIFEST = "manifest.json"
    METRICS = "metrics.json"
    SUBGROUPS = "subgroups.csv"
    PER_STUDY = "per_study.csv"
    PERSON = "to be filled in by a person"


@dataclass(frozen=True, slots=True)
class Item:
    """A subject that a guideline asks about; `answer` is None where only a person can tell."""

    guideline: Guideline
    item: str
    answer: str | None
    source: Source


def checklist_json(metrics: Metrics, manifest: Mapping[str, Any]) -> str:
    """Return the checklist as JSON text."""
    items = [
        {
            "guideline": one.guideline.value,
            "item": one.item,
            "answer": collapse(one.answer) if one.answer else None,
            "source": one.source.value if one.answer else Source.PERSON.value,
        }
        for one in (
            *_claim(metrics, manifest),
            *_stard(metrics, manifest),
            *_tripod(metrics, manifest),
            *_decide(metrics, manifest),
        )
    ]
    return json.dumps({"caution": CAUTION, "items": items}, indent=1, ensure_ascii=False) + "\n"


def _claim(metrics: Metrics, manifest: Mapping[str, Any]) -> Iterator[Item]:
    model = manifest.get("model", {})
    of = Guideline.CLAIM
    yield Item(of, "data sources and dates of collection", None, Source.PERSON)
    yield Item(of, "eligibility and exclusions", _flow_text(metrics), Source.METRICS)
    yield Item(of, "preprocessing of images", _PREPROCESSING, Source.MANIFEST)
    yield Item(of, "reference standard", _truth_text(manifest), Source.MANIFEST)
    yield Item(of, "model, version and weights", _model_text(model), Source.MANIFEST)
    yield Item(of, "software libraries", model.get("libraries"), Source.MANIFEST)
    yield Item(of, "hardware", _hardware(model), Source.MANIFEST)
    yield Item(of, "parameters of inference", model.get("decoding"), Source.MANIFEST)
    yield Item(of, "training data and training", None, Source.PERSON)
    yield Item(of, "metrics of performance with uncertainty", _performance(metrics), Source.METRICS)
    yield Item(of, "statistical significance of differences", _compared(metrics), Source.METRICS)
    yield Item(of, "robustness or sensitivity analysis", _subgroup_text(metrics), Source.SUBGROUPS)
    yield Item(of, "failure analysis of incorrect results", _errors(metrics), Source.METRICS)
    yield Item(of, "handling of missing data", _missing(manifest), Source.MANIFEST)
    yield Item(of, "limit of the patients' age", manifest.get("children"), Source.MANIFEST)
    yield Item(of, "study limitations", None, Source.PERSON)
    yield Item(of, "intended use and clinical role", None, Source.PERSON)
    yield Item(of, "ethics approval", None, Source.PERSON)


def _stard(metrics: Metrics, manifest: Mapping[str, Any]) -> Iterator[Item]:
    of = Guideline.STARD_AI
    yield Item(of, "flow of participants", _flow_text(metrics), Source.METRICS)
    yield Item(of, "index test, in detail to repeat it", _model_text(manifest.get("model", {})),
               Source.MANIFEST)  # fmt: skip
    yield Item(of, "reference standard", _truth_text(manifest), Source.MANIFEST)
    yield Item(of, "threshold, set beforehand", _THRESHOLD, Source.METRICS)
    yield Item(of, "indeterminate results and missing data", _missing(manifest), Source.METRICS)
    yield Item(of, "cross tabulation of test and reference", _cross(metrics), Source.METRICS)
    yield Item(of, "estimates of accuracy with precision", _performance(metrics), Source.METRICS)
    yield Item(of, "sample size", _sizes(metrics), Source.METRICS)
    yield Item(of, "description of the data set", _subgroup_text(metrics), Source.PER_STUDY)
    yield Item(of, "fairness: performance in subgroups", _subgroup_text(metrics), Source.SUBGROUPS)
    yield Item(of, "adverse events", None, Source.PERSON)
    yield Item(of, "registration, protocol, funding", None, Source.PERSON)


def _tripod(metrics: Metrics, manifest: Mapping[str, Any]) -> Iterator[Item]:
    of, model = Guideline.TRIPOD_LLM, manifest.get("model", {})
    yield Item(of, "model name and version", _model_text(model), Source.MANIFEST)
    yield Item(of, "prompt", manifest.get("prompt"), Source.MANIFEST)
    yield Item(of, "decoding parameters and seed", model.get("decoding"), Source.MANIFEST)
    yield Item(of, "dates of inference", _dates(manifest), Source.MANIFEST)
    yield Item(of, "number of tokens", _tokens(manifest), Source.MANIFEST)
    yield Item(of, "post-processing of the output", _labeler(manifest), Source.MANIFEST)
    yield Item(of, "comparison of generated text", _texts(metrics), Source.METRICS)
    yield Item(of, "performance with uncertainty", _performance(metrics), Source.METRICS)
    yield Item(of, "human oversight in the intended setting", None, Source.PERSON)


def _decide(metrics: Metrics, manifest: Mapping[str, Any]) -> Iterator[Item]:
    of = Guideline.DECIDE_AI
    yield Item(of, "version of the system", _model_text(manifest.get("model", {})), Source.MANIFEST)
    yield Item(of, "errors and malfunctions", _flow_text(metrics), Source.METRICS)
    yield Item(of, "use and override by clinicians", None, Source.PERSON)
    yield Item(of, "human factors and usability", None, Source.PERSON)
    yield Item(of, "harms and safety", None, Source.PERSON)


_PREPROCESSING: Final = (
    "The site's reading path: Modality LUT, VOI LUT and polarity as stored (PS3.3 C.11), central "
    "square, 8 bits, resized to the model's image."
)
_THRESHOLD: Final = (
    "A finding counts as stated where the labeler calls the draft's text positive; no threshold was "
    "chosen on these studies."
)


def _model_text(model: Mapping[str, Any]) -> str | None:
    if not model:
        return None
    return f"{model['name']}, version {model['version']}, weights SHA-256 {model['weights_sha256']}"


def _hardware(model: Mapping[str, Any]) -> str | None:
    return f"{model['device']}, {model['dtype']}" if model.get("device") else None


def _truth_text(manifest: Mapping[str, Any]) -> str | None:
    truth = manifest.get("truth", {})
    files = ", ".join(truth.get("files", ()))
    return (
        f"{files} (SHA-256 of its content {truth.get('sha256')}); report texts labeled by the labeler "
        f"{manifest.get('labeler')}"
    )


def _missing(manifest: Mapping[str, Any]) -> str:
    return (
        f"A blank in the truth means {manifest.get('blank_truth')}; unknown and uncertain truths are "
        "left out of the figures of their finding. A draft that is silent or only calls a finding "
        "possible counts as negative."
    )


def _flow_text(metrics: Metrics) -> str:
    steps = []
    for step in metrics.flow:
        left = "; ".join(f"{count} {reason}" for reason, count in step.left)
        steps.append(f"{step.name} {step.remaining}{f' (left: {left})' if left else ''}")
    return ", ".join(steps)


def _performance(metrics: Metrics) -> str | None:
    figures = metrics.figures
    if not figures.studies:
        return None
    return (
        f"{figures.studies} studies of {figures.patients} patients; {len(figures.together_of)} findings "
        f"together: micro F1 {shown_with_interval(figures.together.micro)}, sensitivity "
        f"{shown_with_interval(figures.sensitivity)}, specificity "
        f"{shown_with_interval(figures.specificity)}; 95 % intervals by {metrics.draws} resamples of "
        f"patients, seed {metrics.seed}."
    )


def _cross(metrics: Metrics) -> str | None:
    cells = [
        f"{name}: TP {each.counts.tp}, FP {each.counts.fp}, FN {each.counts.fn}, TN {each.counts.tn}"
        for name, each in metrics.figures.findings.items()
    ]
    return "; ".join(cells) or None


def _sizes(metrics: Metrics) -> str | None:
    figures = metrics.figures
    if not figures.studies:
        return None
    few = ", ".join(figures.too_few) or "none"
    return f"{figures.studies} studies; too few positives for an interval of ±10 points: {few}"


def _subgroup_text(metrics: Metrics) -> str | None:
    parts = [
        f"{attribute.value}: {', '.join(f'{name} {each.studies}' for name, each in groups.items())}"
        for attribute, groups in metrics.subgroups.items()
    ]
    return "; ".join(parts) or None


def _errors(metrics: Metrics) -> str | None:
    parts = [f"{each.finding} {each.kind.value} {each.n}" for each in metrics.errors.groups]
    return "; ".join(parts) or None


def _compared(metrics: Metrics) -> str | None:
    parts = [
        f"against {each.name}: better in {', '.join(each.better) or 'none'}, worse in "
        f"{', '.join(each.worse) or 'none'} (McNemar, Holm)"
        for each in metrics.comparisons
        if isinstance(each, PairedComparison)
    ]
    return "; ".join(parts) or None


def _texts(metrics: Metrics) -> str | None:
    parts = [
        f"{part.value}: ROUGE-L {shown_with_interval(each.drafts.rouge_l)} (constant text "
        f"{shown_with_interval(each.constant.rouge_l)}), n = {each.scored}"
        for part, each in metrics.texts.items()
    ]
    return "; ".join(parts) or None


def _dates(manifest: Mapping[str, Any]) -> str | None:
    started = manifest.get("started")
    return f"from {started}" if started else None


def _tokens(manifest: Mapping[str, Any]) -> str | None:
    total = sum(int(run.get("tokens", 0)) for run in manifest.get("runs", ()))
    return f"{total} tokens written" if total else None


def _labeler(manifest: Mapping[str, Any]) -> str | None:
    version = manifest.get("labeler")
    return f"findings coded by the rules of the labeler, version {version}" if version else None
