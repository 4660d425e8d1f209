"""The rows of `benchmarks/web.py`: SQL that fills an empty database, for SQLite and PostgreSQL.

Jobs of 90 days: 91 % delivered, 6 % not analyzed, 2 % failed, 1 % canceled; of the newest 600, 500 wait,
4 are being read and 96 are being delivered. Each has 10 events, an image, an identity and a delivery,
and its draft a text for searches; no draft is decided on, 2 % state a pneumothorax, 1 % are urgent.
There is a record of the audit trail for each job, and a few hundred alerts.
"""

# ruff: noqa: S608
# The SQL is made of constants of this module.

import json
from datetime import UTC, datetime
from typing import Final

from dicom.content.report import (
    DraftReport,
    Finding,
    ModelIdentity,
    Observation,
    Presence,
    SourceImage,
)

_DAYS: Final = 90
_PREFIX: Final = "1.2.826.0.1.3680043.10.99."
_SENTENCE: Final = (
    "No pneumothorax, no pleural effusion, no consolidation. The heart is not enlarged. "
)

# The temporary table `seed`: number, Study Instance UID, job id, time.
_SEED: Final = {
    "sqlite": f"""
        CREATE TEMP TABLE seed AS
        WITH RECURSIVE counter(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < {{jobs}})
        SELECT n, '{_PREFIX}' || printf('%017d.%017d', abs(random()) / 100, abs(random()) / 100) AS uid,
          lower(hex(randomblob(16))) AS id,
          strftime('%Y-%m-%d %H:%M:%f', {{now}} - ({{jobs}} - n) * {_DAYS} * 86400.0 / {{jobs}},
            'unixepoch') || '000' AS at
        FROM counter""",
    "postgresql": f"""
        CREATE TEMP TABLE seed AS
        SELECT n, '{_PREFIX}' || lpad((random() * 1e17)::bigint::text, 17, '1') || '.'
            || lpad((random() * 1e17)::bigint::text, 17, '1') AS uid,
          md5(random()::text || n::text) AS id,
          to_timestamp({{now}} - ({{jobs}} - n) * {_DAYS} * 86400.0 / {{jobs}}) AS at
        FROM generate_series(1, {{jobs}}) AS n""",
}
_TRUE: Final = {"sqlite": "1", "postgresql": "true"}
_FALSE: Final = {"sqlite": "0", "postgresql": "false"}
_JSON: Final = {"sqlite": "", "postgresql": "::json"}
_LEXEMES: Final = {
    "sqlite": ("", ""),
    "postgresql": (", words", ", to_tsvector('english', {text})"),
}
_REMAINDER: Final = {"sqlite": "(n % {0})", "postgresql": "mod(n, {0})"}


def _draft(*, is_urgent: bool) -> DraftReport:
    """Return a draft of usual length, of no study of the database."""
    findings = [
        Finding(observation=each, presence=Presence.ABSENT, sentence=_SENTENCE, score=0.1)
        for each in Observation
        if each is not Observation.PNEUMOTHORAX
    ]
    presence = Presence.PRESENT if is_urgent else Presence.ABSENT
    return DraftReport(
        study_instance_uid="1.2.3",
        source=SourceImage(
            sop_instance_uid="1.2.3.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid="1.2.3.2",
            rows=3000,
            columns=2500,
        ),
        revision=1,
        produced_at=datetime(2026, 11, 30, 9, tzinfo=UTC),
        findings_text=(_SENTENCE,) * 8,
        impression_text=(_SENTENCE,),
        findings=(Finding(observation=Observation.PNEUMOTHORAX, presence=presence), *findings),
        model=ModelIdentity(name="demo", version="1.0", weights_sha256="0" * 64),
        doubts=(),
    )


def _json_text(is_urgent: bool, dialect: str) -> str:
    """Return a draft as an SQL literal within a template of `str.format`."""
    text = json.dumps(_draft(is_urgent=is_urgent).to_json())
    return "'" + text.replace("{", "{{").replace("}", "}}") + "'" + _JSON[dialect]


_EVENTS: Final = """INSERT INTO job_events (job_id, at, actor, action, from_state, to_state, reason)
    SELECT id, at, 'benchmark', 'schedule', NULL, 'SCHEDULED', 'Event ' || k
    FROM seed CROSS JOIN (SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
      UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8
      UNION ALL SELECT 9 UNION ALL SELECT 10) AS each_one ORDER BY n, k"""
_FIXED: Final = (
    """INSERT INTO incident_alerts (kind, subject, opened_at, last_at, count, detail, occurrence,
          acknowledged_by, closed_at)
        SELECT 'delivery failed', 'subject ' || n, at, at, 3, 'A sentence.', 1, '',
          CASE WHEN n > 20 THEN at END FROM seed WHERE n <= 400""",
    """INSERT INTO calling_aes (ae_title, address, associated_at, associations, arrived_at,
          instances, studies, day, day_instances, day_studies)
        SELECT 'AE_' || n, '192.0.2.1', at, 9, at, 900, 900, '2026-11-30', 9, 9
        FROM seed WHERE n < 40""",
    "UPDATE arrival_counts SET counted_through = (SELECT max(id) FROM instances)",
)


