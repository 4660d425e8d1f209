"""The only place that holds a database session. It returns frozen records, raises typed errors only."""

from typing import Self

from service.database.schema import check
from service.settings.config import Settings
from service.store.accounts.login_attempts import LoginAttempts
from service.store.accounts.oidc_people import OidcPeople
from service.store.accounts.own_account import OwnAccount
from service.store.accounts.password_links import PasswordLinks
from service.store.accounts.sessions import Sessions
from service.store.accounts.tokens import Tokens
from service.store.alerts import Alerts
from service.store.arrivals import Arrivals
from service.store.audit.request_claims import RequestClaims
from service.store.audit.trail import AuditTrail
from service.store.backlogs import Backlogs
from service.store.commitments import CommitmentReports
from service.store.deliveries import Deliveries
from service.store.doubts import Doubts
from service.store.drift.alerts import DriftStore
from service.store.drift.recording import MonitorRecording
from service.store.drift.withholding import Withholding
from service.store.final_reports.messages import Hl7MessageCounts
from service.store.final_reports.queries import FinalReportQueries
from service.store.final_reports.taking import FinalReportTaking
from service.store.heartbeats_incidents import HeartbeatsAndIncidents
from service.store.history import History
from service.store.job_lists.listing import JobLists
from service.store.jobs import Jobs
from service.store.network.calling_aes import CallingAeCounts
from service.store.network.pauses import DestinationPauses
from service.store.notifications import Notifications
from service.store.operator.actions import OperatorActions
from service.store.operator.batches import Batches
from service.store.operator.drafting_stops import DraftingStops
from service.store.operator.model_choices import ModelChoices
from service.store.operator.repeats import Repeats
from service.store.probes import Probes
from service.store.quality.period import QualityPeriods
from service.store.queries import Queries
from service.store.reader_study.closing import ReaderStudyClosing
from service.store.reader_study.creating import ReaderStudyCreation
from service.store.reader_study.reading import ReaderStudyReading
from service.store.reconciliations import Reconciliations
from service.store.refusals import RefusalCounts
from service.store.review.author_notices import AuthorNotices
from service.store.review.awaiting import Awaiting
from service.store.review.decisions import Decisions
from service.store.review.figures import DecisionFigures
from service.store.review.question_claims import QuestionClaims
from service.store.review.questions import Questions
from service.store.review.texts import Reviews
from service.store.review.verified_reports import VerifiedReports
from service.store.scheduling import Scheduling
from service.store.search.texts import SearchTexts
from service.store.search.vectors import ImageVectors
from service.store.shadow_readings import ShadowReadings
from service.store.spool_audit import SpoolAudit
from service.store.study_identities import StudyIdentities
from service.store.sweeper_queries import SweeperQueries
from service.store.throughput.changes import ServiceChanges
from service.store.throughput.repair import UnaccountedRepair
from service.store.throughput.rollups import HourlyFigures
from service.store.throughput.undelivered import Undelivered
from service.system.socket_limits import POSTGRESQL_RECEIVER_SECONDS

__all__ = ["Store"]


class Store(
    Arrivals,
    Scheduling,
    Jobs,
    JobLists,
    Batches,
    OperatorActions,
    Repeats,
    Deliveries,
    CommitmentReports,
    Doubts,
    Decisions,
    VerifiedReports,
    SweeperQueries,
    Queries,
    History,
    SpoolAudit,
    HeartbeatsAndIncidents,
    RefusalCounts,
    Tokens,
    Reconciliations,
    Backlogs,
    DestinationPauses,
    CallingAeCounts,
    Reviews,
    DecisionFigures,
    AuthorNotices,
    Awaiting,
    OidcPeople,
    PasswordLinks,
    OwnAccount,
    Sessions,
    LoginAttempts,
    DraftingStops,
    ModelChoices,
    AuditTrail,
    QualityPeriods,
    RequestClaims,
    StudyIdentities,
    ShadowReadings,
    FinalReportTaking,
    FinalReportQueries,
    Hl7MessageCounts,
    Questions,
    QuestionClaims,
    MonitorRecording,
    DriftStore,
    Withholding,
    ImageVectors,
    SearchTexts,
    HourlyFigures,
    Undelivered,
    ServiceChanges,
    UnaccountedRepair,
    ReaderStudyCreation,
    ReaderStudyReading,
    ReaderStudyClosing,
    Probes,
    Alerts,
    Notifications,
):
    """The database of one service; threads may share one, each process opens its own.

    A method changes the database in one transaction; `fail_overdue` and `take_back_deliveries` use one
    for each delivery, `notify_authors` one for each notice. Some look first in a reading transaction of
    their own, for example `claim_shadow`, `match_waiting_reports` and `token_of`. Each method raises
    `StoreUnavailable` if the database does not answer, is locked or full, and `SchemaMismatch` if a
    table or column is missing.
    """

    @classmethod
    def open(cls, settings: Settings, *, receives: bool = False) -> Self:
        """Return the store of the configured database.

        Args:
            settings: The settings in force.
            receives: Whether a sender waits for the result; PostgreSQL then has a shorter time limit.

        Raises:
            StoreUnavailable: The database does not answer.
            SchemaMismatch: The database is not at the revision that this code needs.
        """
        check(settings.database_url)
        busy = _busy_seconds(settings, receives=receives)
        return cls(settings.database_url, busy_seconds=busy)


def _busy_seconds(settings: Settings, *, receives: bool) -> float:
    busy = settings.database.busy_seconds
    # SQLite has no server that can stop answering: only its other writers, in this process and in
    # others, make a writer wait.
    if receives and not settings.database_url.startswith("sqlite"):
        return min(busy, POSTGRESQL_RECEIVER_SECONDS)
    return busy
