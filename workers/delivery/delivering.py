"""One delivery from its claim to CONFIRMED: send, read back, say so."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dicom.destinations.dimse import Destination, EncodedObject
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationSilent,
    DestinationUnavailable,
    NotListed,
    ObjectsRefused,
)
from service.destination_backlog import Trouble
from service.errors import LeaseLost, StoreError, StoreUnavailable
from service.jobs import JobState
from service.log import get_logger
from service.records import Delivery, ResultObject
from service.settings.config import Settings
from service.settings.destination_factory import encoded_object
from service.settings.destinations import notice_form, takes
from service.store import Store
from workers.delivery.doubt_notice import notice_of
from workers.delivery.superseding import remove_superseded, removers
from workers.lease import Lease, insist
from workers.retry_policy import backoff, code, may_pass, sentence, where

log = get_logger(__name__)

# Objects that the destination acknowledges and does not list are sent after so many such tries, and only
# looked for in between. Each send may make a copy under another UID there. The late ones, after some 6
# and 26 minutes, are for an archive that lost what it had acknowledged.
SENDS_AFTER: Final = (0, 1, 2, 10, 30)
MOST_SENDS: Final = len(SENDS_AFTER)
# So often, the sends included, the destination is asked before the delivery fails: about an hour.
MOST_LOOKS: Final = 60
_NO_FORM: Final = (
    "no notice was sent, because `objects` of this destination names neither reports nor images"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery that is ours, and what is to be delivered."""

    delivery: Delivery
    objects: tuple[ResultObject, ...]


