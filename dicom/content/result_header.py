"""The header that all our results share: whose it is, when it was made, by which equipment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from pydicom.dataset import Dataset

from dicom.content.codes import PROCESSING_EQUIPMENT, SOURCE_IMAGE, Code
from dicom.content.patient_study import clean_text, copied_modules, lo
from dicom.content.report import DraftReport
from dicom.errors import DatasetMismatch
from dicom.identifiers import check_uid, derived_uid

OutputKind = Literal[
    "draft-report", "findings", "findings-3d", "overlay", "report-page",
    "presentation-state", "report-pdf",
    "not-analysed", "not-analysed-page", "withdrawn", "withdrawn-page", "in-doubt", "in-doubt-page",
    "verified-report",
]  # fmt: skip

BASIC_TEXT_SR: Final = "1.2.840.10008.5.1.4.1.1.88.11"
COMPREHENSIVE_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
COMPREHENSIVE_3D_SR: Final = "1.2.840.10008.5.1.4.1.1.88.34"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"

SOP_CLASSES: Final[Mapping[OutputKind, str]] = {
    "draft-report": BASIC_TEXT_SR,
    "findings": COMPREHENSIVE_SR,
    "findings-3d": COMPREHENSIVE_3D_SR,
    "overlay": SECONDARY_CAPTURE,
    "report-page": SECONDARY_CAPTURE,
    "presentation-state": PRESENTATION_STATE,
    "report-pdf": ENCAPSULATED_PDF,
    "not-analysed": BASIC_TEXT_SR,
    "not-analysed-page": SECONDARY_CAPTURE,
    "withdrawn": BASIC_TEXT_SR,
    "withdrawn-page": SECONDARY_CAPTURE,
    "in-doubt": BASIC_TEXT_SR,
    "in-doubt-page": SECONDARY_CAPTURE,
    "verified-report": BASIC_TEXT_SR,
}
# Part of every derived UID. Increase it when the same input gives other bytes than the release before:
# two different objects must never have the same SOP Instance UID.
_LAYOUT: Final = 2

# The words that every result carries, in its content and burned into its pixels.
BANNER: Final = ("AI DRAFT - UNVERIFIED", "NOT FOR PRIMARY DIAGNOSIS")

# kind: (series, first series number, instance number). A revision is a series of its own, because
# viewers show the first instance of a series; the two images of one revision share theirs.
_SERIES: Final[dict[OutputKind, tuple[str, int, int]]] = {
    "draft-report": ("draft-report", 9000, 1),
    "findings": ("findings", 9200, 1),
    "findings-3d": ("findings-3d", 9200, 1),
    "overlay": ("images", 9400, 1),
    "report-page": ("images", 9400, 2),
    "presentation-state": ("presentation-state", 9500, 1),
    "report-pdf": ("report-pdf", 9550, 1),
    "not-analysed": ("not-analysed", 9600, 1),
    "not-analysed-page": ("not-analysed-page", 9700, 1),
    "withdrawn": ("withdrawn", 9750, 1),
    "in-doubt": ("in-doubt", 9770, 1),
    "withdrawn-page": ("withdrawn-page", 9850, 1),
    "in-doubt-page": ("in-doubt-page", 9870, 1),
    "verified-report": ("verified-report", 9800, 1),
}
# The words that tell most come first: viewers cut after about 20 characters.
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
    """This installation, as General Equipment and the device observer name it.

    Attributes:
        device_uid: Stable for one installation; also in every derived UID, so that two installations
            never make the same one.
        software_version: Of the service; the model's version stands in the draft.
    """

    device_uid: str
    manufacturer: str = "Wetread"
    model_name: str = "Wetread"
    software_version: str = ""
    device_serial_number: str = ""
    station_name: str = ""
    institution_name: str = ""

    def __post_init__(self) -> None:
        """Refuse a device UID that is none: it would end up in every object."""
        check_uid(self.device_uid, "DeviceUID")

    @property
    def words(self) -> str:
        """Name and version of the service, for people."""
        return " ".join(part for part in (self.model_name, self.software_version) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What UIDs, times and equipment attributes of a result are made of.

    Attributes:
        key: Everything that the content depends on, in a fixed order; the UIDs follow from it.
        produced_at: When the content was made; aware times are written in the clock of the film.
        software: What wrote the content, for Software Versions, the service first.
        statement: What this equipment did, a sentence.
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


def model_words(draft: DraftReport) -> str:
    """Return name, version and the first digits of the weights' digest, for people."""
    model = draft.model
    words = clean_text(f"{model.name} {model.version}")
    return f"{words}, weights {model.weights_sha256[:12]}" if model.weights_sha256 else words


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
    """Return a data set with everything but the content of a result of `draft`.

    Args:
        draft: What the result says.
        source: Header of the film that the draft is about.
        equipment: This installation.
        kind: Which result it becomes; SOP Class, series, numbers and UIDs follow from it.

    Raises:
        DatasetMismatch: `source` is not the film that the draft names.
        InvalidDataset: The film lacks what a result needs (see `copied_modules`).
    """
    if str(source.get("SOPInstanceUID", "")) != draft.source.sop_instance_uid:
        raise DatasetMismatch("the film is not the one that the draft is about")
    result = new_object(_origin(draft, equipment), source, equipment, kind=kind)
    if draft.model.mark:
        marked = f"{result.SeriesDescription} - {clean_text(draft.model.mark)}"
        result.SeriesDescription = marked[:_LONGEST_LO]
    return result


