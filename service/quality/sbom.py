"""The software bill of materials: CycloneDX 1.6 JSON of what is installed beside this program.

Made from the metadata of the installed distributions, and the models in use with the digests of their
weights. It has no random serial number: the same installation gives the same bytes.
"""

import json
import platform
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final

from service.quality.document import Document, DocumentKind, Section, Table, not_recorded
from service.quality.inputs import Inputs
from service.records.quality import ModelUse

SBOM_FILE: Final = "sbom.cdx.json"
_WETREAD: Final = "wetread"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA: Final = re.compile(r"\bextra\s*==")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NAMESPACE: Final = uuid.UUID("9d0d3d6a-5d0e-5b0e-8a55-4f0f5e1c7a10")
_LONGEST_LICENSE: Final = 120  # some distributions give the whole text in its place
_CLASSIFIER: Final = "License :: "


def bill_of_materials(inputs: Inputs, *, created: datetime) -> dict[str, Any]:
    """Return the CycloneDX document as JSON types.

    Args:
        inputs: For the models in use.
        created: The time that it states.
    """
    found = _installed()
    components = [_component(each) for name, each in sorted(found.items()) if name != _WETREAD]
    components += [_python(), *(_model(each) for each in inputs.models_used)]
    application = _application(found.get(_WETREAD))
    content = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": created.astimezone(UTC).isoformat(timespec="seconds"),
            "tools": {"components": [{"type": "application", "name": "wetread report"}]},
            "component": application,
        },
        "components": components,
        "dependencies": [_depends(each, found) for _, each in sorted(found.items())],
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(content, sort_keys=True))
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "serialNumber": f"urn:uuid:{serial}", **content}  # fmt: skip


def _installed() -> dict[str, metadata.Distribution]:
    """Return the installed distributions by normalized name; of two, the first on the path."""
    found: dict[str, metadata.Distribution] = {}
    for each in metadata.distributions():
        if each.metadata["Name"]:
            found.setdefault(_normalized(each.metadata["Name"]), each)
    return found


def _normalized(name: str) -> str:
    """Return a name as PEP 503 normalizes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _purl(distribution: metadata.Distribution) -> str:
    version = distribution.version.replace("+", "%2B")
    return f"pkg:pypi/{_normalized(distribution.metadata['Name'])}@{version}"


def _component(distribution: metadata.Distribution) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(distribution),
        "name": distribution.metadata["Name"],
        "version": distribution.version,
        "purl": _purl(distribution),
    }
    licenses = _licenses(distribution)
    return component | ({"licenses": licenses} if licenses else {})


def _licenses(distribution: metadata.Distribution) -> list[dict[str, Any]]:
    known = distribution.metadata.json
    if expression := known.get("license_expression"):
        return [{"expression": expression}]
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in known.get("classifier") or ()
        if each.startswith(_CLASSIFIER) and each.count(" :: ") > 1
    ]
    names = classifiers or [str(known.get("license") or "").strip()]
    return [
        {"license": {"name": name}}
        for name in names
        if name and "\n" not in name and len(name) <= _LONGEST_LICENSE
    ]


def _application(distribution: metadata.Distribution | None) -> dict[str, Any]:
    if distribution is None:
        return {"type": "application", "bom-ref": _WETREAD, "name": _WETREAD}
    return _component(distribution) | {"type": "application"}


def _python() -> dict[str, Any]:
    name, version = platform.python_implementation(), platform.python_version()
    return {"type": "platform", "bom-ref": f"{name}@{version}", "name": name, "version": version}


def _model(use: ModelUse) -> dict[str, Any]:
    known = use.identity
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{use.model}@{use.version}",
        "name": known.name if known else use.model,
        "version": use.version,
    }
    if known and _SHA256.fullmatch(known.weights_sha256):
        component["hashes"] = [{"alg": "SHA-256", "content": known.weights_sha256}]
    if known and known.licence:
        component["licenses"] = [{"license": {"name": known.licence}}]
    return component


def _depends(
    distribution: metadata.Distribution, found: dict[str, metadata.Distribution]
) -> dict[str, Any]:
    names = sorted({_normalized(name) for name in _required(distribution)} & set(found))
    return {"ref": _purl(distribution), "dependsOn": [_purl(found[name]) for name in names]}


def _required(distribution: metadata.Distribution) -> Iterator[str]:
    for line in distribution.requires or ():
        name = _NAME.match(line)
        if name and not _EXTRA.search(line):
            yield name[0]


def sbom(bill: dict[str, Any]) -> Document:
    """Return the document about the bill of materials: its components as a table."""
    rows = tuple(
        (
            each["name"],
            each.get("version", ""),
            each["type"],
            ", ".join(_license_name(one) for one in each.get("licenses", ()))
            or not_recorded("licenses that an installed package does not state"),
        )
        for each in bill["components"]
    )
    own = bill["metadata"]["component"]
    return Document(
        kind=DocumentKind.SBOM,
        name=DocumentKind.SBOM.value,
        title="Software bill of materials",
        facts=(
            ("Software", f"{own['name']} {own.get('version', '')}".strip()),
            ("File", f"{SBOM_FILE} (CycloneDX {bill['specVersion']}, JSON)"),
            ("Components", str(len(rows))),
        ),
        sections=(
            Section(
                title="Components",
                sentences=(
                    (
                        "The Python packages installed on the machine where this document was "
                        "made, and the models that made drafts in the period. Operating system, "
                        "database, message broker and other machines of the service are not "
                        "included."
                    ),
                    not_recorded("operating system, database, message broker, other machines"),
                ),
                tables=(Table(("Name", "Version", "Kind", "License as stated"), rows),),
            ),
        ),
    )


def _license_name(entry: dict[str, Any]) -> str:
    return str(entry.get("expression") or entry["license"]["name"])
