"""Makes the support bundle: a ZIP file of JSON and text that holds no patient data."""

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from service.checks.check import results
from service.checks.site import site_checks
from service.settings.config import Settings
from service.store import Store
from service.support import facts
from service.support.allowed_settings import allowed_settings
from service.support.log_lines import MOST_LINES, allowed_lines
from service.support.pseudonyms import Pseudonyms, installation_key

# A check of a destination waits for its answer; a person waits for the bundle.
_LONGEST_SECONDS: Final = 5.0

_README: Final = f"""Wetread support bundle

This file was made by an administrator for the maintainers of Wetread. It holds no patient data: it is
built from lists of allowed fields, not from texts with parts removed.

version.json    versions of Wetread, libraries, Python, system and database schema
settings.json   the allowed settings (numbers, switches, fixed words), and a digest over all settings
check.txt       the output of `wetread check`, without the models
processes.json  the heartbeats of the processes
queue.json      numbers of jobs and deliveries by state
incidents.json  kinds and times of the latest incidents
network.json    states of the destinations, figures of the calling AEs, refusals
job.json        one job: stages, images, deliveries, objects, events (only if a job was named)
log.jsonl       the last {MOST_LINES} known log events with allowed keys (only if a log file was named)

A value that begins with # is a hash (HMAC-SHA256) by a key that only the site has. It stands for an
identifier (UID, AE title, destination, job, person, machine) or a sentence (reason, error, incident).
Equal values have equal hashes within one site; the value cannot be found from the hash without the key.
Times are those of the service, in UTC. `check.txt` names paths, addresses and accounts of the service:
read it before you send the file.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """What a bundle is to hold besides the state of the site.

    Attributes:
        job_id: A job, by its id or a unique prefix; "" for none.
        log: The lines of a log in JSON, the oldest first; None for none.
    """

    job_id: str = ""
    log: Iterable[str] | None = None


def support_bundle(store: Store, settings: Settings, request: BundleRequest) -> bytes:
    """Return the ZIP file.

    Raises:
        NotFound: There is no such job.
        StoreError: The database does not answer.
        ConfigurationError: The key of the installation cannot be used.
    """
    pseudonyms = Pseudonyms(installation_key(settings))
    entries: dict[str, Any] = {
        "version.json": facts.version(settings),
        "settings.json": allowed_settings(settings, pseudonyms),
        "processes.json": facts.processes(store, pseudonyms),
        "queue.json": facts.queue(store),
        "incidents.json": facts.incidents(store, pseudonyms),
        "network.json": facts.network(store, settings, pseudonyms),
    }
    if request.job_id:
        entries["job.json"] = facts.job(store, request.job_id, pseudonyms)
    texts = {"README.txt": _README, "check.txt": _check_text(settings)}
    texts |= {name: json.dumps(value, indent=1) for name, value in entries.items()}
    if request.log is not None:
        lines = allowed_lines(request.log, pseudonyms)
        texts["log.jsonl"] = "".join(f"{json.dumps(each)}\n" for each in lines)
    return _zipped(texts)


def _check_text(settings: Settings) -> str:
    short = [
        each.model_copy(update={"timeout": min(each.timeout, _LONGEST_SECONDS)})
        for each in settings.destinations
    ]
    checked = settings.model_copy(update={"destinations": tuple(short)})
    return "".join(f"{each.line()}\n" for each in results(site_checks(checked)))


def _zipped(texts: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return content.getvalue()
