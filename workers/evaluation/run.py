"""One evaluation from its inputs to its folder: find, match, read what is missing, compute, write."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from dicom.selection.image_selection import Rules
from service.assessment.file_names import MANIFEST
from service.settings.config import Settings
from service.settings.keys.judge import Judge as JudgeSettings
from workers.evaluation.cases import Case, Received
from workers.evaluation.draft_rows import DraftState, is_finished
from workers.evaluation.faults import InputFaults, raise_if_any
from workers.evaluation.progress import Progress
from workers.evaluation.reading import CaseReading, DraftRows, RowOf, Stop
from workers.evaluation.run_directory import RunDirectory
from workers.evaluation.truth import Matched, Truth, matched, truths_at
from workers.labeller.version import labeler_version
from workers.model.profiles.load import find_profile, load_profile
from workers.reading.error_mapping import reading_errors
from workers.reading.image_selection import rules_for
from workers.reading.reader import Reader

CAUTION: Final = (
    "All drafts in this folder are unverified AI drafts, never a diagnosis. The folder holds report "
    "text: keep it as patient data."
)
# Settings of [reading] that do not change what a draft says: memory, threads, limits of time, a secret.
_NOT_DECISIVE: Final = frozenset(
    {"compile", "concurrency", "decode_seconds", "hang_seconds", "lease_seconds", "max_attempts"}
    | {"server_api_key", "server_seconds", "server_tls_ca"}
)


@dataclass(frozen=True, slots=True)
class JudgeOrder:
    """The language model that counts errors in the drafts.

    Attributes:
        settings: Its server.
        allow_untested: Whether a model that fails the probe is used.
    """

    settings: JudgeSettings
    allow_untested: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the command line asks for.

    Attributes:
        out: DIR.
        truth: Files and folders of truth.
        seed: Of the resampling.
        keep_text: Whether texts and pictures are kept.
        blank_negative: Whether a blank cell of the truth means absent.
        compare: Folders of other evaluations.
        export_pairs: Whether reference and draft of each study are written as text files.
        judge: The language model that counts errors in the drafts; None: none does.
    """

    out: Path
    truth: tuple[Path, ...]
    seed: int = 0
    keep_text: bool = True
    blank_negative: bool = False
    compare: tuple[Path, ...] = ()
    export_pairs: bool = False
    judge: JudgeOrder | None = None


def checked_truth(
    order: Order, received: Received, faults: list[str]
) -> tuple[Matched, list[Truth]]:
    """Return the truth of each study.

    Raises:
        InputFaults: There are faults, here or in `faults`; all are listed.
    """
    truths: list[Truth] = []
    for path in order.truth:
        truths += truths_at(path, faults)
    found = matched(truths, received.cases, faults)
    raise_if_any(faults)
    return found, truths


def inputs_digest(settings: Settings, received: Received, **facts: object) -> str:
    """Return the digest of all that decides what is read and what the drafts say; `facts` too."""
    reading = decisive(settings)
    studies = [(case.id, case.digest) for case in received.cases]
    every = {"reading": reading, "studies": studies, **facts}
    return hashlib.sha256(json.dumps(every, sort_keys=True).encode()).hexdigest()


def decisive(settings: Settings) -> dict[str, str]:
    """Return the settings of the model that decide what is read and what a draft says, as text.

    Those at their default are left out: a later version with more settings continues with a folder.

    Raises:
        PermanentReadingError: The model's profile cannot be read.
    """
    changed = settings.reading.model_dump(exclude_defaults=True)
    found = {name: str(changed[name]) for name in sorted(changed) if name not in _NOT_DECISIVE}
    if settings.reading.profile is None:
        return found
    # The file may have changed under the same name.
    with reading_errors():
        content = load_profile(find_profile(settings.reading.profile))
    return found | {"profile_sha256": content.sha256}


