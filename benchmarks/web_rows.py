"""The rows of `benchmarks/web.py`: SQL that fills an empty database, for SQLite and PostgreSQL.

Jobs of 90 days: 91 % delivered, 6 % not analyzed, 2 % failed, 1 % canceled; of the newest 600, 500 wait,
4 are being read and 96 are being delivered. Each has 10 events, an image, an identity and a delivery.
"""

# ruff: noqa: S608
# The SQL is made of constants of this module.

from typing import Final

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
_REMAINDER: Final = {"sqlite": "(n % {0})", "postgresql": "mod(n, {0})"}


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
    draft = (
        f"""'{{{{"findings_text": ["{_SENTENCE * 8}"], "impression_text": ["{_SENTENCE}"]}}}}'"""
    )
    draft += _JSON[dialect]
    delivered = f"""CASE WHEN n > {{jobs}} - 600 THEN 'PENDING' WHEN {rest(100)} = 0 THEN 'FAILED'
        ELSE 'CONFIRMED' END"""
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
              attempts, first_error, last_error, lease_owner, fence, draft)
            SELECT id, uid, {ae}, {model}, '1.0', 1, {state}, {no}, {no}, '["pacs"]', {code}, {code},
              at, at, 1, '', '', '', 1,
              CASE WHEN n <= {{jobs}} - 504 AND {rest(100)} > 8 THEN {draft} END FROM seed""",
        """INSERT INTO job_events (job_id, at, actor, action, from_state, to_state, reason)
            SELECT id, at, 'benchmark', 'schedule', NULL, 'SCHEDULED', 'Event ' || k
            FROM seed CROSS JOIN (SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
              UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8
              UNION ALL SELECT 9 UNION ALL SELECT 10) AS each_one ORDER BY n, k""",
        f"""INSERT INTO deliveries (job_id, destination, state, created_at, attempts, first_error,
              last_error, lease_owner, fence, confirmed_at)
            SELECT id, CASE WHEN {rest(5_000)} = 10 THEN 'archive' ELSE 'pacs' END, {delivered}, at, 1,
              '', '', '', 1, CASE WHEN {rest(100)} > 8 THEN at END
            FROM seed WHERE n <= {{jobs}} - 504 AND ({rest(100)} > 8 OR {rest(100)} = 0)""",
        "DROP TABLE seed",
    ]


STATEMENTS: Final = {dialect: _statements(dialect) for dialect in _SEED}
ANALYZE: Final = {"sqlite": "PRAGMA optimize", "postgresql": "VACUUM ANALYZE"}
