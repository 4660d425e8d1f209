"""`wetread read`: reads DICOM files and writes SR and SC, without any server."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dicom.content.report import STATED
from dicom.errors import DicomError
from dicom.reasons import Reason
from dicom.results.result_file import Output
from dicom.selection.local_files import describe
from dicom.study import Instance, Study, group_by_study
from service.errors import ReadingError
from service.log import configure_logging
from service.settings.config import Settings, load_settings
from workers.outbox import wants_sidecar, write_outputs, write_sidecar
from workers.reading.not_analysed_notice import expects_notice, notice
from workers.reading.outcomes import Drafted, NotAnalysed
from workers.reading.reader import Reader

_EXIT_ERROR = 1
_EXIT_NOT_ANALYSED = 3
_NO_MODEL = (
    "wetread read: reading.model reads synthetic images only: configure a model for patients "
    "(docs/models.md), or set WETREAD_READING__DEMO_READS_PATIENTS=true for meaningless text."
)
_DRAFTED, _NOT_ANALYSED, _ERROR = "DRAFTED", "NOT_ANALYSED", "ERROR"


@click.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="PATH...",
)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object per study, one per line."
)
def read(paths: tuple[Path, ...], out: Path, *, as_json: bool) -> None:
    """Read DICOM files or folders and write what the service would send, a folder for each study.

    These are the SR and SC of the draft, its JSON if the settings enable it, and a notice for a study
    that was not read.

    Exit status: 0 if every study was drafted, 3 if a study was not analyzed, 1 on an error.
    The results are unverified AI drafts, never a diagnosis.
    """
    settings = load_settings()
    configure_logging(settings.log, process="read")
    images, results = _describe(paths)
    for result in results:
        _show(result, as_json=as_json)
    studies = group_by_study([copies[0] for copies in images.values()])
    if studies:
        reader = Reader.from_settings(settings)
        for number, study in enumerate(studies, start=1):
            _progress(f"study {number} of {len(studies)} ...")
            files = [copy for each in study.instances for copy in images[each.sop_instance_uid]]
            result = {
                "study_instance_uid": study.study_instance_uid,
                "files": [str(copy.path) for copy in files],
            }
            results.append(result | _read(reader, settings, study, out))
            _show(results[-1], as_json=as_json)
    if any(result.get("reason_code") == Reason.NO_MODEL_FOR_PATIENTS for result in results):
        click.echo(_NO_MODEL, err=True)
    sys.exit(_status({result["state"] for result in results}))


def _status(states: set[str]) -> int:
    if _ERROR in states or not states:
        return _EXIT_ERROR
    return _EXIT_NOT_ANALYSED if _NOT_ANALYSED in states else 0


def _describe(paths: Iterable[Path]) -> tuple[dict[str, list[Instance]], list[dict[str, Any]]]:
    """Return the Instances under `paths`, and a result for each file that is not read.

    Returns:
        By SOP Instance UID the files that hold the Instance, equal byte for byte; and the results.
    """
    images: dict[str, list[Instance]] = {}
    faults = []
    for path in _files(paths):
        try:
            instance = describe(path)
        except (DicomError, OSError) as error:
            faults.append({"file": str(path), "state": _ERROR, "reason": str(error)})
            continue
        copies = images.setdefault(instance.sop_instance_uid, [])
        if copies and copies[0].digest != instance.digest:
            reason = (
                f"has the SOP Instance UID of {copies[0].path.name} but other content; not read"
            )
            faults.append({"file": str(path), "state": _ERROR, "reason": reason})
        else:
            copies.append(instance)
    return images, faults


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            for folder, _, names in sorted(os.walk(path)):
                # A DICOMDIR lists the files that lie beside it (PS3.10 8.6) and holds no image.
                yield from (Path(folder) / name for name in sorted(names) if name != "DICOMDIR")
        else:
            yield path


def _read(reader: Reader, settings: Settings, study: Study, out: Path) -> dict[str, Any]:
    now, folder = datetime.now(UTC).replace(microsecond=0), out / study.study_instance_uid
    try:
        outcome = reader.read(study, revision=1, predecessor=None, produced_at=now)
        if isinstance(outcome, NotAnalysed):
            results = notice(settings, study, outcome, 1, now) if expects_notice(outcome) else ()
            return _not_analysed(outcome) | {"outputs": _written(folder, results, study)}
        return _drafted(outcome, folder, study, with_json=wants_sidecar(settings))
    except (ReadingError, DicomError) as error:
        return {"state": _ERROR, "reason": str(error)}
    except OSError as error:
        reason = f"cannot write to {out}: {error.strerror}; choose another folder with --out"
        return {"state": _ERROR, "reason": reason}


def _not_analysed(outcome: NotAnalysed) -> dict[str, Any]:
    return {"state": _NOT_ANALYSED, "reason_code": outcome.code, "reason": outcome.sentence}


def _written(folder: Path, outputs: tuple[Output, ...], study: Study) -> dict[str, str]:
    """Write `outputs` to `folder`; return the path of each by its kind."""
    if not outputs:
        return {}
    images = [instance.path for instance in study.instances]
    return {item.kind: str(item.path) for item in write_outputs(folder, outputs, images)}


def _drafted(outcome: Drafted, folder: Path, study: Study, *, with_json: bool) -> dict[str, Any]:
    written, draft = _written(folder, outcome.outputs, study), outcome.draft
    if with_json:
        written["json"] = str(write_sidecar(folder, draft, outcome.outputs))
    return {
        "state": _DRAFTED,
        "reason": "unverified AI draft, not a diagnosis",
        "model": f"{draft.model.name} {draft.model.version}",
        "caveat": draft.model.caveat,
        "findings": draft.to_json()["findings"],
        "report": " ".join((*draft.findings_text, *draft.impression_text)),
        "notes": list(draft.notes),
        "not_read": draft.to_json()["not_read"],
        "outputs": written,
    }


def _show(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    click.echo(f"{result.get('study_instance_uid') or result['file']}: {result['state']}")
    click.echo(f"  {result['reason']}")
    for line in _draft_lines(result) if result["state"] == _DRAFTED else ():
        click.echo(f"  {line}")
    for kind, path in result.get("outputs", {}).items():
        click.echo(f"  {kind}: {path}")


def _draft_lines(result: dict[str, Any]) -> Sequence[str]:
    stated = [
        f"{finding['observation']}: {finding['presence']}"
        for finding in result["findings"]
        if finding["presence"] in STATED
    ]
    caveat = [result["caveat"]] if result["caveat"] else []
    return [*caveat, *stated, result["report"], *result["notes"]]


def _progress(text: str) -> None:
    """Print progress to stderr, only if it is a terminal: logs and pipes stay clean."""
    if sys.stderr.isatty():
        click.echo(text, err=True)
