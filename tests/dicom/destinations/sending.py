"""Result objects, destinations of each kind, and their calls, for the tests of destinations."""

import hashlib
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from dicom.destinations.destination import EncodedObject
from dicom.destinations.dicomweb import StowDestination
from dicom.destinations.dimse import DimseDestination
from dicom.destinations.folder import FolderDestination
from dicom.destinations.orthanc import OrthancDestination
from dicom.scu.association import Peer


def encoded(path: Path, data: Dataset) -> EncodedObject:
    """Save the data set; return it as a result object."""
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)
    return EncodedObject(
        sop_class_uid=data.SOPClassUID,
        sop_instance_uid=data.SOPInstanceUID,
        series_instance_uid=data.SeriesInstanceUID,
        study_instance_uid=data.StudyInstanceUID,
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def report_object(study: str, text: str) -> Dataset:
    """Return a Basic Text SR of the study."""
    report = Dataset()
    report.SOPClassUID = BasicTextSRStorage
    report.SOPInstanceUID = generate_uid()
    report.StudyInstanceUID = study
    report.SeriesInstanceUID = generate_uid()
    report.PatientID = "PACS"
    report.PatientName = "Pacs^Test"
    report.Modality = "SR"
    report.CompletionFlag = "PARTIAL"
    report.VerificationFlag = "UNVERIFIED"
    report.ValueType = "TEXT"
    report.TextValue = text
    return report


def capture_object(study: str) -> Dataset:
    """Return a Secondary Capture of 64 by 64 pixels of the study."""
    capture = Dataset()
    capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.SOPInstanceUID = generate_uid()
    capture.StudyInstanceUID = study
    capture.SeriesInstanceUID = generate_uid()
    capture.PatientID = "PACS"
    capture.PatientName = "Pacs^Test"
    capture.Modality = "OT"
    capture.Rows = capture.Columns = 64
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit, capture.PixelRepresentation = 7, 0
    capture.SamplesPerPixel, capture.PhotometricInterpretation = 1, "MONOCHROME2"
    capture.PixelData = bytes(range(64)) * 64
    capture["PixelData"].VR = "OB"
    return capture


def rest_destination(server, **options) -> OrthancDestination:
    """Return the server's REST API as a destination."""
    return OrthancDestination(name="pacs", url=server.url, timeout=10, **options)


def stow_destination(server, **options) -> StowDestination:
    """Return the server's STOW-RS as a destination."""
    return StowDestination(name="archive", url=server.dicomweb_url, timeout=10, **options)


def dimse_destination(
    port: int, *, called: str = "ORTHANC", timeout: float = 10, verify: bool = True
):
    """Return a DIMSE destination at a port of this machine."""
    peer = Peer(name="pacs", host="127.0.0.1", port=port, called=called, timeout=timeout)
    return DimseDestination(peer, verify=verify)


def folder_destination(path: Path) -> FolderDestination:
    """Return a folder as a destination."""
    return FolderDestination(name="folder", path=path)


def sending(destination, objects):
    """Return the call that sends the objects."""
    return lambda: destination.send(objects)


def verifying(destination, objects):
    """Return the call that verifies the objects."""
    return lambda: destination.verify(objects)
