"""Storage commitment: decoding of requests, encoding of reports (PS3.4 J.3)."""

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from dicom.errors import InvalidDataset, InvalidIdentifier, LimitExceeded, MissingAttribute
from dicom.scu.commitment import MAXIMUM_REQUEST, NO_SUCH_INSTANCE, make_report, read_request
from dicom.scu.commitment_request import CommitmentRequest, Reference

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
CR = "1.2.840.10008.5.1.4.1.1.1"


def reference(uid):
    """Return a reference to an image."""
    return Reference(sop_class_uid=CR, sop_instance_uid=uid)


def asked(*uids, transaction="1.2.3"):
    """Return the Action Information of a request as a data set."""
    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CR, uid
        information.ReferencedSOPSequence.append(item)
    return information


def encoded(dataset, *, implicit=False):
    """Return the bytes of a data set."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, True
    write_dataset(buffer, dataset)
    return BytesIO(buffer.getvalue()).read()


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_request_is_read(syntax):
    """In both transfer syntaxes."""
    data = encoded(asked("1.1", "1.2"), implicit=syntax == IMPLICIT)
    assert read_request(data, syntax) == CommitmentRequest(
        transaction_uid="1.2.3", references=(reference("1.1"), reference("1.2"))
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (encoded(asked()), MissingAttribute),
        (encoded(asked("1.1", transaction="")), InvalidIdentifier),
        (encoded(asked("")), InvalidIdentifier),
        (encoded(asked("1.1"))[:-3], InvalidDataset),
        (b"\xff" * 40, InvalidDataset),
        (bytes(MAXIMUM_REQUEST + 1), LimitExceeded),
    ],
)
def test_what_cannot_be_promised_is_refused(data, error):
    """Without references or valid UIDs, unreadable, or too long."""
    with pytest.raises(error):
        read_request(data, EXPLICIT)


def test_a_report_of_success():
    """Event Type 1, every reference committed, no failed ones (PS3.4 J.3.3.1.1)."""
    request = CommitmentRequest(transaction_uid="1.2.3", references=(reference("1.1"),))
    event, report = make_report(request, {})
    assert (event, report.TransactionUID) == (1, "1.2.3")
    assert [each.ReferencedSOPInstanceUID for each in report.ReferencedSOPSequence] == ["1.1"]
    assert "FailedSOPSequence" not in report


def test_a_report_with_failures():
    """Event Type 2; each failed reference has its reason."""
    request = CommitmentRequest(
        transaction_uid="1.2.3", references=tuple(map(reference, ("1.1", "1.2")))
    )
    event, report = make_report(request, {"1.2": NO_SUCH_INSTANCE})
    (failed,) = report.FailedSOPSequence
    assert (event, failed.ReferencedSOPInstanceUID, failed.FailureReason) == (2, "1.2", 0x0112)
    assert [each.ReferencedSOPInstanceUID for each in report.ReferencedSOPSequence] == ["1.1"]
    _, nothing = make_report(request, dict.fromkeys(("1.1", "1.2"), NO_SUCH_INSTANCE))
    assert "ReferencedSOPSequence" not in nothing
