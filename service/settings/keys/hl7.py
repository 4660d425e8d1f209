"""The keys of the table `[hl7]` of the settings."""

import re
from typing import Annotated

from pydantic import Field
from pydantic.functional_validators import AfterValidator

from service.final_reports.oru import DEFAULT_ACCESSION, FIELD
from service.settings.keys.base import Section


def _fields(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        if not re.fullmatch(FIELD, each):
            raise ValueError(f"{each[:20]!r} is no field of HL7: write OBR-18 or OBR-3.1")
    return value


class Hl7(Section):
    """Final reports as HL7 v2 messages (ORU^R01)."""

    accession_fields: Annotated[tuple[str, ...], AfterValidator(_fields)] = Field(
        DEFAULT_ACCESSION,
        min_length=1,
        description="Fields in which the accession number is searched; the first that is not empty "
        "holds it.",
    )
