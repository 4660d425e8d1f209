"""The header that all our results share: patient and study, times, equipment, UIDs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from pydicom.dataset import Dataset

from dicom.content.codes import PROCESSING_EQUIPMENT, SOURCE_IMAGE, Code
from dicom.content.output_kind import OutputKind
from dicom.content.patient_study import clean_text, copied_modules, lo
from dicom.content.report import DraftReport
from dicom.errors import DatasetMismatch
from dicom.identifiers import check_uid, derived_uid

BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D_SR: Final = "1.2.840.10008.5.1.4.1.1.88.34"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"

SOP_CLASSES: Final[Mapping[OutputKind, str]] = {
    OutputKind.DRAFT_REPORT: BASIC_TEXT_SR,
    OutputKind.FINDINGS: COMPREHENSIVE_SR,
    OutputKind.FINDINGS_3D: COMPREHENSIVE_3D_SR,
    OutputKind.OVERLAY: SECONDARY_CAPTURE,
    OutputKind.REPORT_PAGE: SECONDARY_CAPTURE,
    OutputKind.PRESENTATION_STATE: PRESENTATION_STATE,
    OutputKind.REPORT_PDF: ENCAPSULATED_PDF,
    OutputKind.NOT_ANALYSED: BASIC_TEXT_SR,
    OutputKind.NOT_ANALYSED_PAGE: SECONDARY_CAPTURE,
    OutputKind.WITHDRAWN: BASIC_TEXT_SR,
    OutputKind.WITHDRAWN_PAGE: SECONDARY_CAPTURE,
    OutputKind.IN_DOUBT: BASIC_TEXT_SR,
    OutputKind.IN_DOUBT_PAGE: SECONDARY_CAPTURE,
    OutputKind.VERIFIED_REPORT: BASIC_TEXT_SR,
}
# Part of every derived UID. Increase it if the same input gives other bytes than in the last release:
# two different objects must never have the same SOP Instance UID.
_LAYOUT: Final = 2

# The warning burned into every image and page of a draft, and part of its JSON.
BANNER: Final = ("AI DRAFT - UNVERIFIED", "NOT FOR PRIMARY DIAGNOSIS")

# kind: (series, base of the series number, instance number). Each revision gets its own series, because
# viewers show the first Instance of a series; the two images of one revision share a series.
_SERIES: Final[dict[OutputKind, tuple[str, int, int]]] = {
    OutputKind.DRAFT_REPORT: ("draft-report", 9000, 1),
    OutputKind.FINDINGS: ("findings", 9200, 1),
    OutputKind.FINDINGS_3D: ("findings-3d", 9200, 1),
    OutputKind.OVERLAY: ("images", 9400, 1),
    OutputKind.REPORT_PAGE: ("images", 9400, 2),
    OutputKind.PRESENTATION_STATE: ("presentation-state", 9500, 1),
    OutputKind.REPORT_PDF: ("report-pdf", 9550, 1),
    OutputKind.NOT_ANALYSED: ("not-analysed", 9600, 1),
    OutputKind.NOT_ANALYSED_PAGE: ("not-analysed-page", 9700, 1),
    OutputKind.WITHDRAWN: ("withdrawn", 9750, 1),
    OutputKind.IN_DOUBT: ("in-doubt", 9770, 1),
    OutputKind.WITHDRAWN_PAGE: ("withdrawn-page", 9850, 1),
    OutputKind.IN_DOUBT_PAGE: ("in-doubt-page", 9870, 1),
    OutputKind.VERIFIED_REPORT: ("verified-report", 9800, 1),
}
# The most important text comes first: viewers cut descriptions after about 20 characters.
_LONGEST_LO: Final = 64  # characters (PS3.5 6.2)
_SERIES_DESCRIPTIONS: Final = {
    "draft-report": "AI DRAFT report - NOT VERIFIED (rev {revision})",
    "findings": "AI findings - NOT VERIFIED (rev {revision})",
    "images": "AI images - NOT FOR DIAGNOSIS (rev {revision})",
    "findings-3d": "AI findings - NOT VERIFIED (rev {revision})",
    "presentation-state": "AI regions - NOT VERIFIED (rev {revision})",
    "report-pdf": "AI DRAFT report - NOT VERIFIED (PDF, rev {revision})",
    "not-analysed": "AI: NOT ANALYZED - no AI result (rev {revision})",
    "not-analysed-page": "AI: NOT ANALYZED - no AI result (page, rev {revision})",
    "withdrawn": "AI DRAFT WITHDRAWN - DO NOT USE (rev {revision})",
    "in-doubt": "AI DRAFT IN DOUBT - VERIFY PATIENT (rev {revision})",
    "withdrawn-page": "AI DRAFT WITHDRAWN - DO NOT USE (page, rev {revision})",
    "in-doubt-page": "AI DRAFT IN DOUBT - VERIFY PATIENT (page, rev {revision})",
    "verified-report": "Radiology report (verified)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """This installation, for General Equipment and the device observer.

    Attributes:
        device_uid: Stable for one installation and part of every derived UID, so that two
            installations never make the same UID.
        software_version: Version of the service; the draft has the model's version.
    """

    device_uid: str
    manufacturer: str = "Wetread"
    model_name: str = "Wetread"
    software_version: str = ""
    device_serial_number: str = ""
    station_name: str = ""
    institution_name: str = ""

    def __post_init__(self) -> None:
        """Refuse an invalid device UID, because every object contains it.

        Raises:
            InvalidIdentifier: `device_uid` is not a valid UID.
        """
        check_uid(self.device_uid, "DeviceUID")

    @property
    def name_and_version(self) -> str:
        """Name and version of the service, for people."""
        return " ".join(part for part in (self.model_name, self.software_version) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The values from which UIDs, times and equipment attributes of a result are made.

    Attributes:
        key: Everything that the content depends on, in a fixed order; the UIDs are derived from it.
        produced_at: The time that the result states; an aware time is written in the image's time zone.
        software: The software that wrote the content, for Software Versions, the service first.
        statement: What this equipment did, a sentence for Contribution Description.
    """

    study_instance_uid: str
    key: tuple[str, ...]
    revision: int
    produced_at: datetime
    software: tuple[str, ...]
    statement: str


