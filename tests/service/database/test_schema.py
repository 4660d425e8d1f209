import sqlite3
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import OperationalError

from service.database import schema
from service.database.engine import make_engine
from service.database.tables import Base, JobRow
from service.errors import ConfigurationError, SchemaMismatch, StoreUnavailable
from service.jobs import DraftStatus
from service.records import JobRequest
from service.store import Store
from service.store.doubts import alarmed

# SQLite's full-text index and the tables of its own that it is kept in.
FULL_TEXT = "search_words"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'wetread.db'}"
    return request.getfixturevalue("postgres_url")


def is_for_every_database(_object, name, kind, *_):
    """Whether the models state it: indexes of trigrams and of prefixes differ by database."""
    return kind != "index" or not name.endswith(("_trigrams", "_prefix"))


def tables(url):
    """Return the names of our tables in the database."""
    engine = make_engine(url)
    try:
        found = set(inspect(engine).get_table_names()) - {"alembic_version"}
        return {name for name in found if not name.startswith(FULL_TEXT)}
    finally:
        engine.dispose()


def _is_ours(name, kind, _parents):
    return kind != "table" or not name.startswith(FULL_TEXT)


def test_up_and_down_leave_nothing_behind(url):
    """Every migration goes up from nothing, down to nothing, and up again."""
    assert schema.current(url) is None
    schema.upgrade(url)
    assert schema.current(url) == schema.head()
    assert tables(url) == set(Base.metadata.tables)
    schema.downgrade(url, "base")
    assert schema.current(url) is None
    assert tables(url) == set()
    schema.upgrade(url)
    schema.check(url)


