"""The figures of an evaluation as sections of a document: flow, findings, subgroups, size."""

from collections.abc import Iterator
from typing import Any, Final

from service.quality.document import Facts, Section, Table, not_recorded
from service.quality.evaluation_folder import EvaluationFolder, at, shown_figure
from service.quality.volume import reason_words

_RATES: Final = ("sensitivity", "specificity", "ppv", "npv")
_TOGETHER: Final = (
    ("F1, micro", ("together", "micro")),
    ("F1, mean of findings", ("together", "macro_defined")),
    ("Sensitivity", ("sensitivity",)),
    ("Specificity", ("specificity",)),
)
# A smaller group could disclose a patient; also the limit of `subgroups.csv`.
_FEWEST: Final = 5


def evaluation_sections(folder: EvaluationFolder) -> Iterator[Section]:
    """Yield the sections about one evaluation."""
    figures = folder.metrics["figures"]
    yield Section(
        title=f"Evaluation “{folder.name}”",
        sentences=(
            (
                "On studies of the site, by its settings. A draft that does not state a finding "
                "counts as negative. F1: interval by resampling patients; rates: Wilson; 95 %."
            ),
        ),
        warnings=tuple(_warnings(folder)),
        facts=_facts(folder),
        tables=(_flow(folder), _together(figures), _findings(figures)),
    )
    yield Section(
        title=f"Subgroups in “{folder.name}”",
        sentences=(
            (
                "Of several such intervals some exclude 0 by chance: a difference is a reason to "
                "investigate, not a result."
            ),
        ),
        tables=(_subgroups(folder),),
    )


def _warnings(folder: EvaluationFolder) -> Iterator[str]:
    if not folder.metrics.get("complete", False):
        yield "The evaluation was interrupted: its figures are of a part of the studies."
    few = at(folder.metrics, "figures", "too_few")
    if few:
        yield f"Too few positive studies for a claim about: {', '.join(map(str, few))}."


def _facts(folder: EvaluationFolder) -> tuple[tuple[str, str], ...]:
    manifest, figures = folder.manifest, folder.metrics["figures"]
    facts = Facts()
    facts.add("Studies scored", str(figures.get("studies", "")), missing="studies scored")
    facts.add("Patients", str(figures.get("patients", "")), missing="number of patients")
    facts.add("Weights, SHA-256", str(folder.model.get("weights_sha256", "")),
              missing="digest of the evaluated weights")  # fmt: skip
    facts.add("Decoding", str(folder.model.get("decoding", "")))
    facts.add("Labeler", str(manifest.get("labeler", "")))
    facts.add("Software", str(manifest.get("made_by", "")))
    facts.add("Truth, SHA-256", str(at(manifest, "truth", "sha256") or ""))
    facts.add("Inputs, SHA-256", str(manifest.get("inputs_digest", "")))
    facts.add("Seed", str(folder.seed))
    started = str(manifest.get("started", ""))[:19].replace("T", " ")
    facts.add("Begun", f"{started} UTC" if started else "")
    facts.add("Reference standard and its quality", "", missing="how the truth was established")
    return facts.all()


def _flow(folder: EvaluationFolder) -> Table:
    rows = []
    for step in folder.metrics["flow"]:
        left = "; ".join(f"{reason_words(str(code))} ({n})" for code, n in step.get("left", ()))
        rows.append((str(step.get("name")), str(step.get("remaining")), left or "–"))
    header = ("Step", "Studies", "Left out, by reason")
    return Table(header, tuple(rows), "From received to scored", numeric=frozenset({1}))


def _together(figures: dict[str, Any]) -> Table:
    rows = tuple((name, shown_figure(at(figures, *path))) for name, path in _TOGETHER)
    findings = ", ".join(figures.get("together_of", ()))
    return Table(("Figure", "Value (95 % interval)"), rows, "All findings together",
                 f"Over {findings}; n = {figures.get('studies')} studies.")  # fmt: skip


def _findings(figures: dict[str, Any]) -> Table:
    rows = []
    for name, each in (figures.get("findings") or {}).items():
        counts = each.get("counts", {})
        positive = counts.get("tp", 0) + counts.get("fn", 0)
        rows.append(
            (
                str(name),
                f"{positive} of {sum(counts.get(key, 0) for key in ('tp', 'fp', 'fn', 'tn'))}",
                shown_figure(each.get("f1")),
                *(shown_figure(at(each, "rates", rate)) for rate in _RATES),
            )
        )
    header = ("Finding", "Positive", "F1", "Sensitivity", "Specificity", "PPV", "NPV")
    return Table(header, tuple(rows), "Each finding")


def _subgroups(folder: EvaluationFolder) -> Table:
    rows = []
    for attribute, found in (folder.metrics.get("subgroups") or {}).items():
        for name, each in found.items():
            studies = each.get("studies", 0)
            if studies < _FEWEST:
                continue
            figures = (each.get(key) for key in ("f1", "sensitivity", "specificity", "from_rest"))
            rows.append((f"{attribute}: {name}", str(studies), *map(shown_figure, figures)))
    if not rows:
        rows = [(not_recorded("subgroups of at least five studies"), *("–",) * 5)]
    return Table(
        ("Subgroup", "Studies", "F1, micro", "Sensitivity", "Specificity", "F1 minus all others"),
        tuple(rows),
        note=f"Groups of fewer than {_FEWEST} studies are left out.",
        numeric=frozenset({1}),
    )


def evaluation_values(folder: EvaluationFolder) -> dict[str, Any]:
    """Return what programs may want of an evaluation."""
    figures = folder.metrics["figures"]
    return {
        "folder": folder.name,
        "inputs_digest": folder.manifest.get("inputs_digest"),
        "studies": figures.get("studies"),
        "together": {name: at(figures, *path) for name, path in _TOGETHER},
        "findings": {
            name: {"f1": each.get("f1"), "rates": each.get("rates"), "counts": each.get("counts")}
            for name, each in (figures.get("findings") or {}).items()
        },
    }
