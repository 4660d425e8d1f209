"""Notices that need action soon: undelivered results and reports, missing studies, tokens, drift."""

from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum

from service.destination_backlog import Backlog, Pause
from service.drift.alert import DriftAlert
from service.drift.streams import Level
from service.monitoring.destination_incidents import alert_after, backlogs, pause_alert_after
from service.monitoring.probe_health import probe_health
from service.monitoring.token_expiry import tokens_at_risk
from service.records import CommitmentState, Reconciliation
from service.sentence import ended
from service.settings.config import Settings
from service.store import Store
from service.tokens import Token, TokenState
from service.web.status.status_text import ClockTime, StatusReason

# CSS class, title and sentence of a notice.
Notice = tuple[str, str, StatusReason]


class Repair(StrEnum):
    """The page, from the root, on which a person repairs what a notice states."""

    NONE = ""
    QUEUE = "queue"
    WORKLIST = "read"
    MODELS = "models"
    MONITOR = "monitor"
    TOKENS = "tokens"
    HEARTBEAT = "heartbeat"
    NETWORK = "network"


# An archive that was not compared for this many periods gets a notice.
_MANY_PERIODS = 3
# Days before the removal of an undecided draft's images at which its notice begins.
_WARNED_DAYS = 7
_MOST_ALERTS = 10


def attention(store: Store, settings: Settings) -> Iterator[Notice]:
    """Yield the notices of destinations, reports, models, archives, tokens, then of drift."""
    for notice, _ in attention_with_repair(store, settings):
        yield notice


def attention_with_repair(store: Store, settings: Settings) -> Iterator[tuple[Notice, Repair]]:
    """Yield the same notices, each with the page on which a person repairs what it states."""
    groups = (
        (_probe(store, settings), Repair.HEARTBEAT),
        (_paused_destinations(store, settings), Repair.NETWORK),
        (_destinations(store, settings), Repair.QUEUE),
        (_commitments(store, settings), Repair.NONE),
        (_undecided(store, settings), Repair.WORKLIST),
        (_model_choice(store, settings), Repair.MODELS),
        (_archives(store, settings), Repair.NONE),
        ((_token(token, state) for token, state in tokens_at_risk(store)), Repair.TOKENS),
        (map(_drift, store.drift_alerts(only_open=True, limit=_MOST_ALERTS)), Repair.MONITOR),
    )
    for notices, repair in groups:
        for notice in notices:
            yield notice, repair


def _archives(store: Store, settings: Settings) -> Iterator[Notice]:
    rows, now = store.reconciliations(), store.now()
    for row in rows:
        yield from _reconciliation(row)
    compared = {row.archive: row.compared_at for row in rows}
    for table in settings.reconcile:
        if table.name not in compared:
            question = "does `wetread reconcile --watch` run?"
            yield "mild", f"{table.name} has not been compared so far:", StatusReason(question)
        period = timedelta(seconds=max(60.0, _MANY_PERIODS * table.every_seconds))
        at = compared.get(table.name)
        if at is not None and now - at > period:
            title = f"{table.name} is not compared now:"
            yield "bad", title, StatusReason("it was last compared ", at, ".")


def _probe(store: Store, settings: Settings) -> Iterator[Notice]:
    if not settings.probe.enabled:
        return
    health = probe_health(store, settings)
    if health.is_late:
        reason = "no check has ended in time. Does the sweeper run?"
        yield "bad", "The end-to-end check is late:", StatusReason(reason)
    elif health.fault and health.latest:
        title = f"The end-to-end check failed at {health.latest.stage.text}:"
        yield (
            "bad",
            title,
            StatusReason(ClockTime(health.latest.started_at), ". ", health.latest.reason),
        )


def _paused_destinations(store: Store, settings: Settings) -> Iterator[Notice]:
    now, longest = store.now(), pause_alert_after(settings)
    for each in backlogs(store, settings):
        if each.pause is not None:
            yield _paused(each, each.pause, forgotten=each.pause.is_forgotten(now, longest))


