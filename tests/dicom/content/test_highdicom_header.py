"""Side effects of highdicom: today's date, names in warnings, tables loaded while a study waits."""

import subprocess
import sys
import warnings
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from dicom.content.report import Predecessor
from dicom.results.doubt_notice import Doubt, doubt_notice
from dicom.results.not_analysed import UnreadImage, UnreadStudy, build_not_analysed
from dicom.results.outputs import OutputOptions, build

EVERYTHING = OutputOptions(comprehensive_3d=True, extras=("presentation-state", "report-pdf"))
REPOSITORY = Path(__file__).parents[3]
READ_CLASSES = {
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX for presentation": "1.2.840.10008.5.1.4.1.1.1.1",
    "DX for processing": "1.2.840.10008.5.1.4.1.1.1.1.1",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
    "multi-frame byte SC": "1.2.840.10008.5.1.4.1.1.7.2",
    "multi-frame word SC": "1.2.840.10008.5.1.4.1.1.7.3",
}
EARLIER = Predecessor(
    sop_instance_uid="2.25.3",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
    series_instance_uid="2.25.4",
)
UNREAD = UnreadImage(
    sop_instance_uid="2.25.7",
    sop_class_uid="1.2.3.4",
    series_instance_uid="2.25.8",
    reason="its SOP Class is private",
)
# Everything a reading worker imports, then every file of highdicom that building opens.
BUILDS = """
import sys
import numpy as np
from benchmarks.outputs import EQUIPMENT, draft_of
from dicom.results.outputs import OutputOptions, build
from dicom.phantom import as_dataset, draw
from dicom.content.sr_document import load_tables

image = as_dataset(draw(1, rows=256, columns=256))
load_tables()
opened = []
sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == "open" else None)
options = OutputOptions(comprehensive_3d=True, extras=("presentation-state",))
image.Rows, image.Columns = 2500, 2048
build(draft_of(image), image, np.zeros((2500, 2048), np.float32), EQUIPMENT, options=options)
print([path for path in opened if "highdicom/_standard" in path])
"""


@pytest.fixture
def objects(make_draft, equipment, shown_pixels):
    """A function that returns every kind of object about a header, by kind."""

    def make(header):
        draft = make_draft(header, predecessor=EARLIER)
        outputs = build(draft, header, shown_pixels(), equipment, options=EVERYTHING)
        found_at = datetime(2026, 3, 4, 9, 15, 30, tzinfo=UTC)
        unread = UnreadStudy(
            study_instance_uid=draft.study_instance_uid,
            images=(UNREAD,),
            reason="no image could be read",
            revision=1,
            produced_at=found_at,
        )
        doubt = Doubt(
            study_instance_uid=draft.study_instance_uid,
            draft=draft.predecessor,
            model="M 1",
            image_uid="2.25.5",
            copy_digest="ab",
            reason="The copies differ.",
            revision=1,
            found_at=found_at,
        )
        made = [*outputs, *build_not_analysed(unread, header, equipment, page=True)]
        return {each.kind: each.dataset for each in [*made, doubt_notice(doubt, header, equipment)]}

    return make


def test_no_object_holds_the_time_of_this_computer(objects, image_header):
    """Every date is the study's or the draft's; highdicom writes today's in six places."""
    today = f"{date.today():%Y%m%d}"  # noqa: DTZ011 - as highdicom asks
    for kind, dataset in objects(image_header()).items():
        dates = [str(each.value) for each in dataset.iterall() if each.VR in ("DA", "DT")]
        assert dates, kind
        assert not [value for value in dates if value.startswith(today)], kind


def test_nothing_names_highdicom_or_its_version(objects, image_header):
    """A new release of the library changes no byte: the equipment is this installation alone."""
    for kind, dataset in objects(image_header()).items():
        values = [str(each.value) for each in dataset.iterall() if each.VR != "SQ"]
        assert not [value for value in values if "highdicom" in value.lower()], kind
        assert len(dataset.ContributingEquipmentSequence) == 1, kind


def test_a_patients_name_stays_out_of_warnings_and_logs(objects, image_header, caplog):
    """Highdicom warns of a name without a caret, and quotes it."""
    caplog.set_level("DEBUG")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = objects(image_header(PatientName="MUSTERMANN"))
    assert {str(dataset.PatientName) for dataset in made.values()} == {"MUSTERMANN"}
    assert "MUSTERMANN" not in caplog.text + " ".join(str(each.message) for each in caught)


@pytest.mark.parametrize("sop_class", READ_CLASSES.values(), ids=READ_CLASSES)
def test_each_sop_class_that_is_read_gets_its_objects(objects, image_header, sop_class):
    """Highdicom treats a multi-frame class as an enhanced image; ours has no such attributes."""
    made = objects(image_header(SOPClassUID=sop_class))
    assert len(made) == 9
    state = made["presentation-state"]
    referenced = state.ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert referenced.ReferencedSOPClassUID == sop_class


def test_a_notice_about_a_private_class_refers_to_it(objects, image_header):
    """Highdicom accepts the classes of the Standard only; an unread image may be of any class."""
    evidence = objects(image_header())["not-analysed"].CurrentRequestedProcedureEvidenceSequence
    (image,) = evidence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert (image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID) == ("1.2.3.4", "2.25.7")


def test_once_warm_no_table_is_read():
    """The half second that highdicom's tables take is spent before the first study."""
    command = [sys.executable, "-c", BUILDS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout == "[]\n"
