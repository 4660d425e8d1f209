"""Images with odd identifiers, UIDs and values, from C-STORE to a real Orthanc."""

import struct
from io import BytesIO
from queue import Queue

import pytest
import requests
from pydicom.datadict import dictionary_description, dictionary_VR
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom import AE, build_context, evt
from pynetdicom.dimse_primitives import C_STORE

from dicom.identifiers import derived_uid
from dicom.phantom import as_dataset, draw
from dicom.selection.local_files import describe
from service.jobs import JobState

pytestmark = [pytest.mark.orthanc, pytest.mark.dcmtk, pytest.mark.timeout(300)]

DX = "1.2.840.10008.5.1.4.1.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
# Patient ID and Specific Character Set of images whose results are with the same patient in Orthanc.
SAME_PATIENT = {
    "padding": (b"E2E-1   ", b"ISO_IR 192"),
    "nul-padding": (b"E2E-12\0\0", b"ISO_IR 100"),
    "leading-spaces": (b"  E2E-13", b"ISO_IR 192"),
    "inner-spaces": (b"E2E  14 ", b""),
    "latin-1": (b"E2E-\xfc15", b"ISO_IR 100"),
    "gb18030": (b"E2E-\xd6\xd01 ", b"GB18030 "),
}
NO_RESULT = {
    "crlf": (b"E2E-20\r\n", b""),
    "nul-garbage": (b"E2E-21\0a", b"ISO_IR 192"),
    "nul-inside": (b"E2E-22\0\0\0 99", b"ISO_IR 192"),
    "tab": (b"E2E\t-23 ", b"ISO_IR 192"),
    "escape": (b"E2E\x1b-24 ", b""),
    "undecodable": (b"E2E-\xfc25", b"ISO_IR 192"),
    "undeclared": (b"E2E-\x9626", b""),
    "two-values": (b"E2E\\27", b""),
    "space-nul": (b"E2E-28 \0", b""),
}
NAMES = (*SAME_PATIENT, *NO_RESULT)


def image(name: str, **raw: bytes) -> bytes:
    """Return the data set of a phantom of its own study with these bytes as values of `raw`."""
    dataset = as_dataset(draw(71, rows=256, columns=256), seed=71)
    del dataset.file_meta
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, UID(derived_uid("test-identity", name, keyword)))
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    begin = 0
    # pydicom would decode and encode them anew.
    for tag, value in sorted((Tag(keyword), value) for keyword, value in raw.items()):
        write_dataset(stream, dataset[begin:tag])
        vr = dictionary_VR(tag).split()[0].encode()
        stream.write(struct.pack("<HH2sH", tag.group, tag.element, vr, len(value)) + value)
        begin = tag + 1
    write_dataset(stream, dataset[begin:])
    return stream.getvalue()


