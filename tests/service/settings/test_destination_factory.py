import hashlib

import pytest
from pydicom.uid import BasicTextSRStorage, generate_uid

from dicom.errors import InvalidIdentifier
from service.errors import ConfigurationError
from service.records import ResultObject
from service.settings.config import Settings
from service.settings.destination_factory import destinations, encoded_object


@pytest.fixture
def settings(tmp_path, orthanc):
    """One destination of each kind, three of them a real Orthanc."""
    return Settings(
        data_dir=tmp_path,
        destinations=[
            {"kind": "orthanc", "name": "rest", "url": orthanc.url},
            {
                "kind": "dimse",
                "name": "dimse",
                "host": "127.0.0.1",
                "port": orthanc.dicom_port,
                "ae_title": orthanc.ae_title,
            },
            {"kind": "stow", "name": "stow", "url": orthanc.dicomweb_url},
            {"kind": "folder", "name": "folder", "path": tmp_path / "out"},
        ],
    )


def _result(path) -> ResultObject:
    path.write_bytes(b"content")
    return ResultObject(
        kind="draft-report",
        sop_class_uid=BasicTextSRStorage,
        sop_instance_uid=generate_uid(),
        series_instance_uid=generate_uid(),
        study_instance_uid=generate_uid(),
        path=path,
        sha256=hashlib.sha256(b"content").hexdigest(),
    )


def test_each_configured_destination_can_be_reached(settings):
    """Every kind of setting becomes a destination of its name that answers a probe."""
    made = destinations(settings)
    assert list(made) == ["rest", "dimse", "stow", "folder"]
    for name, destination in made.items():
        assert destination.name == name
        destination.probe()


def test_no_destination_is_no_destination(tmp_path):
    """Settings without destinations give none."""
    assert destinations(Settings(data_dir=tmp_path)) == {}


def test_a_result_becomes_what_a_destination_takes(tmp_path):
    """The record of the store and the object that is sent agree in every field."""
    result = _result(tmp_path / "report.dcm")
    item = encoded_object(result)
    assert item.read() == b"content"
    assert item.sop_class_uid == result.sop_class_uid
    assert item.sop_instance_uid == result.sop_instance_uid
    assert item.series_instance_uid == result.series_instance_uid
    assert item.study_instance_uid == result.study_instance_uid


def test_a_result_with_a_wrong_uid_is_refused(tmp_path):
    """An invalid UID never becomes a path or an address."""
    result = _result(tmp_path / "report.dcm")
    broken = ResultObject(
        **{
            **{name: getattr(result, name) for name in ResultObject.__slots__},
            "study_instance_uid": "../up",
        }
    )
    with pytest.raises(InvalidIdentifier):
        encoded_object(broken)


def test_a_tls_file_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    """The message names the destination and the settings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.pem").write_text("no certificate")
    for ca, reason in (("missing.pem", "No such file"), ("broken.pem", "TLS failed")):
        settings = Settings(
            destinations=[
                {"kind": "stow", "name": "pacs", "url": "https://h", "tls_ca": str(tmp_path / ca)}
            ]
        )
        with pytest.raises(ConfigurationError, match=f'destinations "pacs": tls_ca.*{reason}'):
            destinations(settings)
