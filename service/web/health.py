"""`/healthz`: whether this process serves. `/readyz`: whether every part that a Study needs works.

Neither needs a login, because probes have none. Which part is at fault is for those who are logged in.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse

from service.web.access.current import actor_of
from service.web.app_context import app_context_of
from service.web.readiness import PartHealth


async def healthz(_request: Request) -> JSONResponse:
    """Answer 200: the process serves requests."""
    return JSONResponse({"status": "alive"})


async def readyz(request: Request) -> JSONResponse:
    """Answer 200 if every part works, else 503; with a login also name the parts at fault."""
    here = app_context_of(request)
    report = await here.readiness.report()
    live = PartHealth(name="live_updates", fault=here.hub.fault)
    parts = (*report.parts, live)
    faults = [each.name for each in parts if each.fault]
    status = "ready" if not faults else "not ready"
    code = 503 if faults else 200
    if not actor_of(request):
        return JSONResponse({"status": status}, status_code=code)
    body = {
        "status": status,
        "faults": faults,
        "disk": report.disk,
        "parts": {each.name: {"ok": not each.fault, "fault": each.fault} for each in parts},
        "destinations": report.destinations,
        "drafting": report.drafting,
        "end_to_end_check": report.probe,
    }
    return JSONResponse(body, status_code=code)