def read_missing(
    run: RunDirectory,
    received: Received,
    settings: Settings,
    stop: Stop,
    reader: Callable[[], Reader],
    row_of: Callable[[Reader], RowOf],
) -> Progress:
    """Read the studies that have no finished row yet; the model is loaded only if there are any.

    Args:
        run: Where the rows are and go.
        received: The studies.
        settings: The site's.
        stop: Ends the reading early.
        reader: Loads the model.
        row_of: What is read of each study.

    Raises:
        InputFaults: The model's weights are others than those that made the drafts in the folder.
        ReaderStopped: The model cannot read any more.
    """
    rows = run.finished
    cases = [
        case for case in received.cases if case.id not in rows or not is_finished(rows[case.id])
    ]
    total = len(received.cases)
    if not cases:
        return Progress(total, already=total)
    loaded = reader()
    _same_weights(run, loaded)
    run.write_manifest({"model": _model_facts(loaded)})
    # From here on: the time to load the model is no part of the rate.
    progress = Progress(total, already=total - len(cases))
    reading = CaseReading(
        row_of(loaded),
        run,
        at_once=settings.reading.concurrency + (settings.reading.concurrency + 1) // 2,
        max_pixels=settings.reading.max_pixels,
        stop=stop,
        progress=progress,
    )
    reading.read_all(cases)
    progress.show(last=True)
    return progress


def draft_rows(
    run: RunDirectory, settings: Settings, stop: Stop, *, keep_text: bool
) -> Callable[[Reader], RowOf]:
    """Return what `read_missing` reads for an evaluation: drafts by the rules of each calling AE."""
    return lambda reader: DraftRows(
        reader, run, lambda case: _rules(settings, case), stop, keep_text=keep_text
    )


def _rules(settings: Settings, case: Case) -> Rules | None:
    if not case.calling_ae:
        return None
    return rules_for(settings, settings.caller(case.calling_ae))


def _same_weights(run: RunDirectory, reader: Reader) -> None:
    known = run.manifest.get("model", {}).get("weights_sha256")
    if known not in (None, reader.checkpoint.weights_sha256):
        raise InputFaults(
            [f"{run.folder}: its drafts were made by other weights; choose a new folder"]
        )


def _model_facts(reader: Reader) -> dict[str, Any]:
    identity, checkpoint = reader.identity, reader.checkpoint
    return {
        "name": identity.name,
        "version": identity.version,
        "weights_sha256": identity.weights_sha256,
        "decoding": identity.decoding,
        "caveat": identity.caveat,
        "device": checkpoint.device,
        "dtype": checkpoint.dtype,
        "libraries": checkpoint.libraries,
        "revision": checkpoint.revision,
    }


def manifest_facts(
    order: Order, received: Received, truths: Sequence[Truth], settings: Settings
) -> dict[str, Any]:
    """Return what the manifest says of the inputs; no time, so that a run can be repeated."""
    return {
        "made_by": f"wetread evaluate {version('wetread')}",
        "caution": CAUTION,
        "seed": order.seed,
        "keeps_text": order.keep_text,
        "blank_truth": "negative" if order.blank_negative else "unknown",
        "labeler": labeler_version(),
        "studies": {"source": received.source, "cases": len(received.cases),
                    "unreadable": [each.id for each in received.unreadable],
                    "other_files": received.passed_over},
        "truth": {"files": [str(path) for path in order.truth], "entries": len(truths),
                  "sha256": _truth_digest(truths)},
        "reading": decisive(settings),
        "children": _children(settings),
    }  # fmt: skip


def _children(settings: Settings) -> str:
    read = "read" if settings.reading.read_children else "not read"
    return f"patients below {settings.reading.minimum_age_years} years are {read}"


def _truth_digest(truths: Sequence[Truth]) -> str:
    digest = hashlib.sha256()
    for truth in truths:
        sentences = truth.text.sentences if truth.text else ()
        digest.update(repr((truth.names, truth.cells, sentences)).encode())
    return digest.hexdigest()


def exclusions(run: RunDirectory) -> list[dict[str, str]]:
    """Return which studies have no draft, and why."""
    return [
        {"id": row["id"], "code": row.get("reason_code", ""), "reason": row.get("reason", "")}
        for _, row in sorted(run.finished.items())
        if row["state"] != DraftState.DRAFTED
    ]


def prompts(run: RunDirectory) -> str:
    """Return the prompts of the drafts, each once."""
    models = [(row.get("draft") or {}).get("model") or {} for row in run.finished.values()]
    return " | ".join(sorted({model["prompt"] for model in models if model.get("prompt")}))


def now_text() -> str:
    """Return the time as text, UTC, so exact that it divides what the service received."""
    return datetime.now(UTC).isoformat()


def begun_at(out: Path) -> datetime | None:
    """Return when the run in a folder began, None if there is none."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        return datetime.fromisoformat(manifest["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
