"""Loads a checkpoint's processor, and makes model inputs of an image and the turns of a chat."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import TemplateError
from PIL import Image
from torch import Tensor
from transformers import ProcessorMixin

from workers.model.automodel.collate import IDS, MASK
from workers.model.automodel.library import (
    LOCAL,
    AutoImageProcessor,
    AutoProcessor,
    AutoTokenizer,
    processor_class,
)
from workers.model.automodel.processor_files import check_files, refusal
from workers.model.errors import CheckpointError, GenerationError
from workers.model.profiles.chat import parts
from workers.model.profiles.profile import Profile
from workers.model.prompts import Turn

_VIDEO: Final = "video_processor"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as the model receives it.

    Attributes:
        text: In the chat's layout, one placeholder for the image.
        tensors: What the processor made of text and image; `input_ids` is int64 [1, T].
    """

    text: str
    tensors: dict[str, Tensor]

    @property
    def length(self) -> int:
        """Number of tokens, those of the image included."""
        return self.tensors[IDS].shape[1]


class PromptMaker:
    """Makes prompts with a checkpoint's processor; may be used by several threads."""

    def __init__(self, processor: ProcessorMixin, profile: Profile, folder: Path) -> None:
        """Set up the maker.

        Args:
            processor: The checkpoint's.
            profile: Its `chat_template` replaces the checkpoint's, unless it is "".
            folder: Of the checkpoint, for messages.

        Raises:
            CheckpointError: Neither the profile nor the checkpoint has a chat template.
        """
        self.processor: Any = processor
        self.tokenizer: Any = self.processor.tokenizer
        self._template = profile.chat_template or processor.chat_template
        # A tokenizer of the library must not be used by two threads at once.
        self._lock = threading.Lock()
        if not self._template:
            raise CheckpointError(
                f"{folder}: the checkpoint has no chat template (chat_template.jinja, or "
                "chat_template in tokenizer_config.json): copy that file, or add chat_template to the "
                "profile"
            )

    def prompt(self, image: Image.Image, turns: Sequence[Turn]) -> Prompt:
        """Return a chat about one image as model inputs.

        Raises:
            GenerationError: The processor refuses image or text.
        """
        messages = [_message(turn, image) for turn in turns]
        layout: dict[str, Any] = {"chat_template": self._template, "add_generation_prompt": True}
        try:
            with self._lock:
                text = self.processor.apply_chat_template(messages, tokenize=False, **layout)
                made = self.processor.apply_chat_template(
                    messages, tokenize=True, return_dict=True, return_tensors="pt", **layout
                )
        except TemplateError as error:
            raise GenerationError(f"the chat template refuses the prompt: {error}") from None
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise GenerationError(f"the processor refuses image or prompt: {error}") from None
        tensors = {name: value for name, value in made.items() if isinstance(value, Tensor)}
        tensors.setdefault(MASK, tensors[IDS].new_ones(tensors[IDS].shape))
        return Prompt(text, tensors)


def load_processor(folder: Path, model_type: str) -> ProcessorMixin:
    """Return the processor of a checkpoint; without its part for videos where that cannot be loaded.

    Args:
        folder: The checkpoint's.
        model_type: As its configuration names the architecture.

    Raises:
        CheckpointError: Its files are missing or cannot be used.
    """
    check_files(folder)
    try:
        try:
            found: Any = AutoProcessor.from_pretrained(folder, **LOCAL)
        except ImportError:
            # The part for videos needs torchvision, which images do not need.
            found = _image_processor_only(folder, model_type)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError) as error:
        raise CheckpointError(
            f"{folder}: the processor of {model_type} cannot be loaded: {refusal(error, folder)}"
        ) from None
    if not isinstance(found, ProcessorMixin) or not hasattr(found, "image_processor"):
        raise CheckpointError(f"{folder}: the files hold no processor of images and text")
    return found


class _WithoutVideos:
    """Lets a processor of the library have None as its part for videos."""

    def check_argument_for_proper_class(self, name: str, argument: object) -> Any:  # noqa: ANN401 - as in the library
        """Return the class of an argument; see `ProcessorMixin.check_argument_for_proper_class`."""
        parent: Any = super()
        absent = name == _VIDEO and argument is None
        return None if absent else parent.check_argument_for_proper_class(name, argument)


class _NoVideos:
    """Stands for a processor's part for videos: some read its defaults for a chat without a video."""

    num_frames = None
    fps = None


def _image_processor_only(folder: Path, model_type: str) -> ProcessorMixin:
    """Return a processor of the checkpoint's class with None as its part for videos."""
    base = processor_class(model_type)
    known: dict[str, Any] = {"image_processor": AutoImageProcessor, "tokenizer": AutoTokenizer}

    settings, _ = base.get_processor_dict(folder, **LOCAL)
    loaded = [
        known[name].from_pretrained(folder, **LOCAL) if name in known else None
        for name in base.get_attributes()
    ]
    kind: Any = type(base.__name__, (_WithoutVideos, base), {})
    made: Any = kind.from_args_and_dict(loaded, settings)
    if getattr(made, _VIDEO, ...) is None:
        setattr(made, _VIDEO, _NoVideos())
    checked: ProcessorMixin = made
    return checked


def _message(turn: Turn, image: Image.Image) -> dict[str, Any]:
    """Return a turn in the library's form: its texts, and the image between them."""
    content: list[dict[str, Any]] = []
    for number, text in enumerate(parts(turn)):
        content += [{"type": "image", "image": image}] if number else []
        content += [{"type": "text", "text": text}] if text else []
    return {"role": turn.role.value, "content": content}
