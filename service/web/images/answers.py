"""Answers about images: where an image is stored, one of its levels, and why it cannot be shown."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response

from dicom.errors import DecoderSlow, DicomError, OutOfResources
from service.errors import NotFound
from service.store import Store
from service.web.images.levels import LevelsStore

_LEVELS: Final = ("0", "1", "2")
_Answer = TypeVar("_Answer")


def stored_image(
    store: Store, study_uid: str, image_uid: str, absent: str = "There is no such image."
) -> Path:
    """Return the file of an image.

    Raises:
        NotFound: It is not stored; with the message `absent`.
    """
    for instance in store.instances(study_uid):
        if instance.sop_instance_uid == image_uid and not instance.conflict:
            return instance.path
    raise NotFound(absent)


async def level_response(levels: LevelsStore, path: Path, level: str) -> Response:
    """Answer with one level of an image (docs/api.md).

    Raises:
        NotFound: There is no such level.
        HTTPException: The image cannot be shown.
    """
    if level not in _LEVELS:
        raise NotFound("There is no such level of the image.")
    body = await shown(levels.level(path, _LEVELS.index(level)))
    headers = {"Content-Encoding": "gzip", "Cache-Control": "no-store"}
    return Response(body, media_type="application/octet-stream", headers=headers)


async def shown(answer: Awaitable[_Answer]) -> _Answer:
    """Return what is awaited.

    Raises:
        HTTPException: The image cannot be shown: 503 if it may be in a moment, else 422.
    """
    try:
        return await answer
    except DicomError as error:
        if isinstance(error, OutOfResources) and not isinstance(error, DecoderSlow):
            raise HTTPException(503, str(error), headers={"Retry-After": "2"}) from None
        raise HTTPException(422, f"This image cannot be shown: {error}.") from None
