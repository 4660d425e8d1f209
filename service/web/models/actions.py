"""The switches of an administrator: the model for new studies, and the stop of drafting."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.audit import AuditAction
from service.log import get_logger
from service.web.app_context import AppContext
from service.web.auditing import event_of
from service.web.job_actions import cleaned

_NO_REASON: Final = "Give a reason: pages and the histories of jobs show it."

log = get_logger(__name__)


def use_model(request: Request, here: AppContext, name: str) -> None:
    """Let a model read new studies.

    Raises:
        HTTPException: 400: no model that reads for results has this name.
        StoreError: Nothing was changed.
    """
    if name in here.settings.shadows():
        raise HTTPException(
            400, f"{name} is a shadow model: its drafts are never delivered. See docs/models.md."
        )
    if name not in here.settings.readings():
        raise HTTPException(400, "No model with this name is configured.")
    here.store.use_model(name, event_of(request, AuditAction.CHOSE_MODEL, detail=name))
    log.info("model_chosen", model=name)


def stop_drafting(request: Request, here: AppContext, reason: str) -> None:
    """Stop drafting.

    Raises:
        HTTPException: 400: there is no reason.
        IllegalTransition: It is stopped already.
        StoreError: Nothing was changed.
    """
    given = cleaned(reason)
    if not given:
        raise HTTPException(400, _NO_REASON)
    event = event_of(request, AuditAction.STOPPED_DRAFTING, detail=given)
    here.store.stop_drafting(given, event)
    log.warning("drafting_stopped", reason=given)


def start_drafting(request: Request, here: AppContext) -> None:
    """Start drafting again.

    Raises:
        IllegalTransition: It is not stopped.
        StoreError: Nothing was changed.
    """
    here.store.start_drafting(event_of(request, AuditAction.STARTED_DRAFTING, detail=""))
    log.info("drafting_started")
