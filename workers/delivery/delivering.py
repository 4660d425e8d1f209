"""One delivery from its claim to CONFIRMED: send, read back, confirm."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dicom.content.output_kind import OutputKind
from dicom.destinations.destination import Destination, EncodedObject
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import (
    CannotSendNow,
    DestinationError,
    DestinationRejected,
    DestinationSilent,
    NotListed,
    ObjectsRefused,
)
from service.destination_backlog import Trouble
from service.errors import LeaseLost, StoreError, StoreUnavailable
from service.jobs import Event, JobState
from service.log import get_logger
from service.records import Delivery, ResultObject
from service.settings.config import Settings
from service.settings.destination_factory import encoded_object
from service.settings.keys.destinations import includes_kind, notice_form
from service.store import Store
from workers.delivery.doubt_notice import notice_of
from workers.delivery.superseding import remove_superseded, removers
from workers.delivery.verified_report import verified_of
from workers.lease import Lease, retry_while_held
from workers.retry_policy import backoff, code, may_pass, sentence, where

log = get_logger(__name__)

# The destination acknowledged objects but does not list them: they are sent only after these numbers of
# attempts with that outcome; other attempts only query. Each send may create a copy under another UID
# there. The last two, after about 6 and 26 minutes, are for an archive that lost objects.
SENDS_AFTER: Final = (0, 1, 2, 10, 30)
MOST_SENDS: Final = len(SENDS_AFTER)
# The delivery fails after this number of such attempts, sends included: about an hour.
MAX_UNLISTED_ATTEMPTS: Final = 60
_NO_FORM: Final = (
    "no notice was sent, because `objects` of this destination names neither reports nor images"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that this worker has claimed, and the job's result objects."""

    delivery: Delivery
    objects: tuple[ResultObject, ...]


