"""The results of reading a study: a draft, or the reason why there is none."""

from dataclasses import dataclass

from dicom.content.report import DraftReport, NotRead
from dicom.results.outputs import Output
from dicom.selection.image_selection import Selection
from service.records.search import ImageVector
from workers.reading.image_selection import SelectedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """The result of a study that was read; `vector` is that of the image, if the model gives one."""

    draft: DraftReport
    outputs: tuple[Output, ...]
    vector: ImageVector | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DraftedImage:
    """The draft of a study and the image that was read, before objects are built.

    Attributes:
        tokens: Number of tokens of the answer.
        ended: Whether the model ended the answer; otherwise the limit on new tokens cut it.
        vector: Vector of the image, if the model gives one.
    """

    draft: DraftReport
    image: SelectedImage
    tokens: int
    ended: bool
    vector: ImageVector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAnalysed:
    """The result of a study without an image that may be read.

    Attributes:
        code: Reason code, such as NOT_FRONTAL.
        sentence: The reason, for the user.
        not_read: Each Instance and why it was not read.
    """

    code: str
    sentence: str
    not_read: tuple[NotRead, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged(NotAnalysed):
    """The selected image was read before: the model was not asked, the earlier draft stands."""


def without_image(selection: Selection) -> NotAnalysed:
    """Return the result of a selection that found no image to read."""
    return NotAnalysed(
        code=str(selection.reason), sentence=selection.sentence, not_read=selection.not_read
    )
