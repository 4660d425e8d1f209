"""`/metrics` for Prometheus, computed from the store at each scrape; no label holds a patient or UID."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from service.errors import StoreError
from service.jobs import DeliveryState, JobState
from service.monitoring.decision_figures import DecisionFigureCache
from service.monitoring.destination_incidents import backlogs
from service.queue.broker_health import BrokerFault, check_broker
from service.queue.names import reading_queues
from service.records import CommitmentState, ProcessStatus
from service.records.shadow import ShadowState
from service.settings.config import Settings
from service.store import Store
from service.system.disk_space import Watermark, free_bytes
from service.web.alert_metrics import alert_metrics, balance_metrics, probe_metrics
from service.web.app_context import app_context_of
from service.web.status.refusal_text import class_label
from service.web.status.status_text import SystemStatus

_RECENT_INCIDENTS: Final = 1000
_RECENT_DRAFTS: Final = 100
_OPEN_ALERTS: Final = 500


async def metrics(request: Request) -> Response:
    """Answer with the metrics in Prometheus' text format."""
    registry = app_context_of(request).registry
    return Response(
        await run_in_threadpool(generate_latest, registry), media_type=CONTENT_TYPE_LATEST
    )


def make_registry(
    store: Store, settings: Settings, figures: DecisionFigureCache
) -> CollectorRegistry:
    """Return a registry with the metrics of the store and of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry, namespace="wetread_web")
    registry.register(StoreCollector(store, settings, figures))
    return registry


class StoreCollector(Collector):
    """Queries the store at each scrape; `wetread_database_up` reports whether it answered."""

    def __init__(
        self, store: Store, settings: Settings, figures: DecisionFigureCache | None = None
    ) -> None:
        """Take the store, the settings and the figures of decisions, which are made if None."""
        self._figures = figures or DecisionFigureCache(store)
        self._store = store
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield self._spool()
        step = float(Watermark(self._settings).measure())
        broker = check_broker(self._settings).fault
        description = "Whether the message broker answers and accepts messages."
        yield _family("wetread_broker_up", description, float(broker is None))
        yield _broker_faults(broker)
        yield _family("wetread_disk_step", "0 roomy, 1 warn, 2 early removal, 3 refusing.", step)
        try:
            # All queries come before the first `yield`: a scrape has all families of the store or none.
            families = [
                self._jobs(),
                self._questions(),
                self._drafts(),
                self._oldest(),
                self._stages(),
                self._incidents(),
                self._refusals(),
                *self._processes(),
                self._models(),
                self._stopped(),
                self._shadows(),
                self._deliveries(),
                *self._destinations(),
                self._tokens(),
                self._drift_alerts(),
                *self._final_reports(),
                *self._reconciliations(),
                *self._commitments(),
                *self._decisions(),
                alert_metrics(self._store),
                balance_metrics(self._store),
                *probe_metrics(self._store, self._settings),
            ]
        except StoreError:
            yield _family("wetread_database_up", "Whether the database answered.", 0)
            return
        yield _family("wetread_database_up", "Whether the database answered.", 1)
        yield from families

    def _jobs(self) -> Metric:
        family = GaugeMetricFamily("wetread_jobs", "Jobs by state.", labels=["state"])
        counts = self._store.counts()
        for state in JobState:
            family.add_metric([state.value], counts.get(state, 0))
        return family

    def _questions(self) -> Metric:
        description = "Stored questions about images by state; they are removed with the images."
        family = GaugeMetricFamily("wetread_questions", description, labels=["state"])
        for state, count in self._store.question_counts().items():
            family.add_metric([state.value], count)
        return family

    def _drafts(self) -> Metric:
        family = GaugeMetricFamily(
            "wetread_drafts",
            "Drafts that are withdrawn, and drafts in doubt that no later one supersedes.",
            labels=["status"],
        )
        for status, count in self._store.alarm_counts().items():
            family.add_metric([status.value], count)
        return family

    def _oldest(self) -> Metric:
        oldest = self._store.oldest_waiting()
        age = (self._store.now() - oldest.created_at).total_seconds() if oldest else 0.0
        return _family(
            "wetread_oldest_waiting_seconds",
            "Age of the oldest job without a draft.",
            max(age, 0.0),
        )

    def _stages(self) -> Metric:
        family = GaugeMetricFamily(
            "wetread_stage_seconds",
            "Time per stage over the latest drafts.",
            labels=["stage", "quantile"],
        )
        times: defaultdict[str, list[float]] = defaultdict(list)
        for timings in self._store.draft_timings(_RECENT_DRAFTS):
            for stage, milliseconds in timings.items():
                times[stage].append(milliseconds / 1000)
        for stage, measured in sorted(times.items()):
            measured.sort()
            for quantile in (0.5, 0.95):
                family.add_metric(
                    [stage, str(quantile)], measured[int(quantile * (len(measured) - 1))]
                )
        return family

    def _incidents(self) -> Metric:
        family = GaugeMetricFamily(
            "wetread_recent_incidents",
            "The latest incidents by kind.",
            labels=["kind"],
        )
        kinds = Counter(each.kind for each in self._store.incidents(_RECENT_INCIDENTS))
        for kind, count in sorted(kinds.items()):
            family.add_metric([kind], count)
        return family

    def _refusals(self) -> Metric:
        family = CounterMetricFamily(
            "wetread_not_accepted",
            "Requests and objects that the receiver refused, by cause and SOP Class.",
            labels=["cause", "sop_class"],
        )
        counts: Counter[tuple[str, str]] = Counter()
        for (cause, uid), count in self._store.refusal_totals().items():
            counts[cause, class_label(uid)] += count
        for labels, count in sorted(counts.items()):
            family.add_metric(list(labels), count)
        return family

    def _processes(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "wetread_processes", "Processes by role, alive and silent.", labels=["role", "alive"]
        )
        processes = self._store.processes()
        situation = SystemStatus(now=self._store.now(), processes=processes)
        seen = Counter((each.role, situation.alive(each)) for each in processes)
        for role in sorted({role for role, _ in seen}):
            for alive in (True, False):
                family.add_metric([role, str(alive).lower()], seen[role, alive])
        yield family
        cut_off = len(situation.reporting(ProcessStatus.CUT_OFF))
        description = "Running workers that receive nothing from the message broker."
        yield _family("wetread_workers_cut_off", description, cut_off)

    def _models(self) -> Metric:
        family = GaugeMetricFamily(
            "wetread_model_load_failed",
            "1 where no worker of the model works because the model could not be loaded.",
            labels=["model"],
        )
        situation = SystemStatus(now=self._store.now(), processes=self._store.processes())
        for model, role in reading_queues(self._settings).items():
            family.add_metric([model], float(situation.load_failure(role) is not None))
        return family

    def _stopped(self) -> Metric:
        stopped = float(self._store.drafting_stop() is not None)
        return _family(
            "wetread_drafting_stopped", "1 while a person has stopped drafting.", stopped
        )

    def _shadows(self) -> Metric:
        family = GaugeMetricFamily(
            "wetread_shadow_readings",
            "Readings of shadow models whose images are kept, by model and state.",
            labels=["model", "state"],
        )
        counts = self._store.shadow_counts()
        for model in self._settings.shadows():
            for state in ShadowState:
                family.add_metric([model, state.value], counts.get((model, state), 0))
        return family

    def _deliveries(self) -> Metric:
        family = GaugeMetricFamily(
            "wetread_deliveries",
            "Deliveries by destination and state.",
            labels=["destination", "state"],
        )
        counts = self._store.delivery_counts()
        names = {each.name for each in self._settings.destinations} | {name for name, _ in counts}
        for name in sorted(names):
            for state in DeliveryState:
                family.add_metric([name, state.value], counts.get((name, state), 0))
        return family

    def _destinations(self) -> list[Metric]:
        oldest = GaugeMetricFamily(
            "wetread_oldest_undelivered_seconds",
            "Age of the oldest result that a destination has not confirmed; 0: none waits.",
            labels=["destination"],
        )
        success = GaugeMetricFamily(
            "wetread_destination_last_success_timestamp_seconds",
            "When a destination last confirmed results, Unix time; 0: never.",
            labels=["destination"],
        )
        paused = GaugeMetricFamily(
            "wetread_destination_paused",
            "1 while a person has paused the deliveries to a destination.",
            labels=["destination"],
        )
        now = self._store.now()
        for each in backlogs(self._store, self._settings):
            paused.add_metric([each.destination], float(each.pause is not None))
            oldest.add_metric([each.destination], each.age(now).total_seconds())
            at = each.succeeded_at.timestamp() if each.succeeded_at else 0.0
            success.add_metric([each.destination], at)
        return [oldest, success, paused]

    def _drift_alerts(self) -> Metric:
        family = GaugeMetricFamily(
            "wetread_monitor_alerts",
            "Open alerts of drift, by chart and level.",
            labels=["stream", "level"],
        )
        found = Counter(
            (each.chart, each.level.value)
            for each in self._store.drift_alerts(only_open=True, limit=_OPEN_ALERTS)
        )
        for labels, count in sorted(found.items()):
            family.add_metric(list(labels), count)
        return family

    def _final_reports(self) -> list[Metric]:
        reports = GaugeMetricFamily(
            "wetread_final_reports",
            "Final reports that came back, by way of arrival and state.",
            labels=["source", "state"],
        )
        for (source, state), count in self._store.final_report_totals().items():
            reports.add_metric([source.value, state.value], count)
        messages = CounterMetricFamily(
            "wetread_hl7_messages", "HL7 messages by result.", labels=["result"]
        )
        for each in self._store.hl7_messages():
            messages.add_metric([each.result.value], each.count)
        return [reports, messages]

    def _tokens(self) -> Metric:
        family = GaugeMetricFamily(
            "wetread_token_expires_seconds",
            "Seconds until a token expires, negative afterwards; revoked ones are left out.",
            labels=["token"],
        )
        now = self._store.now()
        for token in self._store.tokens():
            if token.revoked_at is None and token.expires_at is not None:
                family.add_metric([token.name], (token.expires_at - now).total_seconds())
        return family

    def _reconciliations(self) -> list[Metric]:
        rows = self._store.reconciliations()
        missing = GaugeMetricFamily(
            "wetread_reconcile_missing",
            "Studies of an archive that are missing or incomplete here.",
            labels=["archive"],
        )
        last = GaugeMetricFamily(
            "wetread_reconcile_last_success_timestamp_seconds",
            "When an archive was last compared, Unix time; 0: never.",
            labels=["archive"],
        )
        for row in rows:
            missing.add_metric([row.archive], row.missing)
            last.add_metric([row.archive], row.compared_at.timestamp() if row.compared_at else 0.0)
        return [missing, last]

    def _commitments(self) -> list[Metric]:
        counts = GaugeMetricFamily(
            "wetread_commitment_reports",
            "Storage commitment reports that are owed, and those given up in the last 7 days.",
            labels=["state"],
        )
        found, now = self._store.commitment_backlogs(), self._store.now()
        for state in (CommitmentState.OWED, CommitmentState.GIVEN_UP):
            counts.add_metric([state.value], sum(one.count for one in found if one.state is state))
        ages = [now - one.oldest for one in found if one.state is CommitmentState.OWED]
        oldest = _family(
            "wetread_oldest_commitment_report_seconds",
            "Age of the oldest storage commitment report that is owed; 0: none is.",
            max((age.total_seconds() for age in ages), default=0.0),
        )
        return [counts, oldest]

    def _decisions(self) -> list[Metric]:
        made, undone = self._figures.counts()
        decisions = CounterMetricFamily(
            "wetread_decisions",
            "Decisions on drafts by verdict; undone and amended ones are counted too.",
            labels=["verdict"],
        )
        for verdict, count in made.items():
            decisions.add_metric([verdict.value], count)
        return [
            decisions,
            CounterMetricFamily("wetread_decisions_undone", "Decisions that were undone.", undone),
        ]

    def _spool(self) -> Metric:
        try:
            free = float(free_bytes(self._settings.spool_dir))
        except OSError:
            free = 0.0
        return _family("wetread_spool_free_bytes", "Free space on the spool's disk.", free)


def _broker_faults(fault: BrokerFault | None) -> Metric:
    family = GaugeMetricFamily(
        "wetread_broker_fault",
        "1 for the reason why no message can be sent by the message broker.",
        labels=["reason"],
    )
    for each in BrokerFault:
        family.add_metric([each.value], float(each is fault))
    return family


def _family(name: str, description: str, value: float) -> Metric:
    return GaugeMetricFamily(name, description, value=value)
