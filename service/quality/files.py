"""Makes the chosen documents and writes them to a folder: HTML, JSON, log, bill of materials."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Final

from service.quality.audit_log import LOG_FILE, VERIFIER_FILE, LogSummary, audit_log, log_lines
from service.quality.change_evaluation import change_evaluation
from service.quality.change_log import change_log
from service.quality.configuration import configuration
from service.quality.document import Document, DocumentKind, as_json, render
from service.quality.inputs import Inputs
from service.quality.model_card import model_cards
from service.quality.period import moment
from service.quality.sbom import SBOM_FILE, bill_of_materials, sbom
from service.quality.surveillance import surveillance

SUMS_FILE: Final = "SHA256SUMS"
_OWNER_ONLY: Final = 0o600
_BLOCK: Final = 2**20


def write_documents(inputs: Inputs, folder: Path, kinds: Collection[DocumentKind]) -> list[Path]:
    """Write the documents of these kinds; return the paths of the files, in the order of their names.

    Files of an earlier call are replaced, each as a whole. The same inputs give the same bytes.

    Raises:
        OSError: The folder cannot be written.
        QualityInputError: An evaluation cannot be read.
        StoreError: The database cannot be used.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    writer = _Writer(inputs, folder)
    for kind in DocumentKind:
        if kind in kinds:
            _MAKERS[kind](writer)
    sums = sorted(f"{_sha256(path)}  {path.name}\n" for path in writer.written)
    writer.write(SUMS_FILE, sorted(sums, key=lambda line: line.split("  ", 1)[1]))
    return sorted(writer.written)


class _Writer:
    """Writes files of one folder."""

    def __init__(self, inputs: Inputs, folder: Path) -> None:
        self.inputs = inputs
        self.folder = folder
        self.written: list[Path] = []

    def write(self, name: str, parts: Iterable[str]) -> None:
        """Write a file as a whole: a reader sees the old one or the new one."""
        path = self.folder / name
        unfinished = path.with_name(f".{name}.{os.getpid()}")
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        self.written.append(path)

    def write_document(self, document: Document) -> None:
        """Write a document as HTML and JSON."""
        created = moment(self.inputs.created or self.inputs.period.end)
        if self.inputs.created is None:
            created += " (the end of the period)"
        site = self.inputs.settings.site_name
        self.write(f"{document.name}.html", [render(document, site=site, created=created)])
        self.write(f"{document.name}.json", [as_json(document, site=site, created=created)])


def _write_model_cards(writer: _Writer) -> None:
    for card in model_cards(writer.inputs):
        writer.write_document(card)


def _write_change_evaluation(writer: _Writer) -> None:
    if writer.inputs.change is not None:
        writer.write_document(change_evaluation(writer.inputs.change))


def _write_audit_log(writer: _Writer) -> None:
    summary = LogSummary()
    writer.write(LOG_FILE, log_lines(writer.inputs, summary))
    script = files("service.quality").joinpath(VERIFIER_FILE).read_text("utf-8")
    writer.write(VERIFIER_FILE, [script])
    writer.write_document(audit_log(writer.inputs, summary))


def _write_sbom(writer: _Writer) -> None:
    created = writer.inputs.created or writer.inputs.period.end
    bill = bill_of_materials(writer.inputs, created=created)
    writer.write(SBOM_FILE, [json.dumps(bill, indent=1, ensure_ascii=False), "\n"])
    writer.write_document(sbom(bill))


_MAKERS: Final[dict[DocumentKind, Callable[[_Writer], None]]] = {
    DocumentKind.MODEL_CARD: _write_model_cards,
    DocumentKind.CHANGE_LOG: lambda writer: writer.write_document(change_log(writer.inputs)),
    DocumentKind.CHANGE_EVALUATION: _write_change_evaluation,
    DocumentKind.SURVEILLANCE: lambda writer: writer.write_document(surveillance(writer.inputs)),
    DocumentKind.AUDIT_LOG: _write_audit_log,
    DocumentKind.SBOM: _write_sbom,
    DocumentKind.CONFIGURATION: lambda writer: writer.write_document(configuration(writer.inputs)),
}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
