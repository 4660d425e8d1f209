"""Values that code compares and that the database stores."""

import pytest

from dicom.content.output_kind import OutputKind
from dicom.reasons import Reason
from service.database.tables import (
    DeliveryRow,
    EventRow,
    IncidentRow,
    JobRow,
    ObjectRow,
    ProcessRow,
)
from service.jobs import Action, DeliveryState, Event, JobState, ReasonCode
from service.records import IncidentKind, ProcessRole, ProcessStatus
from service.spool_findings import Kind

COLUMNS = {
    JobState: JobRow.state,
    ReasonCode: JobRow.reason_code,
    Reason: JobRow.reason_code,
    Action: EventRow.action,
    Event: EventRow.action,
    DeliveryState: DeliveryRow.state,
    OutputKind: ObjectRow.kind,
    ProcessRole: ProcessRow.role,
    ProcessStatus: ProcessRow.status,
    IncidentKind: IncidentRow.kind,
}


@pytest.mark.parametrize("kind", COLUMNS, ids=lambda kind: kind.__name__)
def test_every_word_fits_its_column(kind):
    """PostgreSQL refuses a longer text; SQLite does not notice."""
    assert max(len(word.value) for word in kind) <= COLUMNS[kind].type.length


def test_a_word_has_one_meaning_in_a_column():
    """The two enums of one column share no value."""
    assert not {*ReasonCode} & {*Reason}
    assert not {*Action} & {*Event}


def test_a_lost_image_is_an_incident_and_an_event():
    """The store creates both from the finding of a spool check."""
    for kind in (Kind.LOST_IMAGE, Kind.DAMAGED_IMAGE):
        assert IncidentKind(kind.value).value == Event(kind.value).value
