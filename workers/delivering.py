"""One delivery from its claim to CONFIRMED: send, read back, say so."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from dicom.errors import DestinationRejected, DestinationUnavailable
from dicom.orthanc import OrthancDestination
from dicom.pacs import Destination, EncodedObject
from service.config import Settings
from service.destinations import encoded_object
from service.errors import LeaseLost, StoreError, StoreUnavailable
from service.jobs import JobState
from service.log import get_logger
from service.records import Delivery, ResultObject
from service.store import Store
from workers.doubt_notice import notice_of
from workers.lease import Lease, insist
from workers.superseding import remove_superseded, removers
from workers.verdict import backoff, code, may_pass, sentence, where

log = get_logger(__name__)


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
    ) -> None:
        """Take what it works with.

        Args:
            store: The store.
            settings: The settings.
            destinations: Where results go, by name.
            owner: This worker's name on the leases.
            stop: Set when nothing new may be begun.
        """
        self._store = store
        self._settings = settings
        self._destinations = destinations
        self._removers = removers(settings, destinations)
        self._owner = owner
        self._stop = stop
        self._limits = {each.name: each.max_in_flight for each in settings.destinations}

    def claims(self, job_id: str) -> Iterator[Claim]:
        """Yield what is due of the job, then what is due of any job.

        What had to wait for room at its destination has no message of its own any more.
        """
        for wanted in (job_id, None):
            while not self._stop.is_set():
                claim = self._claim(wanted)
                if claim is None:
                    break
                yield claim

    def _claim(self, job_id: str | None) -> Claim | None:
        try:
            found = self._store.claim_delivery(
                job_id, self._owner, self._settings.delivery.lease_seconds, self._limits
            )
        except StoreUnavailable as error:
            log.warning("not_claimed", job_id=job_id, reason=str(error))
            return None
        return Claim(delivery=found[0], objects=found[1]) if found else None

    def work(self, claim: Claim) -> None:
        """Send every object and read it back; confirmed when this returns.

        Raises:
            DestinationError, StoreError, OSError: It could not be delivered, or this not be noted.
        """
        delivery, seconds = claim.delivery, self._settings.delivery.lease_seconds

        def extend() -> None:
            self._store.extend_delivery(delivery.id, delivery.fence, seconds)

        self._find_outbox()
        objects = self._objects(claim)
        destination = self._destination(delivery.destination)
        with Lease(extend, seconds).kept() as lease:
            destination.send(objects)
            destination.verify(objects)
            state = self._confirmed(delivery, lease)
        archive = self._removers.get(delivery.destination)
        if archive is not None and not delivery.notice:
            self._remove_superseded(archive, delivery)
        log.info(
            "delivered",
            job_id=delivery.job_id,
            destination=delivery.destination,
            state=state.value,
        )

    def _objects(self, claim: Claim) -> list[EncodedObject]:
        if claim.delivery.notice:
            return [notice_of(self._store, self._settings, claim.delivery)]
        return [encoded_object(item) for item in claim.objects]

    def _confirmed(self, delivery: Delivery, lease: Lease) -> JobState:
        try:
            return insist(lambda: self._store.confirm_delivery(delivery.id, delivery.fence), lease)
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
            remove_superseded(self._store, archive, delivery)
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
        log.warning(
            "not_delivered",
            job_id=delivery.job_id,
            destination=delivery.destination,
            error=code(error),
            at=where(error),
            reason=words,
            attempts=delivery.attempts,
        )
        if may_pass(error) and not self._too_late(delivery):
            settings = self._settings.delivery
            delay = backoff(
                delivery.attempts, first=settings.retry_seconds, longest=settings.retry_max_seconds
            )
            self._store.postpone_delivery(delivery.id, delivery.fence, words, delay)
        else:
            self._store.fail_delivery(delivery.id, delivery.fence, words)

    def _too_late(self, delivery: Delivery) -> bool:
        patience = timedelta(hours=self._settings.delivery.give_up_hours)
        return self._store.now() - delivery.created_at > patience