def test_the_migrations_make_what_the_models_state(url):
    """Alembic finds no difference between the migrated database and the mapped classes."""
    schema.upgrade(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        options = {"compare_type": True, "include_name": _is_ours}
        options |= {"include_object": is_for_every_database}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_conflicts_of_an_older_version_count_as_compared(url):
    """An upgrade puts no old draft in doubt; a new conflict is compared."""
    schema.upgrade(url, "0003")
    _execute(url, *_ROWS_OF_0003)
    schema.upgrade(url, "0005")
    _execute(url, _CONFLICT_OF_0005)
    schema.upgrade(url)
    store = Store(url)
    try:
        assert store.conflicts_to_compare() == []
        _execute(url, "UPDATE instances SET compared_at = NULL")
        (found,) = store.conflicts_to_compare()
        assert (found.sop_instance_uid, found.digest) == ("1.2.1", "b")
    finally:
        store.close()
    schema.downgrade(url, "0005")


def test_jobs_of_an_older_version_have_no_destinations_of_their_own(url):
    """Rows of revision 0003 stay unchanged both ways; a job that is created later has its own."""
    schema.upgrade(url, "0003")
    _execute(url, *_ROWS_OF_0003)
    schema.upgrade(url)
    store = Store(url)
    try:
        old = store.job("01234567")
        assert (old.destinations, old.attempts, old.reason) == (None, 2, "As it was.")
        wanted = JobRequest(
            study_instance_uid="1.2",
            model="tiny",
            version="1",
            force=True,
            destinations=["clinic"],
        )
        (new,) = store.schedule_all([wanted], actor="t", reason="Asked.")
        assert store.job(new.id).destinations == ("clinic",)
    finally:
        store.close()
    schema.downgrade(url, "0003")
    assert _execute(url, "SELECT attempts FROM jobs ORDER BY revision") == [(2,), (0,)]


def test_withheld_drafts_are_released_to_the_version_before(url):
    """It does not know them, and would never send them."""
    schema.upgrade(url, "0003")
    _execute(url, *_ROWS_OF_0003)
    schema.upgrade(url)
    _execute(
        url,
        "UPDATE jobs SET state = 'DRAFTED', reason_code = 'WITHHELD', reason = 'Withheld.'",
        """INSERT INTO withheld_drafts (job_id, destinations, withheld_at, until, release)
        SELECT id, '["pacs", "ris"]', created_at, created_at, '' FROM jobs""",
    )
    schema.downgrade(url, "0034")
    found = _execute(url, "SELECT destination, state FROM deliveries ORDER BY destination")
    assert found == [("pacs", "PENDING"), ("ris", "PENDING")]
    assert _execute(url, "SELECT state, reason_code FROM jobs") == [("DRAFTED", "")]
    schema.upgrade(url)
    store = Store(url)
    try:
        delivery, _ = store.claim_delivery(None, "worker", 60, {})
        assert (delivery.destination, delivery.attempts) == ("pacs", 1)
    finally:
        store.close()


def test_the_order_of_the_worklist_is_that_of_older_drafts_and_decisions(url):
    """Of the drafts of the version before, whatever their form; a decision that was undone is none."""
    schema.upgrade(url, "0003")
    _execute(url, *_ROWS_OF_0003)
    schema.upgrade(url, "0035")
    drafts = {
        "here": '{"findings": [{"observation": "edema", "presence": "present"}, '
        '{"observation": "pneumothorax", "presence": "uncertain"}]}',
        "none": '{"findings": [{"observation": "pneumothorax", "presence": "absent"}]}',
        "other": '{"findings": "pneumothorax present"}',
        "words": '{"findings": ["pneumothorax", 1, null]}',
        "text": '"pneumothorax"',
        "nul": r"""{"note": "\u0000 \\u0000", "findings": [{"observation": "pneumothorax",
            "presence": "present", "sentence": "\ud83d\ude00 \ud83d \ude00"}]}""",
        "half": r"""{"findings": [{"observation": "pneumothorax\udfff", "presence": "present"}]}""",
    }
    _execute(
        url,
        *(_copy_of_job(name, f"'{draft}'") for name, draft in drafts.items()),
        *(_copy_of_job(name, "NULL") for name in ("stands", "undone")),
        _decision("stands"),
        _decision("undone"),
        "INSERT INTO decision_undos SELECT 'undone', created_at FROM jobs WHERE id = 'here'",
    )
    schema.upgrade(url)
    assert _execute(url, "SELECT id FROM jobs WHERE urgent_finding ORDER BY id") == [
        ("here",),
        ("nul",),
    ]
    assert _execute(url, "SELECT id FROM jobs WHERE decided") == [("stands",)]
    schema.downgrade(url, "0035")


def _copy_of_job(name, draft):
    """Return the statement that copies a job with another id and draft."""
    columns = "study_instance_uid, calling_ae, model_version, state, urgent, forced, reason_code"
    columns += (
        ", reason, created_at, updated_at, attempts, first_error, last_error, lease_owner, fence"
    )
    return f"""INSERT INTO jobs (id, model_name, revision, draft, {columns})
        SELECT '{name}', '{name}', 1, {draft}, {columns} FROM jobs WHERE revision = 1
        AND id LIKE '0123%'"""  # noqa: S608 - constants of a test


def _decision(job):
    """Return the statement that inserts a decision on a job, of the same id."""
    empty = (
        "amends request_digest reviewer_id reviewer_name reviewer_organization verdict rejection"
    )
    empty += " reason device model_name model_version model_weights draft_uid study_instance_uid"
    numbers = "number distance sentences kept seconds base_version"
    lists = "content draft_findings draft_impression opcodes positive"
    values = dict.fromkeys(empty.split(), "''") | dict.fromkeys(numbers.split(), "1")
    values |= dict.fromkeys(lists.split(), "'[]'")
    values |= {"id": f"'{job}'", "job_id": f"'{job}'", "idempotency_key": f"'{job}'"}
    values |= dict.fromkeys(("at", "undo_until"), "'2026-03-01 09:00:00'")
    return f"INSERT INTO decisions ({', '.join(values)}) VALUES ({', '.join(values.values())})"  # noqa: S608 - constants of a test


_INCIDENTS_OF_0036 = """INSERT INTO incidents (at, actor, kind, subject, detail, alerted) VALUES
    ('2026-03-01 09:00:00', 'sweeper', 'refused', 'CT1', 'An old one.', true),
    ('2026-03-02 09:00:00', 'receive', 'refused', 'CT1', 'First.', true),
    ('2026-03-02 10:00:00', 'receive', 'refused', 'MR1', 'Second.', true),
    ('2026-03-02 11:00:00', 'receive', 'refused', 'CT1', 'Third.', true),
    ('2026-03-02 09:00:00', 'verify', 'lost_film', '1.2.3', 'Missing.', true)"""
_ALERTS_OF_0036 = """INSERT INTO incident_alerts (kind, subject, opened_at, last_at, count, detail,
    occurrence, acknowledged_by) VALUES
    ('refused', '', '2026-03-02 09:00:00', '2026-03-02 11:00:00', 3, 'CT1: Third.', 1, ''),
    ('lost_film', '', '2026-03-02 09:00:00', '2026-03-02 09:00:00', 1, '1.2.3: Missing.', 1, ''),
    ('destination_away', 'pacs', '2026-03-02 09:00:00', '2026-03-02 09:00:00', 1, 'Away.', 1, '')"""
_OPEN_ALERTS = """SELECT kind, subject, detail, count FROM incident_alerts WHERE closed_at IS NULL
    ORDER BY kind, subject"""


def test_open_alerts_are_kept_when_each_subject_gets_its_own(url):
    """One stands for each calling AE after the upgrade, and one for all after the downgrade."""
    schema.upgrade(url, "0036")
    _execute(url, _INCIDENTS_OF_0036, _ALERTS_OF_0036)
    schema.upgrade(url, "0037")
    others = [("destination_away", "pacs", "Away.", 1), ("lost_film", "", "1.2.3: Missing.", 1)]
    each = [("refused", "CT1", "Third.", 2), ("refused", "MR1", "Second.", 1)]
    assert _execute(url, _OPEN_ALERTS) == [*others, *each]
    schema.downgrade(url, "0036")
    assert _execute(url, _OPEN_ALERTS) == [*others, ("refused", "", "CT1: Third.", 3)]
    schema.upgrade(url, "0037")
    assert _execute(url, _OPEN_ALERTS) == [*others, *each]


def _execute(url, *statements):
    """Execute the statements; return the rows of the last one, or None when it has none."""
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            for statement in statements:
                result = connection.execute(text(statement))
            return result.fetchall() if result.returns_rows else None
    finally:
        engine.dispose()


_ROWS_OF_0003 = (
    """INSERT INTO studies (study_instance_uid, calling_ae, urgent, first_arrival, last_arrival)
    VALUES ('1.2', 'CLINIC', false, '2026-03-01 09:00:00', '2026-03-01 09:00:00')""",
    """INSERT INTO instances (id, study_instance_uid, sop_instance_uid, sop_class_uid,
    series_instance_uid, transfer_syntax_uid, sha256, size, path, calling_ae, association_id,
    eligible, conflict, received_at) VALUES (1, '1.2', '1.2.1', '1.2.3', '1.2.4', '1.2.5', 'a', 1,
    '/image', 'CLINIC', 'A', true, false, '2026-03-01 09:00:00')""",
    """INSERT INTO jobs (id, study_instance_uid, calling_ae, model_name, model_version, revision,
    state, urgent, forced, reason_code, reason, created_at, updated_at, attempts, first_error,
    last_error, lease_owner, fence) VALUES
    ('0123456789abcdef0123456789abcdef', '1.2', 'CLINIC', 'tiny', '1', 1, 'FAILED',
    false, false, '', 'As it was.', '2026-03-01 09:00:00', '2026-03-01 09:00:00', 2, '', '', '', 2)""",
)


_CONFLICT_OF_0005 = """INSERT INTO instances (id, study_instance_uid, sop_instance_uid, sop_class_uid,
    series_instance_uid, transfer_syntax_uid, digest, size, path, calling_ae, association_id,
    eligible, conflict, received_at) VALUES (2, '1.2', '1.2.1', '1.2.3', '1.2.4', '1.2.5', 'b', 1,
    '/film2', 'CLINIC', 'A', true, true, '2026-03-01 09:00:00')"""


def test_deliveries_survive_both_ways_and_notices_go_with_their_version(url):
    """An older version has one row for each destination: others are not kept."""
    schema.upgrade(url, "0003")
    _execute(url, *_ROWS_OF_0003)
    _execute(url, _DELIVERY.format(number=1, more="", values=""))
    schema.upgrade(url)
    _execute(
        url,
        _DELIVERY.format(number=2, more=", notice", values=", 'b'"),
        "UPDATE jobs SET doubt = 'It differs.', doubted_at = '2026-03-01 09:00:00'",
        """INSERT INTO refusals (cause, calling_ae, address, sop_class_uid, count, first_at, last_at)
        VALUES ('c', 'A', '', '', 1, '2026-03-01 09:00:00', '2026-03-01 09:00:00')""",
        """INSERT INTO reconciliations (archive, position, tried_at, missing, fault)
        VALUES ('pacs', 7, '2026-03-01 09:00:00', 0, '')""",
    )
    schema.downgrade(url, "0005")
    assert _execute(url, "SELECT id, attempts FROM deliveries") == [(1, 3)]
    schema.upgrade(url)
    unnoticed = "SELECT notice, unlisted, read_back FROM deliveries"
    assert _execute(url, unnoticed) == [("", 0, None)]


_DELIVERY = """INSERT INTO deliveries (id, job_id, destination, state, attempts, first_error, last_error,
    created_at, lease_owner, fence{more}) VALUES ({number}, '0123456789abcdef0123456789abcdef', 'pacs',
    'PENDING', 3, '', '', '2026-03-01 09:00:00', '', 3{values})"""


def test_counting_alarms_walks_no_table(tmp_path):
    """The queue's page polls every few seconds; it must not scan a million jobs."""
    url = f"sqlite:///{tmp_path / 'wetread.db'}"
    schema.upgrade(url)
    for status, index in (
        (DraftStatus.WITHDRAWN, "ix_jobs_withdrawn"),
        (DraftStatus.IN_DOUBT, "ix_jobs_in_doubt"),
    ):
        counting = select(func.count()).select_from(JobRow).where(*alarmed(status))
        engine = make_engine(url)
        with engine.begin() as connection:
            statement = counting.compile(
                connection, compile_kwargs={"render_postcompile": True, "literal_binds": False}
            )
            plan = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", tuple(statement.params.values())
            )
            assert index in " ".join(row.detail for row in plan)
        engine.dispose()