def _statements(dialect: str) -> list[str]:
    yes, no = _TRUE[dialect], _FALSE[dialect]

    def rest(divisor: int) -> str:
        return _REMAINDER[dialect].format(divisor)

    state = f"""CASE WHEN n > {{jobs}} - 500 THEN 'SCHEDULED' WHEN n > {{jobs}} - 504 THEN 'IN_PROGRESS'
        WHEN n > {{jobs}} - 600 THEN 'DRAFTED' WHEN {rest(100)} < 2 THEN 'FAILED'
        WHEN {rest(100)} < 8 THEN 'NOT_ANALYSED' WHEN {rest(100)} = 8 THEN 'CANCELED'
        ELSE 'COMPLETED' END"""
    code = f"""CASE WHEN n > {{jobs}} - 600 THEN '' WHEN {rest(100)} = 0 THEN 'NOT_DELIVERED'
        WHEN {rest(100)} = 1 THEN 'PIXEL_ERROR' WHEN {rest(100)} < 8 THEN 'NOT_FRONTAL'
        WHEN {rest(100)} = 8 THEN 'CANCELED' WHEN {rest(10_000)} = 77 THEN 'RECALLED' ELSE '' END"""
    draft, urgent = (_json_text(is_urgent, dialect) for is_urgent in (False, True))
    delivered = f"""CASE WHEN n > {{jobs}} - 600 THEN 'PENDING' WHEN {rest(100)} = 0 THEN 'FAILED'
        ELSE 'CONFIRMED' END"""
    # One text in 50 has a pneumothorax, one in 5,000 a word of its own.
    sentence = f"""CASE WHEN {rest(50)} = 20 THEN 'Small right pneumothorax. ' ELSE '' END
        || CASE WHEN {rest(5_000)} = 40 THEN 'A cervical rib. ' ELSE '' END || '{_SENTENCE * 2}'"""
    labels = f"""CASE WHEN {rest(50)} = 20 THEN '|pneumothorax=present|pneumothorax=present=right|'
        ELSE '|pneumothorax=absent|pleural effusion=absent|cardiomegaly=absent|' END"""
    words, lexemes = (each.format(text=sentence) for each in _LEXEMES[dialect])
    ae, model = f"'AE_' || {rest(40)}", f"CASE WHEN {rest(5_000)} = 9 THEN 'rare' ELSE 'demo' END"
    return [
        _SEED[dialect],
        f"""INSERT INTO studies (study_instance_uid, calling_ae, urgent, first_arrival, last_arrival)
            SELECT uid, {ae}, {no}, at, at FROM seed""",
        f"""INSERT INTO instances (study_instance_uid, sop_instance_uid, sop_class_uid,
              series_instance_uid, transfer_syntax_uid, digest, size, path, calling_ae, association_id,
              eligible, conflict, received_at)
            SELECT uid, uid || '.1', '1.2.840.10008.5.1.4.1.1.1.1', uid || '.2', '1.2.840.10008.1.2.1',
              id || id, 9000000, 'none', {ae}, 'association', {yes}, {no}, at FROM seed""",
        """INSERT INTO study_identities (study_uid, instance_id, patient_name, patient_id, issuer,
              birth_date, sex, accession_number, study_date, description, search_text)
            SELECT uid, n, 'Name' || n || '^Given', 'P' || n, '', '19600101', 'F', 'A' || n, '20260301',
              'Chest', 'name' || n || ' given p' || n || ' a' || n FROM seed""",
        f"""INSERT INTO jobs (id, study_instance_uid, calling_ae, model_name, model_version, revision,
              state, urgent, forced, destinations, reason_code, reason, created_at, updated_at,
              attempts, first_error, last_error, lease_owner, fence, draft, urgent_finding)
            SELECT id, uid, {ae}, {model}, '1.0', 1, {state}, {rest(100)} = 50, {no}, '["pacs"]',
              {code}, {code},
              at, at, 1, '', '', '', 1,
              CASE WHEN n <= {{jobs}} - 504 AND {rest(100)} > 8 THEN
                CASE WHEN {rest(50)} = 20 THEN {urgent} ELSE {draft} END END, {rest(50)} = 20
            FROM seed""",
        _EVENTS,
        f"""INSERT INTO deliveries (job_id, destination, state, created_at, attempts, first_error,
              last_error, lease_owner, fence, confirmed_at)
            SELECT id, CASE WHEN {rest(5_000)} = 10 THEN 'archive' ELSE 'pacs' END, {delivered}, at, 1,
              '', '', '', 1, CASE WHEN {rest(100)} > 8 THEN at END
            FROM seed WHERE n <= {{jobs}} - 504 AND ({rest(100)} > 8 OR {rest(100)} = 0)""",
        f"""INSERT INTO search_texts (study_uid, job_id, report_id, labels, text{words})
            SELECT uid, id, 0, {labels}, {sentence}{lexemes} FROM seed
            WHERE n <= {{jobs}} - 504 AND {rest(100)} > 8""",
        f"""INSERT INTO audit_records (id, at, action, outcome, actor, person_id, address, study_uid,
              patient_id, job_id, detail, previous, digest)
            SELECT n, at, 'viewed', 'success', 'reader' || {rest(20)}, 'reader' || {rest(20)},
              '192.0.2.1', uid, 'P' || n, id, '', '', '' FROM seed""",
        *_FIXED,
        "DROP TABLE seed",
    ]


STATEMENTS: Final = {dialect: _statements(dialect) for dialect in _SEED}
ANALYZE: Final = {"sqlite": "PRAGMA optimize", "postgresql": "VACUUM ANALYZE"}
# Name and definition of each index that is no constraint.
SECONDARY_INDEXES: Final = """
    SELECT c.relname, pg_get_indexdef(i.indexrelid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = 'public'
    WHERE NOT i.indisunique"""
# Of the web process, without the statements that measure.
STATEMENT_TIME: Final = """
    SELECT sum(total_exec_time) FROM pg_stat_statements WHERE query NOT LIKE '%%pg_stat_statements%%'"""
