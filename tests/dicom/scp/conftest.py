"""A running SCP, its spool and a handler that records what it receives."""

import threading
from typing import TYPE_CHECKING

import pytest

from dicom.errors import DicomError, OutOfResources
from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool
from tests.dicom.scp.sending import SECONDARY_CAPTURE

if TYPE_CHECKING:
    from dicom.scp.storage_handler import Refusal


class Recorder:
    """A StorageHandler that records its calls."""

    def __init__(self) -> None:
        self.refuse: Refusal | None = None
        self.fault: BaseException | None = None
        self.admitted = []
        self.instances = []
        self.asked = []
        self.busy = None
        self.unknown = 0
        self.ends = []
        self.wait = threading.Event()
        self.wait.set()

    def admit(self, association):
        """Return the verdict that the test sets."""
        self.admitted.append(association)
        return self.refuse

    def unavailable(self, association):
        """Return the state that the test sets."""
        assert association in self.admitted
        return self.busy

    def record(self, arrived):
        """Record the images, wait or fail as the test sets."""
        for each in arrived:
            assert each.association in self.admitted
            assert each.instance.path.is_file()
            assert each.header.SOPInstanceUID == each.instance.sop_instance_uid
        self.wait.wait(20)
        if isinstance(self.fault, DicomError):
            return [self.fault for _ in arrived]
        if self.fault:
            raise self.fault
        self.instances += [each.instance for each in arrived]
        return [None for _ in arrived]

    def accept_commitment(self, request, association):
        """Report on the same association."""
        assert association in self.admitted
        self.asked.append(request)
        return False

    def commitment_failures(self, request):
        """No UID that begins with 1.2.9 is stored; a test can make the answer fail."""
        if self.unknown:
            self.unknown -= 1
            raise OutOfResources("the database is away")
        uids = [each.sop_instance_uid for each in request.references]
        return {uid: 0x0112 for uid in uids if uid.startswith("1.2.9")}

    def association_ended(self, association, outcome):
        """Record how the association ended."""
        self.ends.append((association.id, outcome))


@pytest.fixture
def spool(tmp_path):
    """An empty spool."""
    return Spool(tmp_path / "spool", max_object_bytes=64 * 2**20)


@pytest.fixture
def handler():
    """A handler that accepts everything."""
    return Recorder()


@pytest.fixture(params=["fast", "plain"])
def scp(request, spool, handler):
    """A running SCP on a free port, on each of the two receive paths."""
    server = StorageSCP(
        ScpSettings(
            ae_title="WETREAD",
            host="127.0.0.1",
            port=0,
            storage_classes=(SECONDARY_CAPTURE,),
            max_associations=64,
            fast=request.param == "fast",
        ),
        spool,
        handler,
    )
    server.start()
    yield server
    server.stop(5)


@pytest.fixture
def small_image(shared_data):
    """An image of 0.4 MB."""
    return shared_data / "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm"
