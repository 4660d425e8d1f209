"""What to check when a model's text is not English report language, by the kind of the model."""

from typing import Final

from workers.model.profiles.reading_model import ReadingModel
from workers.model.vlm import SERVED

_FILES: Final = (
    "heck that the tokenizer and the weights in its folder belong together and are not damaged."
)
_ENGLISH: Final = "Ask for English in [prompts] of the profile; "


def language_remedy(model: ReadingModel) -> str:
    """Return sentences for the administrator: the profile, the server or the files to check."""
    if model.checkpoint.dtype == SERVED:
        return f"{_ENGLISH}check that server_model names the model that is meant."
    if model.profile is None:
        return f"C{_FILES}"
    return (
        f"{_ENGLISH}c{_FILES} If the weights are random, for tests: set random_weights = true and a "
        "caveat in [card] of the profile."
    )