def new_object(
    origin: Origin, source: Dataset, equipment: Equipment, *, kind: OutputKind
) -> Dataset:
    """Return a data set with everything but the content: whose it is, when and by what it was made.

    Args:
        origin: What UIDs, times and equipment attributes are made of.
        source: Header of a film of the study.
        equipment: This installation.
        kind: Which result it becomes; SOP Class, series, numbers and UIDs follow from it.

    Raises:
        DatasetMismatch: `source` is of another study.
        InvalidDataset: The film lacks what a result needs (see `copied_modules`).
    """
    result = copied_modules(source)
    if result.StudyInstanceUID != origin.study_instance_uid:
        raise DatasetMismatch("the film is not of the study that the result is about")
    moment = clock_of_film(origin.produced_at, result)
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


def clock_of_film(moment: datetime, result: Dataset) -> datetime:
    """Return `moment` in the clock of the film's dates and times, which the result's stand beside.

    Timezone Offset From UTC, where the film has it, applies to every date and time of the object
    (PS3.3 C.12.1.1.8). Where it has none its times are local ones of the hospital: an aware moment
    is taken to this machine's time zone, a naive one as it reads.
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
    """Return the Referenced SOP Sequence item of the film that was read."""
    item = Dataset()
    item.ReferencedSOPClassUID = draft.source.sop_class_uid
    item.ReferencedSOPInstanceUID = draft.source.sop_instance_uid
    return item


def source_image_item(draft: DraftReport) -> Dataset:
    """Return the Source Image Sequence item of the film that was read."""
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
    words = model_words(draft)
    return Origin(
        study_instance_uid=draft.study_instance_uid,
        key=_key(draft, equipment),
        revision=draft.revision,
        produced_at=draft.produced_at,
        software=(equipment.words, words),
        statement=(f"AI draft, not verified by a radiologist. Model {words}. {draft.model.caveat}"),
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
    result.SoftwareVersions = [lo(words) for words in origin.software]
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_EQUIPMENT)]
    item.Manufacturer = lo(equipment.manufacturer)
    item.ManufacturerModelName = lo(equipment.model_name)
    item.SoftwareVersions = [lo(words) for words in origin.software]
    item.DeviceSerialNumber = lo(equipment.device_serial_number)
    item.ContributionDateTime = f"{moment:%Y%m%d%H%M%S}"
    item.ContributionDescription = clean_text(origin.statement, 1024)
    result.ContributingEquipmentSequence = [item]
