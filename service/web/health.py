"""`/healthz`: whether this process serves. `/readyz`: whether every part that a Study needs works.

Neither needs a password, because probes send none.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse

from service.web.app_context import app_context_of
from service.web.readiness import PartHealth


async def healthz(_request: Request) -> JSONResponse:
    """Answer 200: the process serves requests."""
    return JSONResponse({"status": "alive"})


async def readyz(request: Request) -> JSONResponse:
    """Answer 200 if every part works, else 503 with the names of the parts at fault."""
    here = app_context_of(request)
    report = await here.readiness.report()
    live = PartHealth(name="live_updates", fault=here.hub.fault)
    parts = (*report.parts, live)
    faults = [each.name for each in parts if each.fault]
    body = {
        "status": "ready" if not faults else "not ready",
        "faults": faults,
        "disk": report.disk,
        "parts": {each.name: {"ok": not each.fault, "fault": each.fault} for each in parts},
        "destinations": report.destinations,
    }
    return JSONResponse(body, status_code=503 if faults else 200)
