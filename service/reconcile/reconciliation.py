"""Which Studies of an archive are not here? They are listed and, where that is configured, fetched.

A look lists the archive's CR and DX Instances of the last hours and asks the database for each. What
is absent for `after_seconds` counts as missing: until then it may be on its way. The number of the
archive's last change before which nothing is missing is kept, so that the next look begins there. A long
list of changes takes several looks; what an earlier one found to be absent is remembered meanwhile.
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
from service.records import JobNeed
from service.sentence import ended
from service.settings.config import Settings
from service.settings.reconcile import Reconcile
from service.store import Store

_ACTOR = "reconcile"
MISSING = "studies_missing"
FETCHED = "studies_fetched"
UNREACHABLE = "archive_not_compared"
_ALL = 2**62
_MOST_CHANGES = 20_000  # of one look; the next goes on from there

_UNREADY = (JobNeed.WAITS, JobNeed.OVERDUE)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """An Instance that cannot be stored here, why, and when that was found (seconds, `passed`)."""

    instance: HeldInstance
    reason: str
    at: float


class Reconciler:
    """Compares one archive, again and again; remembers what was absent since when."""

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
        """Take what is compared.

        Args:
            store: The database.
            settings: The settings.
            table: What is configured for the archive.
            archive: The archive.
            fetcher: Fetches what is missing; nothing is fetched when None.
            passed: Returns seconds by a clock that is never set.
            is_stopping: Returns whether no further Study is to be fetched.
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
        self._told: set[str] = set()
        # The change after which the next look goes on; 0: at the one that is kept.
        self._goes_on_after = 0
        self._open: dict[str, HeldInstance] = {}
        self._reach = timedelta(hours=table.hours)

    def look(self, *, complete: bool = False, at_once: bool = False) -> Comparison:
        """Compare once, fetch what is missing, and keep the result for page and metrics.

        Args:
            complete: Compare the whole window, also what an earlier look found to be here.
            at_once: What is absent is missing, however short.

        Raises:
            DestinationError: The archive did not answer; that is noted.
            StoreUnavailable: The database is away.
        """
        window = self._window(complete=complete)
        try:
            listing = self._archive.listing(window)
        except DestinationError as error:
            self._note_fault(str(error))
            raise
        self._forget_gone(window, listing)
        self._forget_refused()
        wanted = self._wanted(listing)
        after = 0.0 if at_once else self._table.after_seconds
        waiting, due = self._absent(wanted, after)
        fetched, fault = [], ""
        if due and self._fetcher is not None:
            fault = self._fetch(self._fetcher, due)
            asked = due
            waiting, due = self._absent(wanted, after)
            fetched = without(asked, due)
        needs = job_needs(self._store, by_study(wanted), self._documents)
        lacking = self._lacking(wanted, due, needs)
        unready = {uid for uid, need in needs.items() if need in _UNREADY}
        without_image = [uid for uid, need in needs.items() if need is JobNeed.NO_IMAGE]
        incomplete = {each.study_instance_uid for each in [*waiting, *due]}
        comparison = Comparison(
            studies=len({each.study_instance_uid for each in wanted}),
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
        # A look by hand has a window of its own, and says nothing of what was before it.
        position = None if complete else position_before(listing, wanted, still, unready)
        complete_at = None if complete else self._complete_at(listing, still)
        if not complete:
            self._remember(listing, wanted, still, unready)
        self._note(comparison, position=position, complete_at=complete_at)
        return comparison

    def _forget_gone(self, window: Window, listing: Listing) -> None:
        """Forget what the archive does not list any more, or lies before the window now."""
        listed = {each.sop_instance_uid for each in listing.instances}
        self._open = {
            uid: each
            for uid, each in self._open.items()
            if uid in listed or not window.position < each.sequence <= listing.position
        }

    def _remember(
        self,
        listing: Listing,
        wanted: Sequence[HeldInstance],
        absent: Sequence[HeldInstance],
        unready: set[str],
    ) -> None:
        """Let the next look go on where this one ended, and look again at what is not here yet."""
        gone = {each.sop_instance_uid for each in absent}
        self._open = {
            each.sop_instance_uid: each
            for each in wanted
            if each.sequence
            and (each.sop_instance_uid in gone or each.study_instance_uid in unready)
        }
        self._goes_on_after = 0 if listing.is_whole else listing.position

    def _complete_at(self, listing: Listing, still: Sequence[HeldInstance]) -> datetime | None:
        """Return a time at which everything that the archive had then is here now; None: not known.

        What was absent at the first look of this process may have been so for long.
        """
        uids = {each.sop_instance_uid for each in still}
        self._absent_at_first = uids & (uids if self._is_first else self._absent_at_first)
        self._is_first = self._is_first and not listing.is_whole
        if self._absent_at_first or self._fetcher is None or not listing.is_whole:
            return None
        now = self._passed()
        longest = max((now - self._absent_since[uid] for uid in uids), default=0.0)
        return self._store.now() - timedelta(seconds=longest)

    def _wanted(self, listing: Listing) -> list[HeldInstance]:
        """Return what must be here: what is listed now, and what was listed and did not come."""
        wanted = {uid: each.instance for uid, each in self._refused.items()} | self._open
        wanted |= {each.sop_instance_uid: each for each in listing.instances}
        return [each for each in wanted.values() if self._is_accepted(each)]

    def _window(self, *, complete: bool) -> Window:
        """Return what is listed.

        What is fetched goes back to the last time that everything was here: no outage is too long.
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
        self, wanted: Sequence[HeldInstance], after: float
    ) -> tuple[list[HeldInstance], list[HeldInstance]]:
        """Return the Instances that are not here: those that may be on their way, and the others."""
        known = self._store.known_instances({each.sop_instance_uid for each in wanted})
        absent = [each for each in wanted if each.sop_instance_uid not in known]
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

        What was refused for good is not fetched again within the hours of the window. A Study that the
        archive refuses keeps no other from being fetched; an archive that does not answer is asked no
        more.
        """
        fault = ""
        for instances in by_study(due).values():
            wanted = [each for each in instances if each.sop_instance_uid not in self._refused]
            if not wanted or self._is_stopping():
                continue
            fetched = fetcher.fetch(self._archive, wanted)
            for each in wanted:
                if reason := fetched.refused.get(each.sop_instance_uid):
                    refused = _Refused(instance=each, reason=reason, at=self._passed())
                    self._refused[each.sop_instance_uid] = refused
            fault = fetched.fault or next(iter(fetched.postponed.values()), "") or fault
            if fetched.is_hopeless:
                break
        return fault

    def _lacking(
        self,
        wanted: Sequence[HeldInstance],
        due: Sequence[HeldInstance],
        here: Mapping[str, JobNeed],
    ) -> list[LackingStudy]:
        """Return what Studies lack."""
        listed = by_study(wanted)
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
                continue  # it may be on its way
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
        """Keep which Studies need not be listed again; those that left the window are forgotten."""
        self._settled = {
            study: count for study, count in listing.counts.items() if study not in unsettled
        }

    def _forget_refused(self) -> None:
        """Forget what was refused before the window: it would be reported, and kept, without end."""
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
                FETCHED,
                f"{what} had not been sent here and {'was' if count == 1 else 'were'} fetched.",
            )
        fresh = [each for each in lacking if each.study_instance_uid not in self._told]
        if fresh:
            first, count = fresh[0], len(fresh)
            studies = "1 study is" if count == 1 else f"{count} studies are"
            words = f": {first.refused}" if first.refused else ""
            self._incident(
                MISSING,
                f"{studies} in this archive, not whole here; the first is "
                f"{first.study_instance_uid} ({first.lack}{words}). `wetread reconcile` lists all.",
            )
        self._told = {each.study_instance_uid for each in lacking}

    def _note_fault(self, fault: str) -> None:
        name = self._table.name
        before = {each.archive: each.fault for each in self._store.reconciliations()}
        self._store.note_not_compared(name, fault)
        log.warning("archive_not_compared", archive=name, reason=fault)
        if not before.get(name):
            self._incident(UNREACHABLE, f"It could not be compared: {ended(fault)}")

    def _incident(self, kind: str, detail: str) -> None:
        self._store.record_incident(
            actor=_ACTOR, kind=kind, subject=self._table.name, detail=detail
        )