class Delivering:
    """The delivery worker's work; its methods may be called from several threads."""

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
        """Take what it works with.

        Args:
            store: The store.
            settings: The settings.
            destinations: Where results go, by name.
            owner: This worker's name on the leases.
            stop: Set when nothing new may be begun.
            next_pause: Returns the seconds for which nothing is sent to a destination after one more
                silent try (`Bulkheads.next_pause`).
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

    def asked_for(self, job_id: str) -> frozenset[str]:
        """Return the destinations to which a person had the job sent again; none without database."""
        try:
            return self._store.asked_for(job_id)
        except StoreError as error:
            log.warning("not_asked", job_id=job_id, reason=str(error))
            return frozenset()

    def claim(self, job_id: str | None, *, but_not: Collection[str] = ()) -> Claim | None:
        """Return a delivery that is due, ours now; None when there is none, or no database to ask.

        Args:
            job_id: Only of this job; of any when None.
            but_not: Destinations to which nothing is to be sent now.
        """
        if self._stop.is_set():
            return None
        lease = self._settings.delivery.lease_seconds
        try:
            found = self._store.claim_delivery(job_id, self._owner, lease, self._limits, but_not)
        except StoreUnavailable as error:
            log.warning("not_claimed", job_id=job_id, reason=str(error))
            return None
        return Claim(delivery=found[0], objects=found[1]) if found else None

    def work(self, claim: Claim) -> None:
        """Send every object that the destination is to get, and read it back; then it is confirmed.

        Raises:
            DestinationError, StoreError, OSError: It could not be delivered, or this not be noted.
        """
        delivery, seconds = claim.delivery, self._settings.delivery.lease_seconds

        def extend() -> None:
            self._store.extend_delivery(delivery.id, delivery.fence, seconds)

        self._find_outbox()
        destination = self._destination(delivery.destination)
        objects = self._wanted(claim)
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

    def _wanted(self, claim: Claim) -> list[EncodedObject]:
        """Return the notice, or the objects of the kinds that are configured for the destination.

        Raises:
            DestinationRejected: It gets neither reports nor images, as which a notice is sent.
        """
        kinds = self._kinds.get(claim.delivery.destination)
        if claim.delivery.notice:
            form = notice_form(kinds)
            if form is None:
                raise DestinationRejected(_NO_FORM)
            return [notice_of(self._store, self._settings, claim.delivery, form)]
        return [
            encoded_object(item)
            for item in claim.objects
            if kinds is None or takes(kinds, item.kind)
        ]

    def _confirmed(self, delivery: Delivery, lease: Lease, read_back: bool | None) -> JobState:
        def confirm() -> JobState:
            return self._store.confirm_delivery(delivery.id, delivery.fence, read_back=read_back)

        try:
            return insist(confirm, lease)
        except LeaseLost:
            self._note_unwanted(delivery)
            raise

    def _note_unwanted(self, delivery: Delivery) -> None:
        """Let a canceled job say that its results arrived nevertheless."""
        words = f"{delivery.destination}: the objects were being sent, and have arrived."
        try:
            if self._store.job(delivery.job_id).state is JobState.CANCELED:
                self._store.note(delivery.job_id, "deliver_canceled", self._owner, words)
        except StoreError as error:
            log.warning("arrival_not_noted", job_id=delivery.job_id, reason=str(error))

    def _find_outbox(self) -> None:
        """Return when the results lie on this machine; without their disk each would count as gone.

        Raises:
            DestinationUnavailable: There is no outbox.
        """
        if not self._settings.outbox_dir.is_dir():
            raise DestinationUnavailable(
                "the outbox is not here: is data_dir mounted, and the same as the reading worker's?"
            )

    def _remove_superseded(self, archive: OrthancDestination, delivery: Delivery) -> None:
        try:
            remove_superseded(self._store, self._settings, archive, delivery)
        except StoreError as error:
            # The delivery is confirmed, whatever becomes of the tidying.
            log.warning("superseded_not_noted", job_id=delivery.job_id, reason=str(error))

    def _destination(self, name: str) -> Destination:
        try:
            return self._destinations[name]
        except KeyError:
            raise DestinationRejected("this destination is no longer configured") from None

    def give_back(self, claim: Claim, error: Exception) -> None:
        """End the claim after `error`: to be tried again, or FAILED.

        If not even that can be written, the lease ends by itself.
        """
        delivery = claim.delivery
        if isinstance(error, LeaseLost):
            log.warning("lease_lost", job_id=delivery.job_id, destination=delivery.destination)
            return
        try:
            self._end(delivery, error)
        except StoreError as fault:
            log.warning("not_given_back", job_id=delivery.job_id, reason=str(fault))

    def _end(self, delivery: Delivery, error: Exception) -> None:
        words = sentence(error)
        # The 1st, 2nd, 4th, 8th ... try: an outage of days does not fill the log.
        is_power_of_two = delivery.attempts & (delivery.attempts - 1) == 0
        record = log.warning if is_power_of_two else log.debug
        record(
            "not_delivered",
            job_id=delivery.job_id,
            destination=delivery.destination,
            error=code(error),
            at=where(error),
            reason=words,
            attempts=delivery.attempts,
        )
        unlisted = isinstance(error, NotListed)
        given_up = unlisted and delivery.unlisted + 1 >= MOST_LOOKS
        if may_pass(error) and not given_up and not self._too_late(delivery):
            delay = self._delay(delivery, error)
            self._store.postpone_delivery(
                delivery.id,
                delivery.fence,
                words,
                delay,
                unlisted=unlisted,
                trouble=_trouble(error),
            )
        else:
            self._store.fail_delivery(delivery.id, delivery.fence, words, trouble=_trouble(error))
        if _is_silent(error):
            # While it is silent few are tried: the others are too late all the same.
            before = self._store.now() - self._give_up
            self._store.fail_overdue(delivery.destination, before, words)

    def _delay(self, delivery: Delivery, error: Exception) -> float:
        """Return the seconds until the next try; the page shows that time.

        A destination that cannot be reached is not tried before its pause is over, not even when the
        delivery was tried less often than the destination.
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
    return Trouble.REFUSED if isinstance(error, DestinationError) else Trouble.LOCAL


def _deliver(
    destination: Destination, objects: Sequence[EncodedObject], delivery: Delivery
) -> None:
    """Return when the destination holds each object; a later try looks first and sends what is missing.

    Raises:
        DestinationUnavailable: Another try may succeed.
        DestinationRejected: It refused some; the others are there.
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