def test_an_upgrade_twice_at_the_same_time_is_one(url):
    """Processes that start together and all upgrade do not disturb each other."""
    faults = []

    def upgrade():
        try:
            schema.upgrade(url)
        except Exception as error:  # noqa: BLE001 - the test reports any
            faults.append(error)

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    schema.check(url)


def test_many_that_open_a_new_file_at_once_all_get_it(tmp_path):
    """SQLite reports to some of them at once that it is locked, for any busy timeout."""
    faults = []

    def begin(url, together):
        engine = make_engine(url)
        together.wait()
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS a (b)")
        except OperationalError as error:
            faults.append(error)
        engine.dispose()

    for number in range(100):  # of 2,400 that did so 31 failed
        arguments = (f"sqlite:///{tmp_path}/{number}.db", threading.Barrier(6))
        threads = [threading.Thread(target=begin, args=arguments) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert faults == []


def test_an_empty_database_is_refused_with_the_command_that_helps(url):
    """Before the first upgrade the check names the revision that is needed and the command for it."""
    with pytest.raises(SchemaMismatch, match="wetread db upgrade"):
        schema.check(url)


def test_a_database_that_is_away_is_unavailable(free_port):
    """A PostgreSQL that does not answer is StoreUnavailable, not an error of the library."""
    with pytest.raises(StoreUnavailable):
        schema.current(f"postgresql+psycopg://wetread@127.0.0.1:{free_port()}/none")


def test_another_database_is_a_fault_of_the_configuration():
    """Only SQLite and PostgreSQL are accepted."""
    with pytest.raises(ConfigurationError, match="sqlite and postgresql"):
        make_engine("mysql://host/name")


def test_an_upgrade_that_fails_changes_nothing(tmp_path):
    """A database that already has a table of ours, but no revision, is left as it was."""
    file = tmp_path / "wetread.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE deliveries (id INTEGER)")
    with pytest.raises(StoreUnavailable):
        schema.upgrade(f"sqlite:///{file}")
    assert tables(f"sqlite:///{file}") == {"deliveries"}


