"""Who the patient of a study is: recorded from the header, searched, and removed with the images."""

from datetime import timedelta

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dicom.identifiers import derived_uid
from service.maintenance.retention import Retention
from service.maintenance.study_identities import StudyIdentityReader
from service.review.decision import Reviewer
from service.review.questions import NewQuestion, QuestionKind
from service.settings.config import settings_of
from tests.spooled import spool

PERSON = Reviewer(id="u1", name="Curie^Marie", organization="Klinikum")


@pytest.fixture
def settings(tmp_path):
    """Settings of a site in a folder."""
    made = settings_of({"data_dir": str(tmp_path)})
    made.spool_dir.mkdir()
    return made


@pytest.fixture
def arrive(store, settings):
    """A function that stores an image with patient attributes; it returns the study."""

    def put(number, study=None, charset="ISO_IR 192", **attributes):
        uid = derived_uid("identity study", study or number)
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SpecificCharacterSet = charset
        dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
        dataset.SOPInstanceUID = derived_uid("identity image", number)
        dataset.SeriesInstanceUID = derived_uid("identity series", number)
        dataset.StudyInstanceUID = uid
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        spool(store, dataset, settings.spool_dir / f"{number}.dcm", calling_ae="CR")
        return uid

    return put


def test_the_identity_is_read_once_from_the_first_image(store, arrive):
    """Each attribute as it stands in the header; a second image changes nothing."""
    uid = arrive(
        1,
        PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
        PatientID="P-1",
        IssuerOfPatientID="KH",
        PatientBirthDate="19800131",
        PatientSex="M",
        AccessionNumber="ACC7",
        StudyDate="20261130",
        StudyDescription="Chest PA",
    )
    reader = StudyIdentityReader(store)
    reader.record_new()
    arrive(2, study=1, PatientName="Other^One", PatientID="P-2")
    reader.record_new()
    found = store.identity_of(uid)
    assert found.patient_name == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert (found.patient_id, found.issuer, found.birth_date) == ("P-1", "KH", "19800131")
    assert (found.sex, found.accession_number, found.study_date) == ("M", "ACC7", "20261130")
    assert found.description == "Chest PA"


def test_a_search_finds_names_of_any_script_ids_and_accessions(store, arrive):
    """Each word, in any case and width; `%` and `_` are no wildcards."""
    first = arrive(1, PatientName="Hong^Gildong=洪^吉洞=홍^길동", PatientID="A%1")
    second = arrive(2, PatientName="MÜLLER^Jörg", PatientID="B_2", AccessionNumber="ACC-9")
    StudyIdentityReader(store).record_new()

    def found(text):
        return [each.study_uid for each in store.search_identities(text)]

    assert found("hong gil") == found("洪") == found("홍") == found("a%1") == [first]
    assert found("müller") == found("acc-9") == found("Jörg Mül") == found("B_2") == [second]
    assert found("%%") == found("b-2") == []
    assert found("") == [second, first]


def test_a_header_that_cannot_be_read_delays_no_other(store, arrive, settings):
    """It is tried once; a later image of its study names the patient."""
    broken = arrive(1, PatientID="P-1")
    (settings.spool_dir / "1.dcm").write_bytes(b"no DICOM")
    whole = arrive(2, PatientID="P-2")
    reader = StudyIdentityReader(store)
    reader.record_new()
    assert store.identity_of(broken) is None
    assert store.identity_of(whole).patient_id == "P-2"
    arrive(3, study=1, PatientID="P-3")
    reader.record_new()
    assert store.identity_of(broken).patient_id == "P-3"


def test_many_studies_of_an_earlier_version_are_read_by_and_by(store, arrive):
    """Images from before this version, too."""
    uids = [arrive(number, PatientID=f"P-{number}") for number in range(1, 12)]
    reader = StudyIdentityReader(store)
    reader.record_new()
    assert set(store.identities(uids)) == set(uids)


def test_values_of_a_hostile_header_fit_their_columns(store, arrive):
    """Long and odd values are cut, none fails."""
    uid = arrive(1, PatientName="x" * 5000, PatientID="y" * 500, PatientSex="Z" * 40)
    StudyIdentityReader(store).record_new()
    found = store.identity_of(uid)
    assert (len(found.patient_name), len(found.patient_id), len(found.sex)) == (400, 64, 16)


def test_retention_removes_the_identity_with_the_images(store, arrive, settings):
    """Not before the last image, and with the questions about it; the study's history stays."""
    uid = arrive(1, PatientID="P-1")
    StudyIdentityReader(store).record_new()
    store.remove_identity(uid)
    assert store.identity_of(uid) is not None
    reason = {"actor": "test", "reason": ""}
    job = store.schedule(uid, model="demo", version="1", urgent=False, **reason)
    store.cancel(job.id, "test", "")
    asked = NewQuestion(
        job_id=job.id, kind=QuestionKind.QUESTION, text="Is Eve well?", person=PERSON, key="key-1"
    )
    store.ask(asked, store.job(job.id), 9)
    begun = store.now()
    store._clock = lambda: begun + timedelta(days=400)
    Retention(store, settings).remove_old(store.now())
    assert not list(settings.spool_dir.glob("*.dcm"))
    assert store.identity_of(uid) is None
    assert store.questions(uid) == []
    StudyIdentityReader(store).record_new()
    assert store.identity_of(uid) is None
