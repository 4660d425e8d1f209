"""Vectors of images as they are stored: named by their space, kept beside the draft."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dicom.selection.image_selection import examine
from dicom.study import Study
from service.errors import PermanentReadingError, VectorFileDamaged
from service.log import get_logger
from service.records.search import ImageVector
from service.search.vector_file import VectorFiles
from service.settings.config import Settings
from service.store import Store
from workers.model.checkpoints.llava import Llava
from workers.model.vlm import Checkpoint, never
from workers.reading.error_mapping import reading_errors
from workers.reading.image_selection import ImageSelector, SelectedImage

log = get_logger(__name__)


def image_vector(checkpoint: Checkpoint, values: NDArray[np.float32] | None) -> ImageVector | None:
    """Return a vector [D] as it is stored; None if the model gives none."""
    if values is None or not checkpoint.vector_space:
        return None
    return ImageVector(checkpoint.vector_space, values.astype("<f4").tobytes())


def keep_vector(
    store: Store, files: VectorFiles, vector: ImageVector, *, study_uid: str, image_uid: str
) -> None:
    """Store the vector of an image that was read; a failure is logged and delays no draft.

    Raises:
        StoreUnavailable: The database does not answer.
    """
    try:
        write_vector(store, files, vector, study_uid=study_uid, image_uid=image_uid)
    except (OSError, VectorFileDamaged) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        log.warning("vector_not_kept", study_uid=study_uid, reason=reason)


def write_vector(
    store: Store, files: VectorFiles, vector: ImageVector, *, study_uid: str, image_uid: str
) -> bool:
    """Store the vector of an image; return False if the image is not here any more.

    Raises:
        StoreUnavailable: The database does not answer.
        VectorFileDamaged: The file of the space holds something else.
        OSError: The file cannot be written.
    """

    def write(space: str, row: int) -> None:
        del space  # that of the vector
        files.write(vector, row)

    return store.keep_vector(vector, study_uid=study_uid, image_uid=image_uid, write=write)


@dataclass(frozen=True, slots=True, eq=False)
class QueryVector:
    """A vector to search by: the name of its space, and float32 [D] of length 1."""

    space: str
    values: NDArray[np.float32]


def vector_of_study(model: Llava, settings: Settings, study: Study) -> QueryVector:
    """Return the vector of the image of a study that would be read.

    Raises:
        ReadingError: No image may be read, or the model gives no vector of it.
    """
    selector = ImageSelector(settings, examine, synthetic_only=model.checkpoint.synthetic_only)
    with reading_errors():
        selection = selector.selected(study, None, never)
        image = SelectedImage.of(selection)
        if image is None:
            raise PermanentReadingError(selection.sentence)
        values = model.image_vector(image.pixels)
    if values is None:
        raise PermanentReadingError("The model gives no vector of this image.")
    return QueryVector(model.checkpoint.vector_space, values)