def test_a_database_of_a_newer_version_is_reported_as_such(url):
    """After going back to an older version neither check nor upgrade prints wrong advice."""
    schema.upgrade(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for act in (schema.check, schema.upgrade):
        with pytest.raises(SchemaMismatch, match="revision 9999, which this version does not know"):
            act(url)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("/no_such_base", r'the server has no database "no_such_base": create it \(createdb\)'),
        (
            "/postgres?user=nobody_here",
            "the server refuses the user or the password: check both in database.url",
        ),
    ],
)
def test_a_missing_database_or_user_is_not_taken_for_an_old_schema(postgres_url, part, message):
    """The advice is about database.url; `wetread db upgrade` could not help."""
    server = postgres_url.rpartition("/")[0]
    if "user=" in part:
        server = server.replace("wetread@", "")
    for act in (schema.check, schema.upgrade):
        with pytest.raises(StoreUnavailable, match=message) as caught:
            act(f"{server}{part}")
        assert "db upgrade" not in str(caught.value)


@pytest.mark.parametrize("folder", ["/proc/x", "/etc/hostname/run"])
def test_a_folder_that_cannot_be_made_is_named(folder):
    """A wrong data_dir is reported as such, by check and by upgrade."""
    for act in (schema.check, schema.upgrade):
        with pytest.raises(ConfigurationError, match=f"data_dir .*{folder} cannot be created"):
            act(f"sqlite:///{folder}/wetread.db")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_url_without_a_driver_uses_the_installed_one(postgres_url, scheme):
    """postgresql:// and the older postgres:// reach the same database."""
    schema.upgrade(postgres_url.replace("postgresql+psycopg", scheme))
    assert schema.current(postgres_url) == schema.head()


def test_a_server_that_does_not_listen_is_named_without_the_text_of_the_driver():
    """Host and port are named, and what to do; the driver's message is not repeated."""
    message = (
        r"now: no PostgreSQL answers at 127\.0\.0\.1, port 1: start it, or correct host and port"
    )
    with pytest.raises(StoreUnavailable, match=message):
        schema.check("postgresql+psycopg://user:secret@127.0.0.1:1/wetread")
