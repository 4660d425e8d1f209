"""Pauses and resumes a destination, for the page and the JSON API."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from service.audit import AuditAction
from service.log import get_logger
from service.web.app_context import AppContext
from service.web.auditing import event_of
from service.web.job_actions import cleaned

_NO_REASON: Final = "Give a reason: pages show it to everyone who is logged in."

log = get_logger(__name__)


def pause_destination(request: Request, here: AppContext, name: str, reason: str) -> None:
    """Pause a destination.

    Raises:
        HTTPException: 400: there is no reason.
        NotFound: No destination has this name.
        IllegalTransition: It is paused already.
        StoreError: Nothing was changed.
    """
    given = cleaned(reason)
    if not given:
        raise HTTPException(400, _NO_REASON)
    event = event_of(request, AuditAction.PAUSED, detail=f"{name}: {given}")
    configured = [each.name for each in here.settings.destinations]
    here.store.pause_destination(name, given, event, configured=configured)
    log.warning("destination_paused", destination=name)


def resume_destination(request: Request, here: AppContext, name: str) -> None:
    """Resume a destination.

    Raises:
        IllegalTransition: It is not paused.
        StoreError: Nothing was changed.
    """
    waiting = here.store.resume_destination(
        name, event_of(request, AuditAction.RESUMED, detail=name)
    )
    log.info("destination_resumed", destination=name, waiting=waiting)
