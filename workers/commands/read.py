"""`wetread read`: films to SR and SC without any server."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dicom.errors import DicomError
from dicom.files import describe
from dicom.outputs import encode
from dicom.report import Presence
from dicom.study import Instance, Study, group_by_study
from service.config import load_settings
from service.errors import ReadingError
from service.log import configure_logging
from workers.reading import Drafted, NotAnalysed, Reader

_EXIT_ERROR = 1
_EXIT_NOT_ANALYSED = 3
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object a study, one a line.")
def read(paths: tuple[Path, ...], out: Path, *, as_json: bool) -> None:
    """Read DICOM files or folders and write each study's SR and SC to a folder.

    Exit status: 0 when every study was drafted, 3 when something was not analysed, 1 on an error.
    The results are unverified AI drafts, never a diagnosis.
    """
    settings = load_settings()
    configure_logging(settings.log, process="read")
    films, results = _describe(paths)
    for result in results:
        _show(result, as_json=as_json)
    studies = group_by_study([copies[0] for copies in films.values()])
    if studies:
        reader = Reader.from_settings(settings)
        for number, study in enumerate(studies, start=1):
            _progress(f"study {number} of {len(studies)} ...")
            files = [copy for each in study.instances for copy in films[each.sop_instance_uid]]
            result = {
                "study_instance_uid": study.study_instance_uid,
                "files": [str(copy.path) for copy in files],
            }
            results.append(result | _read(reader, study, out))
            _show(results[-1], as_json=as_json)
    sys.exit(_status({result["state"] for result in results}))


def _status(states: set[str]) -> int:
    if _ERROR in states or not states:
        return _EXIT_ERROR
    return _EXIT_NOT_ANALYSED if _NOT_ANALYSED in states else 0


def _describe(paths: Iterable[Path]) -> tuple[dict[str, list[Instance]], list[dict[str, Any]]]:
    """Return what lies under `paths`, and a result for each file that is not read.

    Returns:
        For each SOP Instance UID the files that hold this instance, equal byte for byte; and results.
    """
    films: dict[str, list[Instance]] = {}
    faults = []
    for path in _files(paths):
        try:
            instance = describe(path)
        except (DicomError, OSError) as error:
            faults.append({"file": str(path), "state": _ERROR, "reason": str(error)})
            continue
        copies = films.setdefault(instance.sop_instance_uid, [])
        if copies and copies[0].sha256 != instance.sha256:
            reason = f"has the SOP Instance UID of {copies[0].path.name} and other bytes; not read"
            faults.append({"file": str(path), "state": _ERROR, "reason": reason})
        else:
            copies.append(instance)
    return films, faults


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            for folder, _, names in sorted(os.walk(path)):
                # A DICOMDIR lists the files that lie beside it (PS3.10 8.6) and holds no image.
                yield from (Path(folder) / name for name in sorted(names) if name != "DICOMDIR")
        else:
            yield path


def _read(reader: Reader, study: Study, out: Path) -> dict[str, Any]:
    try:
        outcome = reader.read(
            study,
            revision=1,
            predecessor=None,
            produced_at=datetime.now(UTC).replace(microsecond=0),
        )
        if isinstance(outcome, NotAnalysed):
            return _not_analysed(outcome)
        return _drafted(outcome, out / study.study_instance_uid)
    except (ReadingError, DicomError) as error:
        return {"state": _ERROR, "reason": str(error)}
    except OSError as error:
        reason = f"cannot write to {out}: {error.strerror}; choose another folder with --out"
        return {"state": _ERROR, "reason": reason}


def _not_analysed(outcome: NotAnalysed) -> dict[str, Any]:
    return {"state": _NOT_ANALYSED, "reason_code": outcome.code, "reason": outcome.sentence}


def _drafted(outcome: Drafted, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for output in outcome.outputs:
        path = folder / f"{output.kind}.dcm"
        partial = path.with_suffix(".partial")
        partial.write_bytes(encode(output))
        partial.rename(path)
        written[output.kind] = str(path)
    draft = outcome.draft
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
    if result["state"] == _DRAFTED:
        for line in _draft_lines(result):
            click.echo(f"  {line}")


def _draft_lines(result: dict[str, Any]) -> Sequence[str]:
    said = [
        f"{finding['observation']}: {finding['presence']}"
        for finding in result["findings"]
        if finding["presence"] != Presence.NOT_MENTIONED
    ]
    caveat = [result["caveat"]] if result["caveat"] else []
    files = [f"{kind}: {path}" for kind, path in result["outputs"].items()]
    return [*caveat, *said, result["report"], *result["notes"], *files]


def _progress(text: str) -> None:
    """Show that work goes on, to a person only: what is piped stays clean."""
    if sys.stderr.isatty():
        click.echo(text, err=True)
