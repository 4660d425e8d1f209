"""Give an object that highdicom builds the header that `result_header` makes.

highdicom copies patient and study from the image unchecked, writes the current time, adds itself as
contributing equipment and quotes unusual person names in warnings. Our header is checked and is the
same for the same draft. Therefore highdicom gets a reference without patient and study attributes, and
our header overwrites the attributes that highdicom wrote.
"""

from typing import Any

from pydicom.dataset import Dataset

from dicom.content.report import DraftReport


class OwnHeader:
    """Mixin for highdicom's classes that copies nothing from the referenced image."""

    def copy_patient_and_study_information(self, dataset: Dataset) -> None:
        """Copy nothing: `result_header.new_object` has copied every valid value."""

    def copy_specimen_information(self, dataset: Dataset) -> None:
        """Copy nothing: a radiograph has no specimen."""


def reference(
    study_instance_uid: str, series_instance_uid: str, *, sop_class_uid: str, sop_instance_uid: str
) -> Dataset:
    """Return a reference to an object for highdicom: its UIDs, with empty patient attributes."""
    referenced = Dataset()
    referenced.StudyInstanceUID = study_instance_uid
    referenced.SeriesInstanceUID = series_instance_uid
    referenced.SOPClassUID = sop_class_uid
    referenced.SOPInstanceUID = sop_instance_uid
    for keyword in (
        "PatientID",
        "PatientName",
        "PatientBirthDate",
        "PatientSex",
        "AccessionNumber",
        "StudyID",
        "StudyDate",
        "StudyTime",
    ):
        setattr(referenced, keyword, "")
    return referenced


def read_image(draft: DraftReport) -> Dataset:
    """Return a reference to the image that was read."""
    image = draft.source
    return reference(
        draft.study_instance_uid,
        image.series_instance_uid,
        sop_class_uid=image.sop_class_uid,
        sop_instance_uid=image.sop_instance_uid,
    )


def identity(header: Dataset) -> dict[str, Any]:
    """Return the arguments that all classes of highdicom share, from a header of `new_object`."""
    return {
        "series_instance_uid": header.SeriesInstanceUID,
        "series_number": int(header.SeriesNumber),
        "sop_instance_uid": header.SOPInstanceUID,
        "instance_number": int(header.InstanceNumber),
        "manufacturer": header.Manufacturer,
        "specific_character_set": header.SpecificCharacterSet,
    }
