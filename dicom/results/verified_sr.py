"""The verified report: a radiologist edited and signed a draft.

The document is FINAL, COMPLETE and VERIFIED and names its verifier. Only the recorded decision of that
person may create one: `workers.delivery.verified_report` alone imports this module, and
`result_file.encode` refuses the document. The draft stays unchanged; the verified report is a new
document in a new series that references the draft as its preliminary report (PS3.3 C.17.2, PS3.16 CID
7009).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Final

from highdicom import sr
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from dicom.content import codes, phrases
from dicom.content.highdicom_header import read_image
from dicom.content.output_kind import OutputKind
from dicom.content.patient_study import clean_text, lo
from dicom.content.report import DraftReport, Predecessor
from dicom.content.result_header import (
    Equipment,
    Origin,
    code_item,
    in_image_time_zone,
    model_text,
    new_object,
)
from dicom.content.sr_document import diagnostic_report, person_observer, report_document, section
from dicom.errors import DatasetMismatch, InvalidOutput
from dicom.results.result_file import as_file
from dicom.validation.result_object import check

_LONGEST_GROUP: Final = 64  # characters of a component group of a PN value (PS3.5 6.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """The person who is accountable for a verified report.

    Attributes:
        name: A PN value, "Family^Given", each component group of at most 64 characters.
        organization: The organization to which the person is accountable.
        identifier: The person's code in that organization, if any.
    """

    name: str
    organization: str
    identifier: codes.Code | None = None

    def __post_init__(self) -> None:
        """Refuse a verifier without a name or an organization: both are type 1 in the document.

        Raises:
            InvalidOutput: Name or organization is empty, or the name is too long.
        """
        if not self.name.strip("^= ") or not self.organization.strip():
            raise InvalidOutput(
                "a verified report needs the names of its verifier and organization"
            )
        if any(len(group) > _LONGEST_GROUP for group in self.name.split("=")):
            raise InvalidOutput("the verifier's name is longer than 64 characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReport:
    """The content that a radiologist signed.

    Attributes:
        draft: The draft that was edited.
        preliminary: The draft's SR, as it was delivered; for an amended report the earlier report.
        purpose: What `preliminary` is to this report (PS3.16 CID 7009).
        verified_at: When the person signed, an aware time.
        findings_text: Sentences of the findings, as signed.
        impression_text: Sentences of the impression, as signed.
        revision: 1 for the first signed report of the draft, then counting up.
    """

    draft: DraftReport
    preliminary: Predecessor
    verifier: Verifier
    verified_at: datetime
    findings_text: tuple[str, ...]
    impression_text: tuple[str, ...]
    purpose: codes.Code = codes.PRELIMINARY_REPORT
    revision: int = 1

    @property
    def is_amended(self) -> bool:
        """Whether it replaces an earlier verified report."""
        return self.purpose == codes.REPLACED_REPORT


def verified_report(report: VerifiedReport, source: Dataset, equipment: Equipment) -> bytes:
    """Return the signed report as a PS3.10 file, Explicit VR Little Endian.

    Args:
        report: The signed text, its verifier and the time.
        source: Header of the image that the draft is about.
        equipment: The installation at which the person signed.

    Raises:
        DatasetMismatch: `source` is not the image of the draft.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
        InvalidOutput: The signed text is empty, or the document fails validation.
    """
    document = _document(report, source, equipment)
    check(document, source)
    buffer = BytesIO()
    dcmwrite(buffer, as_file(document), enforce_file_format=True)
    return buffer.getvalue()


def _document(report: VerifiedReport, source: Dataset, equipment: Equipment) -> Dataset:
    draft = report.draft
    if str(source.get("SOPInstanceUID", "")) != draft.source.sop_instance_uid:
        raise DatasetMismatch("the image is not the source image of the report")
    header = new_object(
        _origin(report, equipment), source, equipment, kind=OutputKind.VERIFIED_REPORT
    )
    if report.is_amended:
        header.SeriesDescription = f"{header.SeriesDescription[:-1]}, amended)"
    verifier = report.verifier
    observer = person_observer(verifier.name, verifier.organization)
    document = report_document(
        header,
        source,
        diagnostic_report(codes.CHEST_RADIOGRAPH, observer, _sections(report, source)),
        author=_person(verifier),
        evidence=[read_image(draft)],
        predecessor=report.preliminary,
        purpose=report.purpose,
        is_complete=True,
        is_final=True,
        is_verified=True,
        verifying_observer_name=verifier.name,
        verifying_organization=lo(verifier.organization),
    )
    verification = document.VerifyingObserverSequence[0]
    moment = in_image_time_zone(report.verified_at, document)
    verification.VerificationDateTime = f"{moment:%Y%m%d%H%M%S}"
    verification.VerifyingObserverIdentificationCodeSequence = _identifier(verifier)
    return document


def _origin(report: VerifiedReport, equipment: Equipment) -> Origin:
    draft, model_name = report.draft, model_text(report.draft)
    key = (
        draft.study_instance_uid,
        report.preliminary.sop_instance_uid,
        report.verifier.name,
        report.verifier.organization,
        report.verified_at.isoformat(),
        "\n".join(report.findings_text),
        "\n".join(report.impression_text),
        equipment.device_uid,
    )
    return Origin(
        study_instance_uid=draft.study_instance_uid,
        key=key,
        revision=report.revision,
        produced_at=report.verified_at,
        software=(equipment.name_and_version, model_name),
        statement=f"The preliminary report was an AI draft. Model {model_name}.",
    )


def _sections(report: VerifiedReport, source: Dataset) -> Iterator[sr.ContentItem]:
    findings = [line for line in map(clean_text, report.findings_text) if line]
    impressions = [line for line in map(clean_text, report.impression_text) if line]
    if not findings + impressions:
        raise InvalidOutput("a report without any text cannot be signed")
    described = [
        phrases.procedure(source),
        f"An AI draft ({model_text(report.draft)}) was the preliminary report.",
    ]
    if report.is_amended:
        described.append("This amended report replaces an earlier verified report.")
    yield section(codes.CURRENT_PROCEDURE_DESCRIPTIONS, codes.PROCEDURE_DESCRIPTION, described)
    if findings:
        yield section(codes.FINDINGS, codes.FINDING, findings)
    if impressions:
        numbered = [f"{number}. {line}" for number, line in enumerate(impressions, start=1)]
        yield section(codes.IMPRESSIONS, codes.IMPRESSION, numbered)


def _person(verifier: Verifier) -> Dataset:
    """Return the verifier as an item of Author Observer Sequence."""
    item = Dataset()
    item.ObserverType = "PSN"
    item.PersonName = verifier.name
    item.PersonIdentificationCodeSequence = _identifier(verifier)
    item.InstitutionName = lo(verifier.organization)
    item.InstitutionCodeSequence = []
    return item


def _identifier(verifier: Verifier) -> list[Dataset]:
    return [code_item(verifier.identifier)] if verifier.identifier else []
