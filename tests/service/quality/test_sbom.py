"""The bill of materials: valid by the validator of the CycloneDX library, and complete."""

import json
from datetime import UTC, datetime
from importlib import metadata

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from service.quality.sbom import bill_of_materials
from tests.service.quality.conftest import LICENSE, WEIGHTS

CREATED = datetime(2026, 4, 1, tzinfo=UTC)


def test_it_is_valid_and_has_every_installed_package_and_the_model(inputs):
    """CycloneDX 1.6, strict: no unknown key."""
    bill = bill_of_materials(inputs, created=CREATED)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    assert bill == bill_of_materials(inputs, created=CREATED)
    purls = {each.get("purl", "") for each in bill["components"]}
    assert f"pkg:pypi/pydicom@{metadata.version('pydicom')}" in purls
    own = bill["metadata"]["component"]
    assert own["purl"] == f"pkg:pypi/wetread@{metadata.version('wetread')}"
    uses = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert f"pkg:pypi/pydicom@{metadata.version('pydicom')}" in uses[own["purl"]]
    (model,) = [each for each in bill["components"] if each["type"] == "machine-learning-model"]
    assert model["hashes"] == [{"alg": "SHA-256", "content": WEIGHTS}]
    assert model["licenses"] == [{"license": {"name": LICENSE}}]


def test_the_validator_finds_a_fault(inputs):
    """So that the test above can fail."""
    bill = bill_of_materials(inputs, created=CREATED)
    bill["components"][0]["type"] = "gadget"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is not None
