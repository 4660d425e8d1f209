"""Writes what was found to the folder: rows, metrics, subgroups, report, pairs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dicom.errors import InvalidDataset
from dicom.reasons import Reason
from service.assessment.checklist import checklist_json
from service.assessment.comparison_page import comparison_section
from service.assessment.figures import roc_curves
from service.assessment.file_names import (
    CHECKLIST,
    ERRORS,
    METRICS,
    PAIRS,
    PER_STUDY,
    REPORT,
    SUBGROUPS,
)
from service.assessment.groups import subgroups_csv
from service.assessment.judged import JudgeFigures, NotJudged
from service.assessment.metrics import Metrics, metrics_of
from service.assessment.mistakes import mistakes_csv
from service.assessment.mistakes_page import mistakes_section
from service.assessment.page import page
from service.assessment.retrieval import StudyVectors
from service.assessment.study_rows import rows_csv, scored
from service.assessment.texts import Part
from service.errors import PermanentReadingError, TextNotLanguage, TransientReadingError
from service.evaluation.metrics_json import metrics_json
from service.evaluation.report import render
from workers.evaluation.assembled import Assembled
from workers.evaluation.cards import cards_of
from workers.evaluation.others import OtherEvaluation
from workers.evaluation.run import Order
from workers.evaluation.run_directory import RunDirectory
from workers.evaluation.safe_names import safe_name
from workers.retry_policy import code

_OF_ERRORS: Final[dict[type[Exception], str]] = {
    InvalidDataset: "The file is no image that can be read.",
    PermanentReadingError: "The image or the model's answer cannot become a draft.",
    TextNotLanguage: "The model's text is not language.",
    TransientReadingError: "The reading failed for a passing reason; the same command tries again.",
}
REASON_TEXTS: Final = {
    **{reason.value: reason.sentence for reason in Reason},
    **{code(kind()): sentence for kind, sentence in _OF_ERRORS.items()},
    "NOT_READ": "Not read yet.",
    "no truth": "No truth.",
}


def write_results(
    run: RunDirectory,
    found: Assembled,
    order: Order,
    *,
    truth_without_study: int,
    others: Sequence[OtherEvaluation],
    vectors: StudyVectors,
    judge: JudgeFigures | NotJudged | None = None,
) -> Metrics:
    """Compute and write everything that follows from the rows; return the metrics."""
    used = scored(found.rows)
    metrics = metrics_of(
        found.rows,
        found.pairs,
        seed=order.seed,
        truth_without_study=truth_without_study,
        others=[(other.name, other.rows) for other in others],
        vectors=vectors,
        judge=judge,
    )
    run.write_text(PER_STUDY, rows_csv(found.rows))
    run.write_text(METRICS, metrics_json(metrics))
    run.write_text(SUBGROUPS, subgroups_csv(used))
    run.write_text(ERRORS, mistakes_csv(used))
    run.write_text(CHECKLIST, checklist_json(metrics, run.manifest))
    if order.export_pairs:
        _write_pairs(run, found)
    report = page(
        metrics,
        facts=report_facts(run.manifest),
        curves=roc_curves(used),
        reasons=REASON_TEXTS,
        warnings=(*_caveats(found.drafts), *_other_labelers(run.manifest, others)),
        sections=(
            *(comparison_section(each) for each in metrics.comparisons),
            mistakes_section(metrics.errors, cards_of(run, found, used)),
        ),
    )
    run.write_text(REPORT, render(report))
    return metrics


def _caveats(drafts: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the sentences that the model requires beside each of its drafts."""
    models = [(row.get("draft") or {}).get("model") or {} for row in drafts.values()]
    return tuple(sorted({model["caveat"] for model in models if model.get("caveat")}))


def _other_labelers(
    manifest: Mapping[str, Any], others: Sequence[OtherEvaluation]
) -> Iterator[str]:
    for other in others:
        if other.labeler != manifest["labeler"]:
            yield (
                f"{other.name} was labeled by another version of the labeler: call `wetread evaluate` "
                "for it again before the figures are compared."
            )


def report_facts(manifest: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return what the report says of the run."""
    model, studies, truth = manifest.get("model", {}), manifest["studies"], manifest["truth"]
    return (
        ("Model", f"{model.get('name', 'not loaded')}, version {model.get('version', '')}"),
        ("Weights (SHA-256)", str(model.get("weights_sha256", ""))),
        ("Decoding", str(model.get("decoding", ""))),
        ("Labeler", str(manifest["labeler"])),
        ("Software", str(manifest["made_by"])),
        ("Studies", str(studies["source"])),
        ("Truth", ", ".join(truth["files"])),
        ("A blank in the truth means", str(manifest["blank_truth"])),
        ("Seed", str(manifest["seed"])),
        ("First started", f"{str(manifest.get('started', ''))[:16].replace('T', ' ')} UTC"),
    )


def _write_pairs(run: RunDirectory, found: Assembled) -> None:
    for identifier, pair in sorted(found.pairs.items()):
        if pair.reference[Part.FINDINGS]:
            name = f"{safe_name(identifier)}.txt"
            reference, draft = (text[Part.FINDINGS] for text in (pair.reference, pair.draft))
            run.write_bytes(f"{PAIRS}/ref/{name}", f"{reference}\n".encode())
            run.write_bytes(f"{PAIRS}/cand/{name}", f"{draft}\n".encode())