def as_file(data_set: bytes, sop: str) -> bytes:
    """Return a data set as a PS3.10 file."""

    def element(number: int, vr: bytes, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HH2sH", 2, number, vr, len(value)) + value

    meta = element(2, b"UI", DX.encode()) + element(3, b"UI", sop.encode())
    meta += element(0x10, b"UI", EXPLICIT.encode()) + element(0x12, b"UI", b"1.2.3")
    return bytes(128) + b"DICM" + element(0, b"UL", struct.pack("<L", len(meta))) + meta + data_set


def send(port: int, data_set: bytes, sop: str, sop_class: str = DX) -> int:
    """Send these bytes unchanged by C-STORE and return the status of the response."""
    entity = AE(ae_title="MODALITY")
    proposed = [build_context(sop_class, [EXPLICIT])]
    link = entity.associate("127.0.0.1", port, contexts=proposed, ae_title="WETREAD")
    assert link.is_established
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(sop_class), UID(sop)
    request.DataSet = BytesIO(data_set)
    answers: Queue = Queue()
    link.bind(evt.EVT_DIMSE_RECV, lambda event: answers.put(event.message.command_set.Status))
    link.dimse.send_msg(request, link.accepted_contexts[0].context_id)
    try:
        return answers.get(timeout=30)
    finally:
        link.release()


def uid(name: str, keyword: str) -> str:
    """Return a UID of the image of this name."""
    return derived_uid("test-identity", name, keyword)


def patients_of(orthanc, study: str) -> dict[str, str]:
    """Return, by SOP Instance UID, the patient under whom Orthanc has each instance of a study."""
    query = {"Level": "Instance", "Query": {"StudyInstanceUID": study}, "Expand": True}
    found = requests.post(f"{orthanc.url}/tools/find", json=query, timeout=30).json()
    return {
        each["MainDicomTags"]["SOPInstanceUID"]: requests.get(
            f"{orthanc.url}/instances/{each['ID']}/patient", timeout=30
        ).json()["ID"]
        for each in found
    }


@pytest.mark.parametrize("name", SAME_PATIENT)
def test_results_are_with_the_patient_of_their_image(site, orthanc, name):
    """Image and results end under one patient of a real archive."""
    patient_id, charset = SAME_PATIENT[name]
    data_set = image(name, PatientID=patient_id, SpecificCharacterSet=charset)
    sop = uid(name, "SOPInstanceUID")
    requests.post(f"{orthanc.url}/instances", data=as_file(data_set, sop), timeout=30)
    assert send(site.port, data_set, sop) == 0x0000
    site.completed(uid(name, "StudyInstanceUID"))
    patients = patients_of(orthanc, uid(name, "StudyInstanceUID"))
    assert len(patients) > 3
    assert len(set(patients.values())) == 1


@pytest.mark.parametrize("name", NO_RESULT)
def test_an_image_whose_patient_id_has_no_exact_copy_gets_no_result(site, orthanc, name):
    """The image is stored; its job fails once, with what to do; the archive gets nothing."""
    patient_id, charset = NO_RESULT[name]
    data_set = image(name, PatientID=patient_id, SpecificCharacterSet=charset)
    sop = uid(name, "SOPInstanceUID")
    requests.post(f"{orthanc.url}/instances", data=as_file(data_set, sop), timeout=30)
    assert send(site.port, data_set, sop) == 0x0000
    job = site.settled(uid(name, "StudyInstanceUID"))
    assert (job.state, job.attempts) == (JobState.FAILED, 1)
    assert "Patient ID (0010,0020)" in job.reason
    assert "new SOP Instance UID" in job.reason
    assert "E2E" not in job.reason
    assert list(patients_of(orthanc, uid(name, "StudyInstanceUID"))) == [sop]


def test_a_study_with_leading_zeros_in_its_uids_is_read_and_delivered(site, orthanc, in_pacs):
    """C-STORE, draft, archive and read back: each with the UIDs as they were received."""
    uids = {
        "StudyInstanceUID": b"1.3.12.2.1107.5.3.007.20240101.01\0",
        "SeriesInstanceUID": b"1.3.12.2.1107.5.3.007.20240101.02\0",
        "SOPInstanceUID": b"1.3.12.2.1107.5.3.007.20240101.03\0",
    }
    data_set = image("zeros", **uids)
    study, _, sop = (value.decode().strip("\0") for value in uids.values())
    requests.post(f"{orthanc.url}/instances", data=as_file(data_set, sop), timeout=30)
    assert send(site.port, data_set, sop) == 0x0000
    job = site.completed(study)
    assert job.study_instance_uid == study
    results = [each for key, each in in_pacs(study).items() if key != sop]
    assert len(results) >= 3
    assert {str(each.StudyInstanceUID) for each in results} == {study}
    assert all(str(each.SOPInstanceUID).startswith("2.25.") for each in results)


def test_an_identifier_behind_a_nul_in_a_uid_is_cut_there(site, orthanc):
    """Results are in the study under which the archive has the image."""
    study = uid("nul-uid", "StudyInstanceUID").encode()
    data_set = image("nul-uid", StudyInstanceUID=study + b"\0ab" + b"\0" * (len(study) % 2 == 0))
    sop = uid("nul-uid", "SOPInstanceUID")
    requests.post(f"{orthanc.url}/instances", data=as_file(data_set, sop), timeout=30)
    assert send(site.port, data_set, sop) == 0x0000
    site.completed(study.decode())
    assert len(patients_of(orthanc, study.decode())) > 3


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("RescaleSlope", b"1\0\x10\0"),
        ("RescaleSlope", b"one "),
        ("RescaleIntercept", b"\xff\xfe"),
        ("RescaleIntercept", b"1.000,0 "),
        ("Rows", b"\0\1\0"),
    ],
)
def test_an_unreadable_value_is_stored_and_ends_as_not_analysed(site, keyword, value):
    """The image is never refused for it, and the reason names the attribute."""
    name = f"unreadable-{keyword}-{value!r}"
    data_set = image(name, **{keyword: value + b"\0" * (len(value) % 2)})
    assert send(site.port, data_set, uid(name, "SOPInstanceUID")) == 0x0000
    job = site.settled(uid(name, "StudyInstanceUID"))
    assert (job.state, job.reason_code) == (JobState.NOT_ANALYSED, "UNREADABLE")
    assert dictionary_description(keyword) in job.reason


@pytest.mark.parametrize(
    "name",
    [
        "ds_slope_comma",
        "ds_window_narrow_comma",
        "nu_cs_mid_nul",
        "uid_leading_zero_sop",
        "age_000Y_adult",
    ],
)
def test_a_trial_of_odd_values_is_read(site, shared_data, name):
    """Earlier each was refused, read wrongly or treated as a child's."""
    path = shared_data / "trials" / "modality" / f"{name}.dcm"
    if not path.is_file():
        pytest.skip("the trials are not on this machine")
    instance, content = describe(path), path.read_bytes()
    (length,) = struct.unpack_from("<L", content, 140)
    data_set, uids = content[144 + length :], (instance.sop_instance_uid, instance.sop_class_uid)
    assert send(site.port, data_set, *uids) == 0x0000
    site.completed(instance.study_instance_uid)
