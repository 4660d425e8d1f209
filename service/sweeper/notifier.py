"""Opens alerts for incidents, and sends the messages that announce them. In a thread of the sweeper.

    incident -> alert (one open for each kind and subject) -> message for each target -> SENT
                                                              not accepted: later, GIVEN UP after a day

What is queued is in the database: a message whose process was killed is sent by the next one. A target
that does not answer holds one thread of its own; nothing else waits for it. Closed alerts are removed
after `notify.keep_days`.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from service.errors import StoreError
from service.log import get_logger
from service.monitoring.alert_ends import open_due_alerts
from service.monitoring.alert_rules import kinds_for
from service.monitoring.alert_text import Message, message_of
from service.monitoring.apprise_sender import NotSent, send
from service.monitoring.background import Task
from service.queue.names import queue_of
from service.records import IncidentKind
from service.records.alerts import AlertTarget, IncidentAlert, Notification, NotificationOutcome
from service.sentence import ended
from service.settings.config import Settings
from service.settings.keys.notify import NotifyTarget
from service.store import Store

_EVERY: Final = 2.0
# Beyond the time limits of connecting and of each answer: a server that sends a byte at a time.
_LEASE_SECONDS: Final = 300.0
_FIRST_PAUSE: Final = 15.0
_LONGEST_PAUSE: Final = 1800.0
_MOST_DOUBLINGS: Final = 7
# From this attempt on that fails, there is an incident.
_REPORTED_FROM: Final = 3
_MOST_A_TICK: Final = 20
_FORGET_EVERY: Final = timedelta(hours=1)

Send = Callable[[NotifyTarget, Message, float], None]
log = get_logger(__name__)


class Notifier:
    """Opens alerts and sends messages; several sweepers may each have one."""

    def __init__(self, store: Store, settings: Settings, deliver: Send = send) -> None:
        """Take the store, the settings, and the function that sends one message."""
        self._store = store
        self._settings = settings
        self._deliver = deliver
        self._targets: Mapping[str, NotifyTarget] = {
            each.name: each for each in settings.notify.targets
        }
        self._busy: dict[str, threading.Thread] = {}
        self._since: dict[str, float] = {}
        self._forgotten: datetime | None = None

    def tick(self) -> None:
        """Open alerts, note what has ended, queue messages, and begin to send those that are due.

        Raises:
            StoreError: The database cannot be used now; the next call goes on from there.
        """
        open_due_alerts(self._store)
        self._forget_old()
        self._report_stuck()
        alerts = self._store.open_incident_alerts()
        self._note_recoveries(alerts)
        if self._targets:
            self._queue()
        for _ in range(_MOST_A_TICK):
            if not self._targets or not self._send_next():
                return

    def wait(self) -> None:
        """Return once no message is being sent."""
        for thread in list(self._busy.values()):
            thread.join()

    def _forget_old(self) -> None:
        """Remove old closed alerts, once an hour."""
        now = self._store.now()
        if self._forgotten is not None and self._forgotten <= now < self._forgotten + _FORGET_EVERY:
            return
        before = now - timedelta(days=self._settings.notify.keep_days)
        while self._store.forget_alerts(before):
            pass
        self._forgotten = now

    def _note_recoveries(self, alerts: Sequence[IncidentAlert]) -> None:
        """End the alerts whose cause can be observed to have ended."""
        lasting = [each for each in alerts if each.recovered_at is None]
        kinds = {each.kind for each in lasting}
        if IncidentKind.NO_WORKER in kinds:
            alive = {beat.role for beat in self._store.processes() if not beat.load_failure}
            for each in lasting:
                is_its = each.kind == IncidentKind.NO_WORKER
                if is_its and queue_of(self._settings, each.subject) in alive:
                    self._store.recover_alert(each.kind, each.subject)
        if IncidentKind.CALLERS_NOT_RELOADED in kinds:
            self._note_reloaded(lasting)

    def _note_reloaded(self, lasting: Sequence[IncidentAlert]) -> None:
        """End the alerts about calling AEs whose incident was removed: the changed ones are in force."""
        kind = IncidentKind.CALLERS_NOT_RELOADED
        recorded = {each.subject for each in self._store.incidents_of(kind)}
        for each in lasting:
            # "" stands for several subjects.
            if each.kind == kind and (
                each.subject not in recorded if each.subject else not recorded
            ):
                self._store.recover_alert(kind, each.subject)

    def _queue(self) -> None:
        # Also of alerts that were closed lately: their end is announced although none is open.
        kinds = self._store.alert_kinds()
        if not kinds:
            return
        notify = self._settings.notify
        targets = [AlertTarget(name=n, kinds=kinds_for(t, kinds)) for n, t in self._targets.items()]
        self._store.queue_notifications(
            targets,
            quiet=timedelta(minutes=notify.quiet_minutes),
            repeat=timedelta(hours=notify.repeat_hours),
        )

    def _send_next(self) -> bool:
        """Begin to send the next message in a thread of its target; return whether there was one."""
        self._busy = {name: each for name, each in self._busy.items() if each.is_alive()}
        claimed = self._store.claim_notification(_LEASE_SECONDS, excluding=set(self._busy))
        if claimed is None:
            return False
        message, alert = claimed
        target = self._targets.get(message.target)
        if target is None:
            self._store.end_notification(message, NotificationOutcome.DROPPED)
            return True
        task = Task(f"notify {target.name}", passed_on=(StoreError,))
        thread = threading.Thread(
            target=_logged,
            args=(task, lambda: self._send(target, message, alert)),
            name=f"notify-{target.name}",
            daemon=True,
        )
        self._busy[target.name], self._since[target.name] = thread, time.monotonic()
        thread.start()
        return True

    def _send(self, target: NotifyTarget, message: Notification, alert: IncidentAlert) -> None:
        text = message_of(alert, message.event, self._settings)
        try:
            self._deliver(target, text, self._settings.notify.timeout)
        except NotSent as error:
            self._failed(target, message, alert, ended(str(error)))
            return
        self._store.end_notification(message, NotificationOutcome.SENT)
        self._store.recover_alert(IncidentKind.NOTIFICATION_FAILED, target.name)
        log.info("notification_sent", target=target.name, kind=alert.kind, event_name=message.event)

    def _failed(
        self, target: NotifyTarget, message: Notification, alert: IncidentAlert, reason: str
    ) -> None:
        log.warning("notification_not_sent", target=target.name, kind=alert.kind, reason=reason)
        limit = timedelta(hours=self._settings.notify.give_up_hours)
        self._store.postpone_notification(message, reason, _pause(message.attempts))
        if self._store.now() > message.created_at + limit:
            self._store.end_notification(message, NotificationOutcome.GIVEN_UP)
        if message.attempts >= _REPORTED_FROM:
            self._report(
                target.name, f"{message.attempts} attempts to send a message failed: {reason}"
            )

    def _report_stuck(self) -> None:
        """Report the targets that have taken a message for longer than any time limit."""
        for name, thread in self._busy.items():
            if thread.is_alive() and time.monotonic() - self._since[name] > _LEASE_SECONDS:
                self._report(name, "Its server answers so slowly that a message does not end.")

    def _report(self, name: str, detail: str) -> None:
        if not self._is_reported(name):
            kind = IncidentKind.NOTIFICATION_FAILED
            self._store.record_incident(actor="sweeper", kind=kind, subject=name, detail=detail)

    def _is_reported(self, name: str) -> bool:
        return any(
            each.kind == IncidentKind.NOTIFICATION_FAILED
            and each.subject == name
            and each.recovered_at is None
            for each in self._store.open_incident_alerts()
        )


def _pause(attempts: int) -> float:
    """Return the seconds until the next attempt."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS))


def _logged(task: Task, work: Callable[[], None]) -> None:
    try:
        task.attempt(work)
    except StoreError as error:  # the claim ends, and the message is sent again
        log.warning("notification_not_recorded", reason=type(error).__name__)


def notify_until(notifier: Notifier, stop: threading.Event) -> None:
    """Open alerts and send messages until `stop` is set; errors of the database are logged."""
    task = Task("notify", passed_on=(StoreError,))
    while not stop.wait(_EVERY):
        try:
            task.attempt(notifier.tick)
        except StoreError as error:
            log.warning("alerts_not_updated", reason=type(error).__name__)
