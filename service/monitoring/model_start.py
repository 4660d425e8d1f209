"""Records why a reading worker could not load its model, until one could.

A worker whose model does not load ends, and so do its heartbeats. The reason stays as a separate row
among the processes, one for each role and machine, for the page, `/readyz` and `/metrics`.
"""

import os
import socket
from contextlib import suppress

from service.errors import StoreError
from service.log import get_logger
from service.records import IncidentKind, ProcessStatus, StatusReport
from service.records.models import ModelFacts
from service.settings.config import restarts
from service.store import Store

log = get_logger(__name__)


def note_failure(store: Store, role: str, model: str, reason: str) -> None:
    """Record why the model could not be loaded; record an incident if the reason is new.

    Args:
        store: The store; if it does not answer, only the log has the reason.
        role: The role in the worker's heartbeats ("reading").
        model: The model's name as configured.
        reason: A sentence without patient attributes.
    """
    log.error("model_not_loaded", model=model, reason=reason)
    name = _name(role)
    try:
        known = {beat.name: beat.load_failure for beat in store.processes()}.get(name)
        store.beat(
            name,
            role,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=store.now(),
            restarts=restarts(),
            report=StatusReport("", ProcessStatus.NOT_LOADED, reason),
        )
        if known != reason:
            store.record_incident(
                actor=name, kind=IncidentKind.MODEL_NOT_LOADED, subject=model, detail=reason
            )
    except StoreError as error:
        log.warning("incident_not_recorded", model=model, reason=str(error))


def note_success(store: Store, role: str) -> None:
    """Remove this machine's record of an earlier failure to load the model."""
    with suppress(StoreError):
        store.sign_off(_name(role))


def note_loaded(store: Store, role: str, model: str, facts: ModelFacts) -> None:
    """Record for the page of models what this worker has loaded."""
    try:
        store.note_loaded(role, socket.gethostname(), model, facts)
    except StoreError as error:
        log.warning("loaded_model_not_recorded", model=model, reason=str(error))


def _name(role: str) -> str:
    return f"{role}@{socket.gethostname()}:start"
