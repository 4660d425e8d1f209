"""The forms of a study's page that act on its job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.jobs import Action, DraftStatus, JobState, allowed
from service.records import Job
from service.settings.config import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionForm:
    """The form of one action, with its effect; `asks` for a reason, or offers choices."""

    name: str
    title: str
    effect: str
    confirm: str
    asks: bool = False
    field: str = ""
    label: str = ""
    choices: Sequence[str] = ()
    whole: str = ""


_RETRY = ActionForm(
    name="retry",
    title="Retry",
    effect="Continues this job: a draft that was not delivered is sent; without a draft the study is "
    "read again, in this revision.",
    confirm="Try again",
)
_URGENT = ActionForm(
    name="urgent",
    title="Make urgent",
    effect="The study is read before all waiting routine studies.",
    confirm="Make urgent",
)
_RESEND = ActionForm(
    name="resend",
    title="Send again",
    effect="The same results are sent again. Objects that a PACS already holds are not changed.",
    confirm="Send again",
    field="destination",
    label="To",
    whole="every destination of this study",
)
_REREAD = ActionForm(
    name="reread",
    title="Read again",
    effect="Starts a new job: the study is read as a new revision, and this job is not changed. "
    "A new draft by the same model supersedes an earlier one.",
    confirm="Read again",
    field="model",
    label="By the model",
    whole="the same model",
)
_CANCEL = ActionForm(
    name="cancel",
    title="Cancel",
    effect=(
        "Nothing more is read or sent for this study. Objects that a PACS already holds remain "
        "there."
    ),
    confirm="Cancel this job",
    asks=True,
)


def action_forms(job: Job, settings: Settings, *, has_results: bool) -> list[ActionForm]:
    """Return the forms of the actions that are possible in the state of the job."""
    possible = allowed(job.state)
    forms = []
    if Action.RETRY in possible or Action.REDELIVER in possible:
        forms.append(_RETRY)
    if job.state is JobState.SCHEDULED and not job.urgent:
        forms.append(_URGENT)
    # The store refuses to send a withdrawn or a superseded draft again.
    is_sendable = job.draft_status not in (DraftStatus.WITHDRAWN, DraftStatus.SUPERSEDED)
    if Action.RESEND in possible and has_results and job.removed_at is None and is_sendable:
        forms.append(replace(_RESEND, choices=[each.name for each in settings.destinations]))
    if job.state is not JobState.SCHEDULED:
        models = settings.readings()
        forms.append(replace(_REREAD, choices=list(models) if len(models) > 1 else []))
    if Action.CANCEL in possible:
        forms.append(_CANCEL)
    return forms
