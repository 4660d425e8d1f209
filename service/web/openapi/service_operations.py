"""The operations on models, drafting and final reports, and the description itself."""

from typing import Final

from service.web.openapi.alert_models import Alerts, EndToEndChecks
from service.web.openapi.network_models import Network, PauseReason
from service.web.openapi.operation import CONFLICT, Once, Operation, Tag
from service.web.openapi.review_models import Nothing
from service.web.openapi.service_models import (
    FinalReports,
    ModelsInUse,
    ModelToUse,
    StopReason,
    TakenReports,
)

OPERATIONS: Final = {
    ("GET", "/api/openapi.json"): Operation(
        name="openapi",
        summary="Return this description of the API (OpenAPI 3.1).",
        tag=Tag.SERVICE,
        answer=None,
    ),
    ("GET", "/api/models"): Operation(
        name="models",
        summary="Return the models, the choice for new studies and the stop of drafting.",
        tag=Tag.MODELS,
        answer=ModelsInUse,
    ),
    ("POST", "/api/models/use"): Operation(
        name="useModel",
        summary="Let a model read new studies; existing jobs keep theirs.",
        tag=Tag.MODELS,
        answer=ModelsInUse,
        body=ModelToUse,
        once=Once.OPTIONAL,
    ),
    ("POST", "/api/drafting/stop"): Operation(
        name="stopDrafting",
        summary="Stop drafting; studies are still received and wait.",
        tag=Tag.MODELS,
        answer=ModelsInUse,
        body=StopReason,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    ),
    ("POST", "/api/drafting/start"): Operation(
        name="startDrafting",
        summary="Start drafting again.",
        tag=Tag.MODELS,
        answer=ModelsInUse,
        body=Nothing,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    ),
    ("GET", "/api/network"): Operation(
        name="network",
        summary="Return the calling AEs and the destinations.",
        tag=Tag.NETWORK,
        answer=Network,
    ),
    ("POST", "/api/destinations/{name}/pause"): Operation(
        name="pauseDestination",
        summary="Pause the deliveries to a destination.",
        tag=Tag.NETWORK,
        answer=Network,
        body=PauseReason,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    ),
    ("POST", "/api/destinations/{name}/resume"): Operation(
        name="resumeDestination",
        summary="Resume the deliveries to a destination.",
        tag=Tag.NETWORK,
        answer=Network,
        body=Nothing,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    ),
    ("GET", "/api/alerts"): Operation(
        name="alerts",
        summary="Return the open alerts, the latest closed ones and the latest messages.",
        tag=Tag.ALERTS,
        answer=Alerts,
    ),
    ("POST", "/api/alerts/{alert_id}/acknowledge"): Operation(
        name="acknowledgeAlert",
        summary="Acknowledge an alert; a second time changes nothing.",
        tag=Tag.ALERTS,
        answer=Alerts,
        body=Nothing,
        once=Once.OPTIONAL,
    ),
    ("GET", "/api/heartbeat"): Operation(
        name="endToEndChecks",
        summary="Return the latest end-to-end checks.",
        tag=Tag.ALERTS,
        answer=EndToEndChecks,
    ),
    ("POST", "/api/heartbeat/now"): Operation(
        name="beginEndToEndCheck",
        summary="Begin an end-to-end check.",
        tag=Tag.ALERTS,
        answer=EndToEndChecks,
        body=Nothing,
        errors={409: CONFLICT},
        once=Once.OPTIONAL,
    ),
    ("POST", "/api/final-reports"): Operation(
        name="takeFinalReports",
        summary="Take final reports of the reporting system; a known one is taken once.",
        tag=Tag.REPORTS,
        answer=TakenReports,
        body=FinalReports,
    ),
}
