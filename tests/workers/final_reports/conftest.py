"""A site with one drafted study that has an accession number."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from dicom.content.report import (
    DraftReport,
    Finding,
    ModelIdentity,
    Observation,
    Presence,
    SourceImage,
)
from dicom.identifiers import derived_uid
from dicom.study import Instance
from service.records import Job
from service.settings.config import Settings, settings_of
from service.store import Store
from service.study_identity import StudyIdentity
from tests.databases import make_database

STUDY = "1.2.3"


@dataclass(frozen=True)
class ReportSite:
    """A site and the job of its study, accession number A1."""

    settings: Settings
    store: Store
    job: Job

    def arrived(self, path: Path, uid: str, sop_class: str) -> None:
        """Add the row of a received Instance."""
        add_instance(self.store, path, uid, sop_class)


def add_instance(store: Store, path: Path, uid: str, sop_class: str) -> None:
    """Add the row of an Instance of the study."""
    store.add_instance(
        Instance(
            sop_instance_uid=uid,
            sop_class_uid=sop_class,
            series_instance_uid="1.2.3.200",
            study_instance_uid=STUDY,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            path=path,
            digest=uid.replace(".", "")[-60:].rjust(64, "0"),
            size=1,
        ),
        calling_ae="PACS",
        association_id=uid,
        eligible=True,
    )


def draft(revision: int) -> DraftReport:
    """Return the draft of the study."""
    return DraftReport(
        study_instance_uid=STUDY,
        source=SourceImage(
            sop_instance_uid="1.2.3.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            series_instance_uid="1.2.3.200",
            rows=96,
            columns=96,
        ),
        revision=revision,
        produced_at=datetime.now(UTC),
        findings_text=("The heart is enlarged.", "No pneumothorax."),
        findings=(Finding(observation=Observation.CARDIOMEGALY, presence=Presence.PRESENT),),
        model=ModelIdentity(name="Tiny", version="1", weights_sha256="0" * 64),
    )


@pytest.fixture
def report_site(tmp_path):
    """Return the site."""
    settings = settings_of({"data_dir": tmp_path})
    make_database(settings.database_url)
    store = Store(settings.database_url)
    add_instance(store, tmp_path / "image", "1.2.3.1", "1.2.840.10008.5.1.4.1.1.1.1")
    job = store.schedule(STUDY, model="demo", version="1", actor="t", reason="Released.")
    job = store.claim_reading(job.id, "reader", 60)
    store.draft(job.id, job.fence, draft(job.revision), [], ())
    store.record_identity(StudyIdentity(study_uid=STUDY, accession_number="A1", patient_id="P1"), 1)
    yield ReportSite(settings, store, job)
    store.close()


def coded(value, meaning="x", scheme="DCM"):
    """Return the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def node(kind, code, *, text=None, children=()):
    """Return a content item."""
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", kind
    item.ConceptNameCodeSequence = [coded(code)]
    if text is not None:
        item.TextValue = text
    if children:
        item.ContentSequence = list(children)
    return item


def document(*content, number=1, **changes):
    """Return a verified, complete report."""
    made = Dataset()
    made.SOPClassUID = BasicTextSRStorage
    made.SOPInstanceUID = derived_uid("report", number)
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.9"
    made.AccessionNumber, made.PatientID, made.Manufacturer = "A1", "P1", "RIS"
    made.CompletionFlag, made.VerificationFlag = "COMPLETE", "VERIFIED"
    made.ConceptNameCodeSequence = [coded("18748-4", "Diagnostic Imaging Report", "LN")]
    observer = Dataset()
    observer.VerificationDateTime = "20261130081500"
    made.VerifyingObserverSequence = [observer]
    made.ContentSequence = list(content)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def saved(made, folder):
    """Return the path of the file of a document."""
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{made.SOPInstanceUID}.dcm"
    made.save_as(path, enforce_file_format=True)
    return path


SECTIONS = (
    node("CONTAINER", "121060", children=[node("TEXT", "121060", text="Old heart failure.")]),
    node("CONTAINER", "121070", children=[node("TEXT", "121071", text="Edema.")]),
    node("CONTAINER", "121072", children=[node("TEXT", "121073", text="Cardiac failure.")]),
)


class ReportDocuments:
    """Makes report SRs."""

    sections = SECTIONS
    document = staticmethod(document)
    node = staticmethod(node)
    coded = staticmethod(coded)
    saved = staticmethod(saved)


@pytest.fixture(scope="session")
def reports() -> ReportDocuments:
    """Makes report SRs."""
    return ReportDocuments()
