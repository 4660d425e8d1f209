"""What the page of acceptability shows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.accounts import Role
from service.drift.agreement import FindingAgreement, agreement_of, shown_kappa
from service.drift.rows import MonitorRow, RowKind
from service.drift.streams import drafted_event
from service.evaluation.day_charts import share_chart
from service.evaluation.report import render_chart, shown, shown_with_interval
from service.evaluation.values import Estimate
from service.review.draft_sentences import URGENT_FINDINGS
from service.review.figures import (
    PUBLISHED_ACCEPTABILITY,
    PUBLISHED_WORDS,
    Figures,
    Grouping,
    figures_by,
)
from service.review.words import ACCEPTABILITY_TEXT
from service.settings.config import Settings
from service.store import Store
from service.web.access.current import current_session, has_role
from service.web.app_context import app_context_of

_DAYS: Final = 365
_MOST_CHARTED: Final = 24
_FEW: Final = 20
_WORDS: Final = {
    Grouping.ALL: "All together",
    Grouping.FINDING: "By finding of the draft",
    Grouping.READER: "By reader",
    Grouping.DEVICE: "By calling AE",
    Grouping.MODEL: "By model",
    Grouping.MONTH: "By month",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks for.

    Attributes:
        groupings: Those that the person may choose.
        reviewer_id: Only the decisions of this person; None for all.
    """

    by: Grouping
    since: datetime
    until: datetime
    groupings: Sequence[tuple[str, str]]
    reviewer_id: str | None = None


def asked_of(request: Request, settings: Settings) -> Asked:
    """Return what a request asks for.

    Raises:
        HTTPException: 400 for a value that is none; 403 for readers where that is not allowed.
    """
    query, now = request.query_params, app_context_of(request).store.now()
    try:
        by = Grouping(query.get("by") or Grouping.MONTH)
    except ValueError:
        raise HTTPException(400, f"by: one of {', '.join(Grouping)}.") from None
    sees_readers = settings.monitor.show_readers and has_role(request, Role.ADMIN)
    is_reader = has_role(request, Role.RADIOLOGIST)
    own = None
    if by is Grouping.READER and not sees_readers:
        session = current_session(request)
        if not is_reader or session is None:
            raise HTTPException(
                403, "Figures by reader are shown to admins only with monitor.show_readers."
            )
        own = session.person.id
    allowed = [
        each for each in Grouping if each is not Grouping.READER or sees_readers or is_reader
    ]
    return Asked(
        by=by,
        since=_time(query.get("since"), now - timedelta(days=_DAYS)),
        until=_time(query.get("until"), now + timedelta(days=1)),
        groupings=[(each.value, _WORDS[each]) for each in allowed],
        reviewer_id=own,
    )


def _time(word: str | None, otherwise: datetime) -> datetime:
    if not word:
        return otherwise
    try:
        return datetime.fromisoformat(word).astimezone()
    except (ValueError, OverflowError, OSError):
        raise HTTPException(400, "since, until: a day such as 2026-03-01.") from None


def acceptability_values(store: Store, asked: Asked) -> dict[str, Any]:
    """Return what the template shows."""
    facts = store.decision_facts(
        since=asked.since, until=asked.until, reviewer_id=asked.reviewer_id
    )
    groups = figures_by(facts, asked.by)
    whole = figures_by(facts, Grouping.ALL)
    first, last = (f"{each.astimezone():%Y-%m-%d}" for each in (asked.since, asked.until))
    rows = store.monitor_rows(first, last)
    agreements = agreement_of(rows)
    return {
        "title": _WORDS[asked.by],
        "first": first,
        "last": last,
        "total": len(facts),
        "whole": _row(whole[0]) if whole else None,
        "few": len(facts) < _FEW,
        "rows": [_row(each) for each in groups],
        "picture": _picture(groups),
        "steps": [(step.value, text.rstrip(".")) for step, text in ACCEPTABILITY_TEXT.items()],
        "rejections": Counter(whole[0].rejections).most_common() if whole else [],
        "published": f"{PUBLISHED_ACCEPTABILITY:.1%}",
        "published_words": PUBLISHED_WORDS,
        "agreements": [_agreement(each) for each in agreements],
        "compared": max(sum(each.table) for each in agreements),
        "arms": _arms(_eligible(store, rows), store.reported_while_withheld()),
        "withheld": store.withheld(),
    }


def _eligible(store: Store, rows: Sequence[MonitorRow]) -> list[MonitorRow]:
    """Return the rows of final reports on drafts that could have been withheld, since the first was.

    Otherwise the drafts that were shown would differ from those withheld by more than being seen.
    """
    first = store.first_withheld()
    if first is None:
        return []
    excluded = store.reported_and_not_eligible()
    return [
        row
        for row in rows
        if row.kind is RowKind.FINAL
        and row.at >= first
        and row.job_id not in excluded
        # If draft or report is uncertain, the event is absent; such drafts are not withheld either.
        and all(row.events.get(drafted_event(each)) is False for each in URGENT_FINDINGS)
    ]


def _arms(rows: Sequence[MonitorRow], withheld: frozenset[str]) -> list[tuple[str, str, str]]:
    """Return each finding's agreement where the draft was withheld, and where it could be seen.

    Empty where no final report arrived while a draft was withheld.
    """
    hidden = [row for row in rows if row.job_id in withheld]
    if not hidden:
        return []
    seen = [row for row in rows if row.job_id not in withheld]
    pairs = zip(agreement_of(hidden), agreement_of(seen), strict=True)
    return [
        (one.observation.value, _counted(one.observed), _counted(other.observed))
        for one, other in pairs
    ]


def _counted(estimate: Estimate) -> str:
    return f"{_share(estimate)}, n = {estimate.n}"


def _row(each: Figures) -> dict[str, Any]:
    return {
        "name": each.name,
        "n": each.n,
        "steps": list(each.steps.values()),
        "acceptable": _share(each.acceptable),
        "rated": each.acceptable.n,
        "unchanged": _share(each.unchanged),
        "kept": "–" if each.kept_sentences is None else f"{each.kept_sentences:.0%}",
        "distance": "–" if each.median_distance is None else f"{each.median_distance:g}",
        "share": "–" if each.median_share is None else f"{each.median_share:.0%}",
        "rejected": each.verdicts.get("reject", 0),
        "agreement": _share(each.agreement),
        "added": each.added,
    }


def _share(estimate: Estimate) -> str:
    return "–" if estimate.n == 0 else shown_with_interval(estimate, digits=2)


def _picture(groups: Sequence[Figures]) -> Markup | None:
    rated = [(each.name, each.acceptable) for each in groups if each.acceptable.n]
    if not rated:
        return None
    chart = share_chart(
        "acceptable",
        "Acceptable drafts (steps 1 and 2)",
        rated[-_MOST_CHARTED:],
        published=("published", PUBLISHED_ACCEPTABILITY),
    )
    return Markup(render_chart(chart, alone=False))  # noqa: S704 - rendered with escaping


def _agreement(each: FindingAgreement) -> dict[str, Any]:
    has_pairs = each.observed.n > 0
    return {
        "name": each.observation.value,
        "table": each.table,
        "observed": _share(each.observed),
        "kappa": shown_kappa(each) if has_pairs else "–",
        "ac1": shown(each.ac1, digits=2) if has_pairs else "–",
    }