def code_item(code: Code) -> Dataset:
    """Return `code` as an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = code.meaning
    return item


def model_text(draft: DraftReport) -> str:
    """Return name, version and the first 12 digits of the weights' digest, for people."""
    model = draft.model
    name = clean_text(f"{model.name} {model.version}")
    return f"{name}, weights {model.weights_sha256[:12]}" if model.weights_sha256 else name


def tracking_uid(draft: DraftReport, equipment: Equipment, what: str) -> str:
    """Return the Tracking Unique Identifier of one finding of the draft."""
    return _uid(_key(draft, equipment), f"tracking|{what}", draft.revision)


def _uid(key: tuple[str, ...], what: str, revision: int) -> str:
    return derived_uid(*key, what, revision, f"layout {_LAYOUT}")


def new_result(
    draft: DraftReport,
    source: Dataset,
    equipment: Equipment,
    *,
    kind: OutputKind,
) -> Dataset:
    """Return a data set with the header of a result of `draft`.

    Args:
        draft: The draft of the result.
        source: Header of the image that the draft is about.
        equipment: This installation.
        kind: Kind of the result; it determines SOP Class, series, numbers and UIDs.

    Raises:
        DatasetMismatch: `source` is not the image that the draft names.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
    """
    if str(source.get("SOPInstanceUID", "")) != draft.source.sop_instance_uid:
        raise DatasetMismatch("the image is not the source image of the draft")
    result = new_object(_origin(draft, equipment), source, equipment, kind=kind)
    if draft.model.mark:
        marked = f"{result.SeriesDescription} - {clean_text(draft.model.mark)}"
        result.SeriesDescription = marked[:_LONGEST_LO]
    return result


