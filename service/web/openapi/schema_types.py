"""Types that several models of the JSON API share."""

from typing import Annotated, Final

from pydantic import BaseModel, Field, WithJsonSchema

# Responses hold times as texts: `datetime.isoformat` of an aware time in UTC.
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Uid = Annotated[str, Field(description="A DICOM UID (PS3.5 9).", max_length=64)]

NEXT: Final = (
    "The cursor of the next page, to be sent as `cursor`; null on the last page. Its content is not "
    "defined and may change."
)


class Problem(BaseModel):
    """What was wrong with a request, and what to do."""

    error: str = Field(description="A sentence for a person.")


class ModelName(BaseModel):
    """A model as a result names it."""

    name: str
    version: str