def _destinations(store: Store, settings: Settings) -> Iterator[Notice]:
    now, limit = store.now(), alert_after(settings)
    for each in backlogs(store, settings):
        if each.is_overdue(now, limit):
            title = f"Results do not reach {each.destination}:"
            error = f" The latest error: {ended(each.last_error)}" if each.is_faulty else ""
            yield "bad", title, StatusReason(*each.pieces(), error)


def _paused(backlog: Backlog, pause: Pause, *, forgotten: bool) -> Notice:
    count = "1 result waits" if backlog.waiting == 1 else f"{backlog.waiting} results wait"
    title = f"{backlog.destination} is {'still ' if forgotten else ''}paused:"
    remedy = f" {count}; an administrator resumes it on the page Network."
    return "bad" if forgotten else "mild", title, StatusReason(*pause.pieces(), remedy)


def _model_choice(store: Store, settings: Settings) -> Iterator[Notice]:
    choice = store.model_choice()
    if choice is not None and choice.model not in settings.readings():
        title = f"The model {choice.model}, chosen for new studies, is not configured:"
        reason = f"{settings.model_name} reads them. Choose a model on the page Models."
        yield "mild", title, StatusReason(reason)


def _commitments(store: Store, settings: Settings) -> Iterator[Notice]:
    before = store.now() - alert_after(settings)
    for each in store.commitment_backlogs():
        reports = f"{each.count} storage commitment report{'' if each.count == 1 else 's'}"
        error = f" An error: {ended(each.last_error)}" if each.last_error else ""
        if each.state is CommitmentState.GIVEN_UP:
            title = f"{reports} to {each.ae_title} given up:"
            remedy = " `wetread commitment retry` sends them again."
            yield (
                "bad",
                title,
                StatusReason("the oldest was requested ", each.oldest, ".", error, remedy),
            )
        elif each.oldest < before:
            title = f"{reports} to {each.ae_title} not accepted so far:"
            yield "bad", title, StatusReason("the oldest was requested ", each.oldest, ".", error)


def _undecided(store: Store, settings: Settings) -> Iterator[Notice]:
    """Yield a notice of the drafts whose images are removed soon before a decision."""
    days = settings.sweep.undecided_days
    longest = max(days, settings.sweep.retention_days)
    if not days or longest <= _WARNED_DAYS:
        return
    count = store.awaiting_removal(store.now() - timedelta(days=longest - _WARNED_DAYS))
    if count:
        drafts = "1 draft awaits" if count == 1 else f"{count} drafts await"
        title = f"{drafts} a decision and will lose the images within {_WARNED_DAYS} days:"
        text = f"the settings keep them {longest:g} days; the worklist shows them."
        yield "mild", title, StatusReason(text)


def _reconciliation(row: Reconciliation) -> Iterator[Notice]:
    if row.missing:
        count = "1 study" if row.missing == 1 else f"{row.missing} studies"
        title = f"{count} of {row.archive} missing or incomplete here:"
        yield (
            "bad",
            title,
            StatusReason("`wetread reconcile` lists them, with --fetch it fetches them."),
        )
    if row.fault:
        yield "mild", f"{row.archive} was not compared completely:", StatusReason(ended(row.fault))


def _drift(alert: DriftAlert) -> Notice:
    color = "mild" if alert.level is Level.NOTICE else "bad"
    words = f" {alert.words} The page Monitor has its cases and what else changed."
    return color, f"{alert.title}:", StatusReason("since ", ClockTime(alert.first), ".", words)


def _token(token: Token, state: TokenState) -> Notice:
    at = token.expires_at or token.created_at
    if state is TokenState.EXPIRED:
        consequence = f": {token.consequence()}."
        return "bad", f"The token {token.name} has expired", StatusReason(at, consequence)
    consequence = f"; from then on {token.consequence()}."
    return "mild", f"The token {token.name} expires", StatusReason(at, consequence)
