"""One open alert for each kind and subject, where one stood for all subjects of a kind."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"

# Their subject is a Study or an Instance: these keep one alert for the kind.
OF_STUDIES = (
    *("conflict", "damaged_film", "draft_in_doubt", "files_not_removed", "lost_film"),
    *("reading_hangs", "undecided_removed"),
)
# These had an alert for each subject before.
BY_SUBJECT_BEFORE = (
    *("archive_not_compared", "destination_away", "destination_still_paused", "model_not_loaded"),
    *("no_worker", "notification_failed", "studies_missing", "token_expired", "token_expires_soon"),
)
MOST = 50
OPEN = sa.text("SELECT * FROM incident_alerts WHERE closed_at IS NULL ORDER BY id")
INCIDENTS = sa.text(
    "SELECT subject, detail, at FROM incidents WHERE kind = :kind AND alerted AND at >= :since "
    "ORDER BY id"
)
COPIED = (
    *("kind", "subject", "opened_at", "last_at", "count", "detail", "occurrence"),
    *("acknowledged_by", "recovered_at", "acknowledged_at", "closed_at"),
)
ADDED = sa.table("incident_alerts", *(sa.column(each) for each in COPIED))
CHANGE = sa.text(
    "UPDATE incident_alerts SET subject = :subject, opened_at = :opened_at, last_at = :last_at, "
    "count = :count, detail = :detail, closed_at = :closed_at WHERE id = :id"
)


def _open() -> list[dict[str, Any]]:
    return [dict(each) for each in op.get_bind().execute(OPEN).mappings()]


def _by_subject(alert: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each subject adds to an alert, the latest at the end."""
    found: dict[str, dict[str, Any]] = {}
    given = {"kind": alert["kind"], "since": alert["opened_at"]}
    for subject, detail, at in op.get_bind().execute(INCIDENTS, given):
        # The subject of a silent process ends with its process id.
        name = re.sub(r":\d+$", "", subject) if alert["kind"] == "process_silent" else subject
        before = found.pop(name, {"opened_at": at, "count": 0})
        count = before["count"] + 1
        found[name] = {**before, "subject": name, "detail": detail, "last_at": at, "count": count}
    return list(found.values())[-MOST:]


def upgrade() -> None:
    connection = op.get_bind()
    for alert in _open():
        if alert["subject"] or alert["kind"] in OF_STUDIES:
            continue
        subjects = _by_subject(alert)
        # Without its incidents, which were removed since, it remains as it is.
        if subjects:
            connection.execute(CHANGE, {**alert, **subjects.pop()})
        for each in subjects:
            row = {**alert, **each}
            connection.execute(sa.insert(ADDED).values({name: row[name] for name in COPIED}))


def _merged(alerts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    latest = alerts[-1]
    detail = f"{latest['subject']}: {latest['detail']}" if latest["subject"] else latest["detail"]
    return {
        **latest,
        "subject": "",
        "detail": detail,
        "opened_at": min(each["opened_at"] for each in alerts),
        "count": sum(each["count"] for each in alerts),
    }


def downgrade() -> None:
    connection = op.get_bind()
    kinds: dict[str, list[dict[str, Any]]] = {}
    # Those that nobody has acknowledged are last: one of them remains.
    for alert in sorted(_open(), key=lambda each: (not each["acknowledged_by"], each["last_at"])):
        kinds.setdefault(alert["kind"], []).append(alert)
    for kind, alerts in kinds.items():
        if kind in {*OF_STUDIES, *BY_SUBJECT_BEFORE}:
            continue
        for each in alerts[:-1]:
            connection.execute(CHANGE, {**each, "closed_at": each["last_at"]})
        connection.execute(CHANGE, _merged(alerts))
