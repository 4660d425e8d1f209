"""The draft as JSON: codes as in the SR, objects by their UIDs, nothing of the patient."""

import json
from dataclasses import replace

from dicom.content.report import HeatGrid
from dicom.results.json_sidecar import sidecar
from dicom.results.outputs import build


def test_findings_have_their_codes(image_header, make_draft):
    """Presence and side where they are stated; the heat map and timings stay here."""
    draft = make_draft(image_header(), timings_ms={"model": 1.0})
    first, *others = draft.findings
    heat = HeatGrid(edge=1, cells="AA==", left=0, top=0, size=1)
    content = json.loads(sidecar(replace(draft, findings=(replace(first, heat=heat), *others)), []))
    found = content["draft"]["findings"]
    assert found[0]["codes"]["finding"] == {
        "value": "8186001",
        "scheme": "SCT",
        "meaning": "Cardiomegaly",
    }
    assert "side" not in found[0]["codes"]
    assert found[1]["codes"]["side"]["value"] == "7771000"
    assert "heat" not in found[0]
    assert "timings_ms" not in content["draft"]
    assert content["status"] == "PRELIMINARY, UNVERIFIED"


def test_objects_are_named_and_no_patient(image_header, make_draft, equipment, shown_pixels):
    """The same arguments give the same bytes."""
    header = image_header()
    draft = make_draft(header)
    outputs = build(draft, header, shown_pixels(), equipment)
    made = sidecar(draft, outputs)
    objects = json.loads(made)["objects"]
    assert [each["sop_instance_uid"] for each in objects] == [
        output.dataset.SOPInstanceUID for output in outputs
    ]
    assert made == sidecar(draft, outputs)
    for value in (header.PatientID, header.AccessionNumber, "Synthetic", "19600115"):
        assert str(value).encode() not in made
