"""Writes what was found to the folder: rows, metrics, subgroups, report, pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.assessment.figures import roc_curves
from service.assessment.groups import subgroups_csv
from service.assessment.metrics import Metrics, metrics_of
from service.assessment.page import page
from service.assessment.study_rows import rows_csv, scored
from service.assessment.texts import Part
from service.evaluation.metrics_json import metrics_json
from service.evaluation.report import render
from workers.evaluation.assembled import Assembled
from workers.evaluation.run import Order
from workers.evaluation.run_directory import (
    METRICS,
    PAIRS,
    PER_STUDY,
    REPORT,
    SUBGROUPS,
    RunDirectory,
)
from workers.evaluation.safe_names import safe_name


def write_results(
    run: RunDirectory, found: Assembled, order: Order, *, truth_without_study: int
) -> Metrics:
    """Compute and write everything that follows from the rows; return the metrics."""
    used = scored(found.rows)
    metrics = metrics_of(
        found.rows, found.pairs, seed=order.seed, truth_without_study=truth_without_study
    )
    run.write_text(PER_STUDY, rows_csv(found.rows))
    run.write_text(METRICS, metrics_json(metrics))
    run.write_text(SUBGROUPS, subgroups_csv(used))
    if order.export_pairs:
        _write_pairs(run, found)
    report = page(
        metrics,
        facts=report_facts(run.manifest),
        curves=roc_curves(used),
        warnings=_caveats(found.drafts),
    )
    run.write_text(REPORT, render(report))
    return metrics


def _caveats(drafts: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the sentences that the model wants beside each of its drafts."""
    models = [(row.get("draft") or {}).get("model") or {} for row in drafts.values()]
    return tuple(sorted({model["caveat"] for model in models if model.get("caveat")}))


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
        ("First started", str(manifest.get("started", ""))),
    )


def _write_pairs(run: RunDirectory, found: Assembled) -> None:
    for identifier, pair in sorted(found.pairs.items()):
        if pair.reference[Part.FINDINGS]:
            name = f"{safe_name(identifier)}.txt"
            run.write_text(f"{PAIRS}/ref/{name}", pair.reference[Part.FINDINGS] + "\n")
            run.write_text(f"{PAIRS}/cand/{name}", pair.draft[Part.FINDINGS] + "\n")
