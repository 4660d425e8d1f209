"""The short form of `benchmarks/faults.py`: every kind of fault once, under load."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.slow, pytest.mark.timeout(400)]

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.usefixtures("orthanc_server_class", "dcmtk")
def test_no_acknowledged_film_is_lost_doubled_or_filed_under_another_patient():
    """Whatever breaks meanwhile: one draft a study and revision in the PACS, and no manual step."""
    load = ["--senders", "2", "--pause", "3", "--seed", "4"]
    faults = ["--faults", "30", "--every", "0.7", "--scale", "0.1", "--settle", "120"]
    done = subprocess.run([sys.executable, SCRIPT, *load, *faults], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 promises broken" in done.stdout
