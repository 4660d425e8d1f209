"""Destinations of the tests of delivery, and a PACS with configurable answers."""

from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt

from dicom.scu.store_scu import FIND_MODEL


def folder(tmp_path, name="A", **other):
    """A folder destination."""
    return {"kind": "folder", "name": name, "path": str(tmp_path / name), **other}


def away(port, name="B"):
    """A PACS that does not run."""
    return {
        "kind": "dimse",
        "name": name,
        "host": "127.0.0.1",
        "port": port,
        "ae_title": "PACS",
        "timeout": 2,
    }


# Of `SENDS_AFTER`: those that come one after another.
FIRST_SENDS = 3


class Pacs:
    """A PACS on a free port that answers each C-STORE as configured, and C-FIND by its objects."""

    def __init__(self, answer, classes, listed):
        self.answer, self.listed = answer, listed
        self.holds, self.stores = set(), []
        self.loses = False
        entity = AE(ae_title="PACS")
        for each in classes:
            entity.add_supported_context(each, ExplicitVRLittleEndian)
        entity.add_supported_context(FIND_MODEL, ImplicitVRLittleEndian)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    def _store(self, event):
        uid = event.request.AffectedSOPInstanceUID
        self.stores.append(str(event.request.AffectedSOPClassUID))
        status = self.answer(self, uid)
        if status == 0 and not self.loses:
            self.holds.add(uid)
        return status

    def _find(self, event):
        uid = event.identifier.SOPInstanceUID
        if uid in self.holds and self.listed(self):
            answer = Dataset()
            answer.QueryRetrieveLevel, answer.SOPInstanceUID = "IMAGE", uid
            yield 0xFF00, answer

    def settings(self, **other):
        """Return it as a destination."""
        port = self.server.server_address[1]
        values = {"kind": "dimse", "name": "A", "host": "127.0.0.1", "port": port}
        return values | {"ae_title": "PACS", "timeout": 5} | other


SR, SC = str(BasicTextSRStorage), str(SecondaryCaptureImageStorage)


def again(bench, clock, job, times=1):
    """Work on the job's next tries, each when it is due."""
    for _ in range(times):
        clock.move(61)
        bench.task(job.id)
