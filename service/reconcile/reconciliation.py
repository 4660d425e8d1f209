"""Compares an archive with the database; lists missing Studies and, if configured, fetches them.

A look lists the archive's Instances of the configured modalities (CR and DX by default) and hours, and
looks each up in the database. An Instance counts as missing when it has been absent for `after_seconds`:
until then it may be on its way. The number of the archive's last change up to which nothing is missing
is stored, and the next look begins there. A long list of changes takes several looks; absent Instances
are remembered meanwhile.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicom.archives.archive import Archive, HeldInstance, Listing, Window
from dicom.errors import DestinationError
from dicom.scp.presentation_contexts import DOCUMENT_CLASSES, STORAGE_CLASSES
from service.log import get_logger
from service.reconcile.comparison import (
    Comparison,
    Lack,
    LackingStudy,
    by_study,
    other_classes,
    position_before,
    without,
)
from service.reconcile.fetch import Fetcher
from service.reconcile.needs import job_needs
from service.records import IncidentKind, JobNeed
from service.sentence import ended
from service.settings.config import Settings
from service.settings.keys.reconcile import Reconcile
from service.store import Store

_ACTOR = "reconcile"
_ALL = 2**62
_MOST_CHANGES = 20_000  # of one look; the next one continues from there

_UNREADY = (JobNeed.WAITS, JobNeed.OVERDUE)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """An Instance that cannot be stored here, the reason, and when it was refused (`passed` seconds)."""

    instance: HeldInstance
    reason: str
    at: float


class Reconciler:
    """Compares one archive repeatedly; stores since when each Instance is absent."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        table: Reconcile,
        archive: Archive,
        fetcher: Fetcher | None = None,
        passed: Callable[[], float] = time.monotonic,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the archive and the database that are compared.

        Args:
            store: The database.
            settings: The settings.
            table: The table `[[reconcile]]` of the archive.
            archive: The archive.
            fetcher: Fetches what is missing; nothing is fetched when None.
            passed: Returns seconds by a clock that cannot be set.
            is_stopping: Returns True when no further Study may be fetched.
        """
        self._is_stopping = is_stopping
        self._store = store
        self._table = table
        self._archive = archive
        self._fetcher = fetcher
        self._passed = passed
        configured = settings.receiver.storage_classes
        self._accepted = frozenset({*STORAGE_CLASSES, *configured})
        self._documents = frozenset(DOCUMENT_CLASSES).difference(configured)
        self._absent_since: dict[str, float] = {}
        self._is_first = True
        self._absent_at_first: set[str] = set()
        self._refused: dict[str, _Refused] = {}
        self._settled: dict[str, int] = {}
        self._reported: set[str] = set()
        # The change after which the next look continues; 0: after the stored position.
        self._goes_on_after = 0
        self._open: dict[str, HeldInstance] = {}
        self._reach = timedelta(hours=table.hours)

    def compare(self, *, complete: bool = False, at_once: bool = False) -> Comparison:
        """Compare once, fetch what is missing, and store the result for page and metrics.

        Args:
            complete: Compare the whole window, also Studies that an earlier look found complete.
            at_once: Absent Instances count as missing at once, without `after_seconds`.

        Raises:
            DestinationError: The archive did not answer; an incident reports that.
            StoreUnavailable: The database does not answer.
        """
        window = self._window(complete=complete)
        try:
            listing = self._archive.listing(window)
        except DestinationError as error:
            self._note_fault(str(error))
            raise
        self._forget_gone(window, listing)
        self._forget_refused()
        accepted = self._accepted_instances(listing)
        after = 0.0 if at_once else self._table.after_seconds
        waiting, due = self._absent(accepted, after)
        fetched, fault = [], ""
        if due and self._fetcher is not None:
            fault = self._fetch(self._fetcher, due)
            asked = due
            # Looked up again: only the database shows what the fetch has stored.
            waiting, due = self._absent(accepted, after)
            fetched = without(asked, due)
        needs = job_needs(self._store, by_study(accepted), self._documents)
        lacking = self._lacking(accepted, due, needs)
        unready = {uid for uid, need in needs.items() if need in _UNREADY}
        without_image = [uid for uid, need in needs.items() if need is JobNeed.NO_IMAGE]
        incomplete = {each.study_instance_uid for each in [*waiting, *due]}
        comparison = Comparison(
            studies=len({each.study_instance_uid for each in accepted}),
            lacking=lacking,
            waiting=len(waiting),
            without_image=[uid for uid in without_image if uid not in incomplete],
            other_classes=other_classes(listing.instances, self._accepted),
            fetched=fetched,
            fault=fault,
        )
        still = [each for each in [*waiting, *due] if each.sop_instance_uid not in self._refused]
        if not complete:
            self._settle(listing, incomplete | unready)
        # A look by hand has its own window, and shows nothing about changes before it.
        position = None if complete else position_before(listing, accepted, still, unready)
        complete_at = None if complete else self._complete_at(listing, still)
        if not complete:
            self._remember(listing, accepted, still, unready)
        self._note(comparison, position=position, complete_at=complete_at)
        return comparison

    def _forget_gone(self, window: Window, listing: Listing) -> None:
        """Forget open Instances whose change was listed again, but not the Instance itself.

        They were removed from the archive, or are now older than the window.
        """
        listed = {each.sop_instance_uid for each in listing.instances}
        self._open = {
            uid: each
            for uid, each in self._open.items()
            if uid in listed or not window.position < each.sequence <= listing.position
        }

    def _remember(
        self,
        listing: Listing,
        accepted: Sequence[HeldInstance],
        absent: Sequence[HeldInstance],
        unready: set[str],
    ) -> None:
        """Store where the next look continues, and which Instances it has to look up again."""
        gone = {each.sop_instance_uid for each in absent}
        self._open = {
            each.sop_instance_uid: each
            for each in accepted
            if each.sequence
            and (each.sop_instance_uid in gone or each.study_instance_uid in unready)
        }
        self._goes_on_after = 0 if listing.is_whole else listing.position

    def _complete_at(self, listing: Listing, still: Sequence[HeldInstance]) -> datetime | None:
        """Return the latest time such that all that the archive had then is here; None if not known.

        It is not known without a fetcher, before the end of the window is reached, and while Instances
        are absent that were absent at the first look of this process: since when is unknown.
        """
        uids = {each.sop_instance_uid for each in still}
        self._absent_at_first = uids & (uids if self._is_first else self._absent_at_first)
        self._is_first = self._is_first and not listing.is_whole
        if self._absent_at_first or self._fetcher is None or not listing.is_whole:
            return None
        now = self._passed()
        longest = max((now - self._absent_since[uid] for uid in uids), default=0.0)
        return self._store.now() - timedelta(seconds=longest)

    def _accepted_instances(self, listing: Listing) -> list[HeldInstance]:
        """Return the Instances that must be here: listed now, or listed earlier and refused or open."""
        candidates = {uid: each.instance for uid, each in self._refused.items()} | self._open
        candidates |= {each.sop_instance_uid: each for each in listing.instances}
        return [each for each in candidates.values() if self._is_accepted(each)]

    def _window(self, *, complete: bool) -> Window:
        """Return the window to list.

        If missing Instances are fetched, it reaches back beyond the last time at which everything was
        here, so that an outage of any length is covered.
        """
        rows = {each.archive: each for each in self._store.reconciliations()}
        row = rows.get(self._table.name)
        end = self._store.now()
        if complete or row is None:
            most = _ALL if complete else _MOST_CHANGES
            since, modalities = end - self._reach, self._table.modalities
            return Window(since=since, modalities=modalities, most_changes=most)
        if self._fetcher is not None and row.complete_at is not None:
            end = min(end, row.complete_at)
        return Window(
            since=end - self._reach,
            modalities=self._table.modalities,
            position=max(row.position, self._goes_on_after),
            most_changes=_MOST_CHANGES,
            is_settled=lambda uid, count: self._settled.get(uid) == count,
        )

    def _is_accepted(self, instance: HeldInstance) -> bool:
        return not instance.sop_class_uid or instance.sop_class_uid in self._accepted

    def _absent(
        self, accepted: Sequence[HeldInstance], after: float
    ) -> tuple[list[HeldInstance], list[HeldInstance]]:
        """Return the absent Instances: those absent for less than `after` seconds, and the others."""
        known = self._store.known_instances({each.sop_instance_uid for each in accepted})
        absent = [each for each in accepted if each.sop_instance_uid not in known]
        now = self._passed()
        self._absent_since = {
            each.sop_instance_uid: self._absent_since.get(each.sop_instance_uid, now)
            for each in absent
        }
        due = [each for each in absent if now - self._absent_since[each.sop_instance_uid] >= after]
        uids = {each.sop_instance_uid for each in due}
        return [each for each in absent if each.sop_instance_uid not in uids], due

    def _fetch(self, fetcher: Fetcher, due: Sequence[HeldInstance]) -> str:
        """Fetch Study by Study; return why not all came, or "".

        An Instance that was refused for good is not fetched again within the hours of the window. If
        the archive refuses a Study, the others are still fetched; after an error that may pass (no
        answer, no room here) no further Study is tried.
        """
        fault = ""
        for instances in by_study(due).values():
            remaining = [each for each in instances if each.sop_instance_uid not in self._refused]
            if not remaining or self._is_stopping():
                continue
            fetched = fetcher.fetch(self._archive, remaining)
            for each in remaining:
                if reason := fetched.refused.get(each.sop_instance_uid):
                    refused = _Refused(instance=each, reason=reason, at=self._passed())
                    self._refused[each.sop_instance_uid] = refused
            fault = fetched.fault or next(iter(fetched.postponed.values()), "") or fault
            if fetched.stops_fetching:
                break
        return fault

    def _lacking(
        self,
        accepted: Sequence[HeldInstance],
        due: Sequence[HeldInstance],
        here: Mapping[str, JobNeed],
    ) -> list[LackingStudy]:
        """Return the Studies of `accepted` that are missing or incomplete here, or have no job."""
        listed = by_study(accepted)
        absent = by_study(due)
        lacking = []
        for study, instances in listed.items():
            missing = tuple(absent.get(study, ()))
            lack = Lack.INSTANCES if missing else Lack.JOB
            if study not in here:
                lack = Lack.STUDY
            elif not missing and here[study] is not JobNeed.OVERDUE:
                continue
            if lack is Lack.STUDY and not missing:
                continue  # its Instances may be on their way
            reasons = (self._reason(each) for each in missing)
            lacking.append(
                LackingStudy(
                    study_instance_uid=study,
                    lack=lack,
                    listed=len(instances),
                    absent=missing,
                    refused=next(filter(None, reasons), ""),
                )
            )
        return lacking

    def _reason(self, instance: HeldInstance) -> str:
        refused = self._refused.get(instance.sop_instance_uid)
        return refused.reason if refused else ""

    def _settle(self, listing: Listing, unsettled: set[str]) -> None:
        """Remember settled Studies with their number of Instances: they need not be listed again."""
        self._settled = {
            study: count for study, count in listing.counts.items() if study not in unsettled
        }

    def _forget_refused(self) -> None:
        """Remove refusals older than the window: otherwise they would be reported forever."""
        oldest = self._passed() - self._reach.total_seconds()
        self._refused = {uid: each for uid, each in self._refused.items() if each.at >= oldest}

    def _note(
        self, comparison: Comparison, *, position: int | None, complete_at: datetime | None
    ) -> None:
        name, lacking = self._table.name, comparison.lacking
        self._store.note_reconciliation(
            name,
            position=position,
            missing=len(lacking),
            complete_at=complete_at,
            fault=comparison.fault,
        )
        is_news = lacking or comparison.waiting or comparison.fetched
        say = log.info if is_news else log.debug
        say(
            "archive_compared",
            archive=name,
            studies=comparison.studies,
            missing=len(lacking),
            waiting=comparison.waiting,
            fetched=len(comparison.fetched),
        )
        if comparison.fetched:
            count = len(comparison.fetched)
            what = f"{count} instances" if count > 1 else "1 instance"
            self._incident(
                IncidentKind.STUDIES_FETCHED,
                f"{what} had not been received and {'was' if count == 1 else 'were'} fetched.",
            )
        fresh = [each for each in lacking if each.study_instance_uid not in self._reported]
        if fresh:
            first, count = fresh[0], len(fresh)
            studies = "1 study is" if count == 1 else f"{count} studies are"
            cause = f": {first.refused}" if first.refused else ""
            self._incident(
                IncidentKind.STUDIES_MISSING,
                f"{studies} missing or incomplete here; the first is "
                f"{first.study_instance_uid} ({first.lack}{cause}). `wetread reconcile` lists all.",
            )
        self._reported = {each.study_instance_uid for each in lacking}

    def _note_fault(self, fault: str) -> None:
        name = self._table.name
        before = {each.archive: each.fault for each in self._store.reconciliations()}
        self._store.note_not_compared(name, fault)
        log.warning("archive_not_compared", archive=name, reason=fault)
        if not before.get(name):
            self._incident(
                IncidentKind.ARCHIVE_NOT_COMPARED, f"It could not be compared: {ended(fault)}"
            )

    def _incident(self, kind: IncidentKind, detail: str) -> None:
        self._store.record_incident(
            actor=_ACTOR, kind=kind, subject=self._table.name, detail=detail
        )
