"""Withdraws drafts, for instance all of one model version, from every destination.

    plan(...)  -> the steps, one for each draft and destination; changes nothing
    Recall.run -> carries them out one by one; a second run does what is left

An archive of ours (`may_remove`): the draft's objects and the notices that it is in doubt are removed.
Any other destination gets a notice that the draft is withdrawn. Objects that still wait are not sent any
more. A destination to which sending ever began may have the draft, whatever it answered.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from dicom.content.output_kind import NoticeForm
from dicom.content.result_header import Equipment
from dicom.destinations.destination import Destination, EncodedObject
from dicom.destinations.orthanc import OrthancDestination
from dicom.errors import DestinationRejected, DicomError
from dicom.results.withdrawal_notice import Withdrawal, withdrawal_notice
from service.audit import AuditAction, AuditEvent
from service.jobs import Event, ReasonCode
from service.maintenance.notice_files import (
    doubt_uids,
    draft_report,
    stored_notice,
    withdrawal_path,
)
from service.records import Delivery, DraftFilter, Job, UnderWay
from service.settings.config import Settings
from service.settings.keys.destinations import OrthancDestination as OrthancSettings
from service.settings.keys.destinations import notice_form
from service.store import Store

_JUST_NOW: Final = (
    "it was being sent at this moment: it will not be confirmed; run it again in some minutes, for "
    "what has arrived"
)
_NOTICE_JUST_NOW: Final = (
    "a notice that it is in doubt was being sent at this moment; run it again in some minutes, to "
    "remove what has arrived"
)
_HERE: Final = "withdrawn here; it was sent nowhere"
_NOTICE_LEFT: Final = (
    "the notice that it was in doubt is no longer kept here and stays: remove it there by hand"
)


class WithdrawalMethod(StrEnum):
    """How a draft is withdrawn from one destination."""

    REMOVE = "remove"
    MARK = "mark"
    CANCEL = "cancel"  # sending has not begun: it will not be sent
    # The draft has no delivery: it is withheld, or its job has no destination.
    HERE = "withdraw here"
    # The destination is not in the settings or accepts no notice, or our draft report's file is gone.
    BY_HAND = "by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallStep:
    """The withdrawal of one draft from one destination.

    Attributes:
        destination: Its name; "" for a draft that has no delivery.
        done: What was done, or why it was not, as text; empty in a plan.
        failed: Whether something is left to do: it did not work, must be run again, or done by hand.
    """

    job: Job
    destination: str
    method: WithdrawalMethod
    done: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallOrder:
    """Which drafts are to be withdrawn, and why.

    Attributes:
        model: The name of a model's table, the name in its drafts, or its `model` setting; None for any.
        since: Only drafts made at this time or later, time zone aware; None for any.
        version: Only drafts of this version of the model; None for any.
        reason: For the history and for the notices.
        actor: Who withdraws the drafts.
        study: Only drafts of this Study Instance UID; None for any.
    """

    model: str | None
    since: datetime | None
    version: str | None
    reason: str
    actor: str
    study: str | None = None


def draft_filter(settings: Settings, order: RecallOrder) -> DraftFilter:
    """Return the selection of drafts for an order.

    A model has up to three names: that of its table, that in its drafts, and the kind of checkpoint
    (`model = "cxr-llava-v2"`), which several tables may share.
    """
    names = set()
    if order.model is not None:
        tables = settings.readings().items()
        names = {order.model, *(name for name, each in tables if each.model == order.model)}
    return DraftFilter(
        models=frozenset(names), version=order.version, since=order.since, study=order.study
    )


def plan(store: Store, settings: Settings, order: RecallOrder) -> list[RecallStep]:
    """Return the steps of a withdrawal, the oldest draft first; change nothing.

    Raises:
        StoreError: The database cannot be used.
    """
    jobs = store.jobs_with_drafts(draft_filter(settings, order))
    return [step for job in jobs for step in _steps(store, settings, job)]


def _steps(store: Store, settings: Settings, job: Job) -> list[RecallStep]:
    """Return the steps of one draft: one for each destination, or one for the draft itself."""
    deliveries = store.deliveries(job.id)
    if not deliveries and job.reason_code != ReasonCode.RECALLED:
        return [RecallStep(job=job, destination="", method=WithdrawalMethod.HERE)]
    return [
        RecallStep(job=job, destination=delivery.destination, method=method)
        for delivery in deliveries
        if (method := _method_for(store, settings, job, delivery)) is not None
    ]


def _method_for(
    store: Store, settings: Settings, job: Job, delivery: Delivery
) -> WithdrawalMethod | None:
    """Return how to withdraw the draft from one destination; None if it is never sent there."""
    if not delivery.fence:
        # Sending never began.
        return None if job.reason_code == ReasonCode.RECALLED else WithdrawalMethod.CANCEL
    configured = {each.name: each for each in settings.destinations}
    target = configured.get(delivery.destination)
    if target is None:
        return WithdrawalMethod.BY_HAND
    if isinstance(target, OrthancSettings) and target.may_remove:
        return WithdrawalMethod.REMOVE
    report = draft_report(store, delivery.job_id)
    can_be_made = report is not None and report.path.exists()
    return (
        WithdrawalMethod.MARK
        if can_be_made and notice_form(target.objects)
        else WithdrawalMethod.BY_HAND
    )


class Recall:
    """Carries out a plan."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        destinations: Mapping[str, Destination],
        equipment: Callable[[], Equipment],
        order: RecallOrder,
    ) -> None:
        """Take the store, the settings, destinations by name, this site's equipment and the order."""
        self._store = store
        self._settings = settings
        self._destinations = destinations
        self._equipment = equipment
        self._order = order

    def run(self, steps: list[RecallStep]) -> Iterator[RecallStep]:
        """Yield each step with its outcome; a step that fails does not stop the others.

        Raises:
            StoreError: The database cannot be used; run it again.
        """
        sending: dict[str, UnderWay] = {}
        for step in steps:
            if step.job.id not in sending:
                # Withdraw before the job's first step: from then on nothing is sent, also by no retry.
                reason = f"Withdrawn: {self._order.reason}"
                actor = self._order.actor
                audit = AuditEvent(action=AuditAction.RECALLED, actor=actor)
                sending[step.job.id] = self._store.withdraw(step.job.id, actor, reason, audit)
            for each in self._steps_now(step):
                yield self._carry_out(each, sending[step.job.id])

    def _steps_now(self, step: RecallStep) -> list[RecallStep]:
        """Return the step, or steps for the deliveries that a draft without any got since the plan."""
        if step.destination:
            return [step]
        found = self._store.deliveries(step.job.id)
        return [replace(step, destination=each.destination) for each in found] or [step]

    def _carry_out(self, step: RecallStep, under_way: UnderWay) -> RecallStep:
        """Carry out one step of a draft that is withdrawn here, and write it into the job's history."""
        if not step.destination:
            return replace(step, done=_HERE)
        if step.destination in under_way.results:
            done = replace(step, method=WithdrawalMethod.CANCEL, done=_JUST_NOW, failed=True)
        else:
            done = self._execute(self._with_current_method(step))
        if done.method is WithdrawalMethod.REMOVE and step.destination in under_way.notices:
            done = replace(done, done=f"{done.done}; {_NOTICE_JUST_NOW}", failed=True)
        line = f"{step.destination}: {done.done}"
        event = Event.RECALL_FAILED if done.failed else Event.RECALL_DONE
        self._store.note(step.job.id, event, self._order.actor, line)
        return done

    def _with_current_method(self, step: RecallStep) -> RecallStep:
        """Return the step with its method as of now: the draft may have been sent since the plan."""
        for delivery in self._store.deliveries(step.job.id):
            if delivery.destination == step.destination:
                method = _method_for(self._store, self._settings, step.job, delivery)
                return replace(step, method=method or WithdrawalMethod.CANCEL)
        return step

    def _execute(self, step: RecallStep) -> RecallStep:
        try:
            done = self._do(step)
        except (DicomError, OSError) as error:
            return replace(step, done=f"failed: {error}", failed=True)
        return replace(step, done=done, failed=step.method is WithdrawalMethod.BY_HAND)

    def _do(self, step: RecallStep) -> str:
        match step.method:
            case WithdrawalMethod.REMOVE:
                return self._remove(step)
            case WithdrawalMethod.MARK:
                return self._mark(step)
            case WithdrawalMethod.CANCEL:
                return "not sent any more"
            case WithdrawalMethod.HERE:
                return _HERE
            case WithdrawalMethod.BY_HAND:
                uids = [item.sop_instance_uid for item in self._store.objects(step.job.id)]
                return f"a person must withdraw {', '.join(uids) or 'it'} there"

    def _remove(self, step: RecallStep) -> str:
        archive = self._destinations[step.destination]
        if not isinstance(archive, OrthancDestination):
            return "nothing can be removed there"
        uids = [item.sop_instance_uid for item in self._store.objects(step.job.id)]
        notices = doubt_uids(self._settings.outbox_dir, step.job.id)
        removed = f"{archive.remove([*uids, *notices])} object(s) removed"
        had_notice = any(
            each.fence and each.destination == step.destination
            for each in self._store.notices(step.job.id)
        )
        return f"{removed}; {_NOTICE_LEFT}" if had_notice and not notices else removed

    def _mark(self, step: RecallStep) -> str:
        form = self._form(step.destination)
        if form is None:
            raise DestinationRejected("`objects` there names neither reports nor images")
        notice = self._notice(step.job, form)
        destination = self._destinations[step.destination]
        destination.send([notice])
        destination.verify([notice])
        seen = (
            "is there, read back" if destination.reads_back else "was acknowledged, not read back"
        )
        return f"notice {notice.sop_instance_uid} {seen}"

    def _form(self, name: str) -> NoticeForm | None:
        (kinds,) = (each.objects for each in self._settings.destinations if each.name == name)
        return notice_form(kinds)

    def _notice(self, job: Job, form: NoticeForm) -> EncodedObject:
        """Return the withdrawal notice of a job, the same bytes for every destination of this form."""
        report, predecessor = draft_report(self._store, job.id), self._store.predecessor(job)
        if report is None or predecessor is None:
            raise FileNotFoundError("the job has no draft report")
        withdrawal = Withdrawal(
            study_instance_uid=job.study_instance_uid,
            draft=predecessor,
            model=self._store.job(job.id).drafted_by,
            reason=self._order.reason,
            revision=job.revision,
            withdrawn_at=self._store.now().replace(microsecond=0),
        )
        return stored_notice(
            withdrawal_path(self._settings.outbox_dir, job.id, form),
            report.path,
            lambda header: withdrawal_notice(withdrawal, header, self._equipment(), form=form),
        )
