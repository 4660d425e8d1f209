"""The classes of the transformers library that are used, as Any: the library's types are incomplete."""

from typing import Any, Final

import transformers
from transformers.models.auto import modeling_auto, processing_auto
from transformers.utils import logging

AutoConfig: Final[Any] = transformers.AutoConfig
AutoModel: Final[Any] = transformers.AutoModelForImageTextToText
AutoProcessor: Final[Any] = transformers.AutoProcessor
AutoImageProcessor: Final[Any] = transformers.AutoImageProcessor
AutoTokenizer: Final[Any] = transformers.AutoTokenizer
GenerationConfig: Final[Any] = transformers.GenerationConfig
library_logging: Final[Any] = logging
# Architecture -> name of its class, for models and for processors.
MODELS: Final[Any] = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
_PROCESSORS: Final[Any] = vars(processing_auto)["PROCESSOR_MAPPING_NAMES"]

# Nothing is fetched, and no code of a checkpoint is executed.
LOCAL: Final[dict[str, Any]] = {"local_files_only": True, "trust_remote_code": False}


def processor_class(model_type: str) -> Any:  # noqa: ANN401 - a class of the library
    """Return the class of an architecture's processor."""
    return getattr(transformers, _PROCESSORS[model_type])
