"""The draft as JSON for software that cannot read DICOM; it has no patient attributes."""

import json
from collections.abc import Iterable
from typing import Any, Final

from dicom.content.codes import FINDING_CODES, PRESENCE_CODES, SIDE_CODES, Code
from dicom.content.report import DraftReport, Finding
from dicom.content.result_header import BANNER
from dicom.results.result_file import Output

# File name in the folder of the draft's objects.
SIDECAR_NAME: Final = "draft.json"


def sidecar(draft: DraftReport, outputs: Iterable[Output]) -> bytes:
    """Return UTF-8 JSON: the warning, the draft, its findings with codes, and the UIDs of its objects.

    The same arguments give the same bytes. Findings have the same codes as in the SR; a finding without
    a reviewed code has none.
    """
    plain = draft.to_json()
    del plain["timings_ms"]
    plain["findings"] = [
        {**_without_heat(item), "codes": _codes(finding)}
        for item, finding in zip(plain["findings"], draft.findings, strict=True)
    ]
    content = {
        "warning": ". ".join(BANNER),
        "status": "PRELIMINARY, UNVERIFIED",
        "draft": plain,
        "objects": [
            {
                "kind": output.kind,
                "sop_class_uid": str(output.dataset.SOPClassUID),
                "sop_instance_uid": str(output.dataset.SOPInstanceUID),
                "series_instance_uid": str(output.dataset.SeriesInstanceUID),
            }
            for output in outputs
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"


def _without_heat(report_json: dict[str, Any]) -> dict[str, Any]:
    """Return a finding without its heat map: the region is the part of it that may be drawn."""
    return {name: value for name, value in report_json.items() if name != "heat"}


def _codes(finding: Finding) -> dict[str, Any]:
    found = {
        "finding": FINDING_CODES.get(finding.observation),
        "presence": PRESENCE_CODES.get(finding.presence),
        "side": SIDE_CODES[finding.side] if finding.side else None,
    }
    return {name: _plain(code) for name, code in found.items() if code is not None}


def _plain(code: Code) -> dict[str, str]:
    return {"value": code.value, "scheme": code.scheme, "meaning": code.meaning}
