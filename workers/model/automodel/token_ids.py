"""The token ids that `config.json` and the processor state, checked against the vocabulary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from workers.model.automodel.processors import Prompt, PromptMaker
from workers.model.config import read_json
from workers.model.errors import CheckpointError

# How configurations name the ids that stand for other things than text.
_PLACEHOLDERS: Final = (
    "image_token_id", "image_token_index", "boi_token_index", "video_token_id", "video_token_index",
    "audio_token_id", "audio_token_index",
)  # fmt: skip


def placeholders(config: Any, maker: PromptMaker, folder: Path) -> tuple[int, ...]:  # noqa: ANN401 - any configuration of the library
    """Return the ids that stand in a prompt for images, videos and sound.

    Args:
        config: The checkpoint's configuration.
        maker: Its processor and tokenizer.
        folder: Of the checkpoint, for messages.

    Raises:
        CheckpointError: One is not in the vocabulary; names the key.
    """
    size = _vocabulary(config)
    found = dict(_stated(config, maker, folder))
    for key, value in found.items():
        if not 0 <= value < size:
            raise CheckpointError(
                f"{folder / 'config.json'}: {key} = {value} is not an id of the model's vocabulary, "
                f"which has {size} (0 to {size - 1}): copy config.json and the tokenizer's files from "
                "where the weights were published, or correct the key"
            )
    return tuple(sorted(set(found.values())))


def check_prompt(prompt: Prompt, config: Any, maker: PromptMaker, folder: Path) -> None:  # noqa: ANN401 - as above
    """Check that the tokenizer gives only ids of the model's vocabulary.

    Raises:
        CheckpointError: A token's id is beyond it; names the token.
    """
    size, highest = _vocabulary(config), int(prompt.tensors["input_ids"].max())
    if highest >= size:
        token = maker.tokenizer.convert_ids_to_tokens(highest)
        raise CheckpointError(
            f"{folder}: the tokenizer gives {token!r} the id {highest}, and the model's vocabulary has "
            f"{size} (vocab_size in config.json): copy config.json and the tokenizer's files from where "
            "the weights were published"
        )


def _vocabulary(config: Any) -> int:  # noqa: ANN401 - as above
    return int(config.get_text_config().vocab_size)


def _stated(config: Any, maker: PromptMaker, folder: Path) -> Iterator[tuple[str, int]]:  # noqa: ANN401 - as above
    source = read_json(folder / "config.json")
    # Those of the file first: the library gives some a second name.
    for key in sorted(_PLACEHOLDERS, key=lambda key: key not in source):
        value = getattr(config, key, None)
        if isinstance(value, int):
            yield (key if key in source else f"{key} (not stated there; by default)"), value
    value = getattr(maker.processor, "image_token_id", None)
    if isinstance(value, int):
        yield "the processor's image_token_id", value