class Delivering:
    """Claims, makes and ends deliveries; thread-safe."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        destinations: Mapping[str, Destination],
        owner: str,
        stop: threading.Event,
        *,
        next_pause: Callable[[str], float] = lambda _name: 0.0,
    ) -> None:
        """Keep the arguments.

        Args:
            store: The store.
            settings: The settings.
            destinations: The destinations by name.
            owner: This worker's name in the leases.
            stop: Set when no new delivery may be claimed.
            next_pause: Returns the seconds without deliveries to a destination after one more silent
                attempt (`Bulkheads.next_pause`).
        """
        self._store = store
        self._settings = settings
        self._destinations = destinations
        self._removers = removers(settings, destinations)
        self._owner = owner
        self._stop = stop
        self._next_pause = next_pause
        self._limits = {each.name: each.max_in_flight for each in settings.destinations}
        self._kinds = {each.name: each.objects for each in settings.destinations}

    def resend_requested(self, job_id: str) -> frozenset[str]:
        """Return the destinations to which a person sent the job again; none if the database fails."""
        try:
            return self._store.destinations_restarted(job_id)
        except StoreError as error:
            log.warning("resend_lookup_failed", job_id=job_id, reason=str(error))
            return frozenset()

    def claim(self, job_id: str | None, *, excluding: Collection[str] = ()) -> Claim | None:
        """Claim and return a due delivery; None if there is none, on stop, or without database.

        Args:
            job_id: Claim only a delivery of this job; of any job if None.
            excluding: Destinations to which nothing may be sent now.
        """
        if self._stop.is_set():
            return None
        lease = self._settings.delivery.lease_seconds
        try:
            found = self._store.claim_delivery(job_id, self._owner, lease, self._limits, excluding)
        except StoreUnavailable as error:
            log.warning("claim_failed", job_id=job_id, reason=str(error))
            return None
        return Claim(delivery=found[0], objects=found[1]) if found else None

    def work(self, claim: Claim) -> None:
        """Send every object for the destination, read it back, and confirm the delivery.

        Raises:
            DicomError, OSError: An object could not be made, read or delivered.
            StoreError: The database failed, or the lease was lost.
        """
        delivery, seconds = claim.delivery, self._settings.delivery.lease_seconds

        def extend() -> None:
            self._store.extend_delivery(delivery.id, delivery.fence, seconds)

        self._find_outbox()
        destination = self._destination(delivery.destination)
        objects = self._accepted_objects(claim)
        with Lease(extend, seconds).kept() as lease:
            if objects:
                _deliver(destination, objects, delivery)
            state = self._confirmed(delivery, lease, destination.reads_back if objects else None)
        archive = self._removers.get(delivery.destination)
        if archive is not None:
            self._remove_superseded(archive, delivery)
        log.info(
            "delivered",
            job_id=delivery.job_id,
            destination=delivery.destination,
            state=state.value,
        )

    def _accepted_objects(self, claim: Claim) -> list[EncodedObject]:
        """Return the notice, the verified report, or the objects that the destination gets.

        Raises:
            DestinationRejected: The destination gets neither reports nor images, the forms of a notice.
        """
        kinds = self._kinds.get(claim.delivery.destination)
        if claim.delivery.decision_id:
            gets_reports = kinds is None or includes_kind(kinds, OutputKind.VERIFIED_REPORT)
            if not gets_reports:
                return []
            return [verified_of(self._store, self._settings, claim.delivery)]
        if claim.delivery.notice:
            form = notice_form(kinds)
            if form is None:
                raise DestinationRejected(_NO_FORM)
            return [notice_of(self._store, self._settings, claim.delivery, form)]
        return [
            encoded_object(item)
            for item in claim.objects
            if kinds is None or includes_kind(kinds, item.kind)
        ]

    def _confirmed(self, delivery: Delivery, lease: Lease, read_back: bool | None) -> JobState:
        def confirm() -> JobState:
            return self._store.confirm_delivery(delivery.id, delivery.fence, read_back=read_back)

        try:
            return retry_while_held(confirm, lease)
        except LeaseLost:
            self._note_unwanted(delivery)
            raise

    def _note_unwanted(self, delivery: Delivery) -> None:
        """Record in the history of a canceled job that its results have arrived."""
        text = f"{delivery.destination}: the objects were being sent, and have arrived."
        try:
            if self._store.job(delivery.job_id).state is JobState.CANCELED:
                self._store.note(delivery.job_id, Event.DELIVER_CANCELED, self._owner, text)
        except StoreError as error:
            log.warning("arrival_not_noted", job_id=delivery.job_id, reason=str(error))

    def _find_outbox(self) -> None:
        """Check that the outbox exists; without its disk each result would count as lost.

        Raises:
            CannotSendNow: There is no outbox on this machine.
        """
        if not self._settings.outbox_dir.is_dir():
            raise CannotSendNow(
                "the outbox folder does not exist: mount data_dir, the same as the reading worker's"
            )

    def _remove_superseded(self, archive: OrthancDestination, delivery: Delivery) -> None:
        try:
            remove_superseded(self._store, self._settings, archive, delivery)
        except StoreError as error:
            # The delivery stays confirmed if the removal fails.
            log.warning("superseded_not_noted", job_id=delivery.job_id, reason=str(error))

    def _destination(self, name: str) -> Destination:
        try:
            return self._destinations[name]
        except KeyError:
            raise DestinationRejected("this destination is no longer configured") from None

    def give_back(self, claim: Claim, error: Exception) -> None:
        """End the claim after `error`: the delivery is postponed or FAILED.

        If the database fails, the lease expires, and the delivery is claimed again.
        """
        delivery = claim.delivery
        if isinstance(error, LeaseLost):
            log.warning("lease_lost", job_id=delivery.job_id, destination=delivery.destination)
            return
        try:
            self._end(delivery, error)
        except StoreError as fault:
            log.warning("hand_back_failed", job_id=delivery.job_id, reason=str(fault))

    def _end(self, delivery: Delivery, error: Exception) -> None:
        reason = sentence(error)
        # Warn on the 1st, 2nd, 4th, 8th ... attempt, so that an outage of days does not fill the log.
        is_power_of_two = delivery.attempts & (delivery.attempts - 1) == 0
        record = log.warning if is_power_of_two else log.debug
        record(
            "not_delivered",
            job_id=delivery.job_id,
            destination=delivery.destination,
            error=code(error),
            at=where(error),
            reason=reason,
            attempts=delivery.attempts,
        )
        unlisted = isinstance(error, NotListed)
        given_up = unlisted and delivery.unlisted + 1 >= MAX_UNLISTED_ATTEMPTS
        if may_pass(error) and not given_up and not self._too_late(delivery):
            delay = self._delay(delivery, error)
            self._store.postpone_delivery(
                delivery.id,
                delivery.fence,
                reason,
                delay,
                unlisted=unlisted,
                trouble=_trouble(error),
            )
        else:
            self._store.fail_delivery(delivery.id, delivery.fence, reason, trouble=_trouble(error))
        if _is_silent(error):
            # Only few deliveries to a silent destination are attempted; overdue others fail here.
            before = self._store.now() - self._give_up
            self._store.fail_overdue(delivery.destination, before, reason)

    def _delay(self, delivery: Delivery, error: Exception) -> float:
        """Return the seconds until the next attempt; the web page shows that time.

        It is at least the pause of a silent destination, which may be longer than the delay that follows
        from this delivery's own attempts.
        """
        pause = self._next_pause(delivery.destination) if _is_silent(error) else 0.0
        settings = self._settings.delivery
        first, longest = settings.retry_seconds, settings.retry_max_seconds
        return max(pause, backoff(delivery.attempts, first=first, longest=longest))

    @property
    def _give_up(self) -> timedelta:
        return timedelta(hours=self._settings.delivery.give_up_hours)

    def _too_late(self, delivery: Delivery) -> bool:
        return self._store.now() - delivery.created_at > self._give_up


def _is_silent(error: Exception) -> bool:
    return isinstance(error, DestinationSilent)


def _trouble(error: Exception) -> Trouble:
    if _is_silent(error):
        return Trouble.SILENT
    if isinstance(error, CannotSendNow):
        return Trouble.LOCAL
    return Trouble.REFUSED if isinstance(error, DestinationError) else Trouble.LOCAL


def _deliver(
    destination: Destination, objects: Sequence[EncodedObject], delivery: Delivery
) -> None:
    """Send the objects and verify them; a later attempt first queries and sends only missing objects.

    Raises:
        DestinationUnavailable: Another attempt may succeed.
        DestinationRejected: It refused some objects (the others are there), or holds other content
            under one of the UIDs.
    """
    missing = _missing(destination, objects, delivery)
    if not missing:
        return
    if delivery.unlisted not in SENDS_AFTER:
        raise _never_listed(destination, objects, missing, delivery)
    refused: ObjectsRefused | None = None
    try:
        destination.send(missing)
    except ObjectsRefused as error:
        refused = error
    uids = refused.uids if refused else frozenset()
    taken = [item for item in objects if item.sop_instance_uid not in uids]
    destination.verify(taken)
    if refused is not None:
        held = "read back" if destination.reads_back else "acknowledged, not read back"
        rest = (
            f" The other {len(taken)} of {len(objects)} objects are there, {held}." if taken else ""
        )
        raise DestinationRejected(f"{refused}.{rest}" if rest else str(refused)) from refused


def _missing(
    destination: Destination, objects: Sequence[EncodedObject], delivery: Delivery
) -> Sequence[EncodedObject]:
    # Query only if an earlier attempt may have sent objects, and if the destination is read back.
    if delivery.attempts <= 1 or not destination.reads_back:
        return objects
    held = destination.held(objects)
    return [item for item in objects if item.sop_instance_uid not in held]


def _never_listed(
    destination: Destination,
    objects: Sequence[EncodedObject],
    missing: Sequence[EncodedObject],
    delivery: Delivery,
) -> NotListed:
    names = ", ".join(item.path.name for item in missing)
    sends = sum(tries < delivery.unlisted for tries in SENDS_AFTER)
    return NotListed(
        f"{destination.name} acknowledged the results {sends} times and lists "
        f"{len(objects) - len(missing)} of {len(objects)} objects (not {names}): it changes SOP "
        "Instance UIDs on arrival, or a filter drops them. So that no copies pile up, they are sent "
        f"{MOST_SENDS} times at most and looked for in between, {delivery.unlisted + 1 - sends} times "
        "so far. Correct it there, then retry"
    )
