"""A comparison on the page: two models on the same studies, or two sites in one table."""

from collections.abc import Iterator
from typing import Final

from service.assessment.comparison import (
    Contrast,
    FindingContrast,
    PairedComparison,
    SiteComparison,
    SiteContrast,
)
from service.evaluation.report import NO_BREAK, Section, Table, shown, shown_with_interval
from service.evaluation.values import Undefined, Value

_PAIRED_NOTE: Final = (
    "Difference: this evaluation minus the other, with the interval of paired resampling of patients; "
    "p: swap test. A p-value above 0.05 does not show that two models are equal."
)
_RIGHT_NOTE: Final = (
    "Correct here only, correct there only: studies in which one draft is correct and the other "
    "wrong. p: McNemar's exact test; adjusted by Holm's method for all findings, for a claim."
)


def comparison_section(found: PairedComparison | SiteComparison) -> Section:
    """Return the section of a comparison."""
    return _paired(found) if isinstance(found, PairedComparison) else _sites(found)


def _paired(found: PairedComparison) -> Section:
    tables = (
        Table(
            "All findings together",
            ("Figure", "Here", "There", "Difference", "p"),
            tuple(_contrast_row(name, each) for name, each in found.together.items()),
            _PAIRED_NOTE,
        ),
        Table(
            "F1 of each finding",
            ("Finding", "Here", "There", "Difference", "p", "p (Holm)"),
            tuple(
                (*_contrast_row(name, each.f1), _p(each.f1_p_holm))
                for name, each in found.findings.items()
            ),
        ),
        Table(
            "Correctness and ranking",
            ("Finding", "Correct here only", "Correct there only", "p", "Mid-p", "p (Holm)",
             "AUROC difference", "p"),
            tuple(_right_row(name, each) for name, each in found.findings.items()),
            _RIGHT_NOTE,
        ),
    )  # fmt: skip
    return Section(
        f"Compared with {found.name} on the same studies", tables, text=" ".join(_summary(found))
    )


def _summary(found: PairedComparison) -> Iterator[str]:
    yield (
        f"{found.common} studies are scored in both; {found.only_first} only here and "
        f"{found.only_second} only there are left out."
    )
    if found.worse:
        yield f"Worse here: {', '.join(found.worse)}."
    if found.better:
        yield f"Better here: {', '.join(found.better)}."
    if not found.worse and not found.better:
        yield "No finding differs by McNemar's test with Holm's adjustment (0.05)."
    if found.rouge_l is not None:
        yield f"ROUGE-L, difference: {shown_with_interval(found.rouge_l)}."


def _contrast_row(name: str, each: Contrast) -> tuple[str, ...]:
    return (
        name,
        shown(each.first),
        shown(each.second),
        shown_with_interval(each.difference),
        _p(each.test.p),
    )


def _right_row(name: str, each: FindingContrast) -> tuple[str, ...]:
    right, auroc = each.right, each.auroc
    return (
        name,
        str(right.only_first),
        str(right.only_second),
        _p(right.exact_p),
        _p(right.mid_p),
        _p(each.right_p_holm),
        "–" if auroc is None else shown(auroc.difference),
        "–" if auroc is None else _p(auroc.p),
    )


def _p(value: Value) -> str:
    if isinstance(value, Undefined):
        return "–"
    return f"<{NO_BREAK}0.0001" if value < 0.0001 else f"{value:.4f}"


def _sites(found: SiteComparison) -> Section:
    rows = [_site_row("together, micro", found.together)]
    rows += [_site_row(name, each) for name, each in found.findings.items()]
    table = Table(
        "Cross-site table",
        ("Finding", "F1 here", "F1 there", "Difference", "Sensitivity here", "Sensitivity there",
         "Specificity here", "Specificity there"),
        tuple(rows),
        "The studies are different ones: differences may come from the patients, the devices or the "
        "truth as well as from the model. Intervals of the differences: both resampled independently.",
    )  # fmt: skip
    text = (
        f"{found.first_studies} studies here, {found.second_studies} there; none is in both, so nothing "
        "is paired."
    )
    return Section(f"Compared with {found.name}: two sites", (table,), text=text)


def _site_row(name: str, each: SiteContrast) -> tuple[str, ...]:
    rates = [
        "–" if rate is None else shown_with_interval(getattr(rate, kind), digits=2)
        for kind in ("sensitivity", "specificity")
        for rate in (each.first_rates, each.second_rates)
    ]
    shown_here = [shown_with_interval(one, digits=2) for one in (each.first, each.second)]
    return (name, *shown_here, shown_with_interval(each.difference, digits=2), *rates)
