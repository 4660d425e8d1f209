"""The HTTP status and sentence for an image that cannot be shown."""

from starlette.exceptions import HTTPException

from dicom.errors import DecoderSlow, DicomError, OutOfResources


def not_shown(error: DicomError) -> HTTPException:
    """Return 503 if the image may be shown in a moment, else 422."""
    if isinstance(error, OutOfResources) and not isinstance(error, DecoderSlow):
        return HTTPException(503, str(error), headers={"Retry-After": "2"})
    return HTTPException(422, f"This image cannot be shown: {error}.")