def new_object(
    origin: Origin, source: Dataset, equipment: Equipment, *, kind: OutputKind
) -> Dataset:
    """Return a data set with the header of a result: patient, study, series, times and equipment.

    Args:
        origin: The values from which UIDs, times and equipment attributes are made.
        source: Header of any object of the study.
        equipment: This installation.
        kind: Kind of the result; it determines SOP Class, series, numbers and UIDs.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: Patient or study of `source` cannot be copied (see `copied_modules`).
    """
    result = copied_modules(source)
    if result.StudyInstanceUID != origin.study_instance_uid:
        raise DatasetMismatch("the image belongs to another study than the result")
    moment = in_image_time_zone(origin.produced_at, result)
    series, number, instance = _SERIES[kind]
    result.SpecificCharacterSet = "ISO_IR 192"
    result.SOPClassUID = SOP_CLASSES[kind]
    result.SOPInstanceUID = _uid(origin.key, kind, origin.revision)
    result.SeriesInstanceUID = _uid(origin.key, f"series|{series}", origin.revision)
    result.SeriesNumber = number + origin.revision
    result.InstanceNumber = instance
    result.SeriesDescription = _SERIES_DESCRIPTIONS[series].format(revision=origin.revision)
    for name in ("InstanceCreation", "Series", "Content"):
        setattr(result, f"{name}Date", f"{moment:%Y%m%d}")
        setattr(result, f"{name}Time", f"{moment:%H%M%S}")
    _write_equipment(result, origin, equipment, moment)
    return result


def in_image_time_zone(moment: datetime, result: Dataset) -> datetime:
    """Return `moment` in the time zone of the image's dates and times, which `result` has, too.

    Timezone Offset From UTC, if the image has it, applies to every date and time of the object
    (PS3.3 C.12.1.1.8). Without it the image's times are local times of the hospital, and the time zone
    of this machine is used. A naive `moment` is returned unchanged.
    """
    if moment.tzinfo is None:
        return moment
    offset = result.get("TimezoneOffsetFromUTC")
    if not offset:
        return moment.astimezone()
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    zone = timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
    return moment.astimezone(zone)


def source_reference(draft: DraftReport) -> Dataset:
    """Return the Referenced SOP Sequence item of the image that was read."""
    item = Dataset()
    item.ReferencedSOPClassUID = draft.source.sop_class_uid
    item.ReferencedSOPInstanceUID = draft.source.sop_instance_uid
    return item


def source_image_item(draft: DraftReport) -> Dataset:
    """Return the Source Image Sequence item of the image that was read."""
    item = source_reference(draft)
    item.PurposeOfReferenceCodeSequence = [code_item(SOURCE_IMAGE)]
    return item


def _key(draft: DraftReport, equipment: Equipment) -> tuple[str, ...]:
    model = draft.model
    return (
        draft.study_instance_uid,
        draft.source.sop_instance_uid,
        model.name,
        model.version,
        model.weights_sha256,
        equipment.device_uid,
    )


def _origin(draft: DraftReport, equipment: Equipment) -> Origin:
    model_name = model_text(draft)
    return Origin(
        study_instance_uid=draft.study_instance_uid,
        key=_key(draft, equipment),
        revision=draft.revision,
        produced_at=draft.produced_at,
        software=(equipment.name_and_version, model_name),
        statement=(
            f"AI draft, not verified by a radiologist. Model {model_name}. {draft.model.caveat}"
        ),
    )


def _write_equipment(
    result: Dataset, origin: Origin, equipment: Equipment, moment: datetime
) -> None:
    result.Manufacturer = lo(equipment.manufacturer)
    if equipment.institution_name:
        result.InstitutionName = lo(equipment.institution_name)
    result.ManufacturerModelName = lo(equipment.model_name)
    result.DeviceSerialNumber = lo(equipment.device_serial_number)
    result.DeviceUID = equipment.device_uid
    result.SoftwareVersions = [lo(version) for version in origin.software]
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_EQUIPMENT)]
    item.Manufacturer = lo(equipment.manufacturer)
    item.ManufacturerModelName = lo(equipment.model_name)
    item.SoftwareVersions = [lo(version) for version in origin.software]
    item.DeviceSerialNumber = lo(equipment.device_serial_number)
    item.ContributionDateTime = f"{moment:%Y%m%d%H%M%S}"
    item.ContributionDescription = clean_text(origin.statement, 1024)
    result.ContributingEquipmentSequence = [item]
