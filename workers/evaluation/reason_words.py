"""Words for the codes of studies that were not read, for the report."""

from typing import Final

from dicom.errors import InvalidDataset
from dicom.reasons import Reason
from service.errors import PermanentReadingError, TextNotLanguage, TransientReadingError
from workers.retry_policy import code

_OF_ERRORS: Final[dict[type[Exception], str]] = {
    InvalidDataset: "The file is no image that can be read.",
    PermanentReadingError: "The image or the model's answer cannot become a draft.",
    TextNotLanguage: "The model's text is not language.",
    TransientReadingError: "The reading failed for a passing reason; the same command tries again.",
}
REASON_WORDS: Final = {
    **{reason.value: reason.sentence for reason in Reason},
    **{code(kind()): sentence for kind, sentence in _OF_ERRORS.items()},
    "NOT_READ": "Not read yet.",
    "no truth": "No truth.",
}
