"""Reads `config.json` of a CXR-LLaVA v2 checkpoint; settings that are not implemented are refused."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from workers.model.errors import CheckpointError

# Keys of clip_vision_cfg that would change the arithmetic, with the only value that is implemented.
_VISION_FIXED: Final[dict[str, Any]] = {
    "ls_init_value": None,
    "attentional_pool": False,
    "no_ln_pre": False,
    "pos_embed_type": "learnable",
    "final_ln_after_pool": False,
    "pool_type": "tok",
    "act_kwargs": None,
    "norm_kwargs": None,
}
_LANGUAGE_FIXED: Final[dict[str, Any]] = {
    "hidden_act": "silu",
    "attention_bias": False,
    "rope_scaling": None,
    "tie_word_embeddings": False,
}
_MAX_JSON_BYTES: Final = 8 * 2**20

# The errors that a file of another layout causes.
CONFIG_FAULTS: Final = (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionConfig:
    """The vision transformer: sizes in pixels and channels, and the gray scale it was trained on."""

    image_size: int
    patch_size: int
    width: int
    layers: int
    head_width: int
    mlp_ratio: float
    mean: float
    std: float

    @property
    def heads(self) -> int:
        """Attention heads of a block."""
        return self.width // self.head_width

    @property
    def grid(self) -> int:
        """Patches along one edge."""
        return self.image_size // self.patch_size

    @property
    def tokens(self) -> int:
        """Image tokens that the language model receives."""
        return self.grid**2


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageConfig:
    """The LLaMA decoder."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    max_positions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Everything that `config.json` and `generation_config.json` decide.

    Attributes:
        token_budget: Most ids of prompt and answer together, an image counting as one (the published
            code's rule).
        max_new_tokens: The checkpoint's own limit on an answer, or None.
        caveat: A sentence that must accompany the text of this checkpoint, or "".
        synthetic_caveat: The caveat for an image that is marked as synthetic, or "".
        mark: The caveat in at most 20 characters, for the series description of other images, or "".
        scores_measured: Whether the quality of its yes-or-no probabilities has been measured.
        meaningless: Whether its text has no meaning for the image.
        class_token_trained: Whether the class token and the CLIP head were trained; otherwise the vector
            of an image is the mean of its tokens.
    """

    vision: VisionConfig
    language: LanguageConfig
    token_budget: int
    max_new_tokens: int | None
    caveat: str
    synthetic_caveat: str = ""
    mark: str = ""
    scores_measured: bool = False
    meaningless: bool = False
    class_token_trained: bool = True

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Return the configuration of the checkpoint in `folder`.

        Raises:
            CheckpointError: A file is missing or no JSON object, a key is absent or of the wrong
                kind, or asks for arithmetic that is not implemented.
        """
        source = read_json(folder / "config.json")
        generation = folder / "generation_config.json"
        bounds = read_json(generation) if generation.exists() else {}
        try:
            return cls(
                vision=_vision(source),
                language=language_config(source["llama"]),
                token_budget=int(source.get("max_position_embeddings", 2048)),
                max_new_tokens=bounds.get("max_new_tokens"),
                caveat=_joined(source, "caveat"),
                synthetic_caveat=_joined(source, "synthetic_caveat"),
                mark=_joined(source, "mark")[:20],
                scores_measured=source.get("scores_measured") is True,
                meaningless=source.get("meaningless") is True,
                class_token_trained=source.get("class_token_trained") is not False,
            )
        except CONFIG_FAULTS as error:
            raise unusable(folder / "config.json", error) from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`.

    Raises:
        CheckpointError: It is missing, unreadable, larger than 8 MiB or no JSON object.
    """
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_JSON_BYTES))
    except OSError as error:
        raise missing(path, error) from None
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    return content


def missing(path: Path, error: OSError) -> CheckpointError:
    """Return the error for a checkpoint file that cannot be opened; it names an absent folder."""
    if not path.parent.is_dir():
        return CheckpointError(f"{path.parent}: the folder does not exist")
    if isinstance(error, FileNotFoundError):
        return CheckpointError(f"{path.parent}: {path.name} is missing")
    return CheckpointError(f"{path}: cannot be read: {error.strerror}")


def unusable(path: Path, error: Exception) -> CheckpointError:
    """Return the error for a configuration that is not one of this model; it names the fault."""
    if isinstance(error, KeyError):
        return CheckpointError(f"{path}: key {error} is missing; is it another model's checkpoint?")
    if isinstance(error, ValueError):
        return CheckpointError(f"{path}: {error}")
    return CheckpointError(
        f"{path}: a value is of another kind than this model's; is it another model's checkpoint?"
    )


def _joined(source: dict[str, Any], key: str) -> str:
    return " ".join(str(source.get(key, "")).split())[:300]


def _vision(source: dict[str, Any]) -> VisionConfig:
    tower, gray = source["clip_vision_cfg"], source["image_preprocess_cfg"]
    if isinstance(tower.get("layers"), list):
        raise ValueError("clip_vision_cfg.layers is a list: this is a checkpoint of cxr-llava-v1")
    refuse("clip_vision_cfg", tower, _VISION_FIXED)
    refuse("config", source, {"tune_mm_mlp_adapter": False, "mm_use_im_start_end": False})
    config = VisionConfig(
        image_size=int(tower.get("image_size", 224)),
        patch_size=int(tower.get("patch_size", 16)),
        width=int(tower.get("width", 768)),
        layers=int(tower.get("layers", 12)),
        head_width=int(tower.get("head_width", 64)),
        mlp_ratio=float(tower.get("mlp_ratio", 4.0)),
        mean=float(gray["mean"]),
        std=float(gray["std"]),
    )
    if int(source.get("mm_projector_dim", config.width)) != config.width:
        raise ValueError("mm_projector_dim is not the width of the vision tower")
    if config.image_size % config.patch_size or config.width % config.head_width:
        raise ValueError("clip_vision_cfg: image and width must divide into patches and heads")
    return config


def language_config(llama: dict[str, Any]) -> LanguageConfig:
    """Return the decoder that a LLaMA `config.json`, or a part of one, describes.

    Raises:
        KeyError: A key is absent.
        ValueError: It asks for arithmetic that is not implemented, or sizes do not divide.
    """
    refuse("llama", llama, _LANGUAGE_FIXED)
    heads, hidden = int(llama["num_attention_heads"]), int(llama["hidden_size"])
    config = LanguageConfig(
        vocab_size=int(llama["vocab_size"]),
        hidden_size=hidden,
        intermediate_size=int(llama["intermediate_size"]),
        layers=int(llama["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(llama.get("num_key_value_heads") or heads),
        head_dim=int(llama.get("head_dim") or hidden // heads),
        rms_norm_eps=float(llama["rms_norm_eps"]),
        rope_theta=float(llama.get("rope_theta", 10000.0)),
        max_positions=int(llama.get("max_position_embeddings", 2048)),
    )
    if hidden % heads or heads % config.kv_heads:
        raise ValueError("llama: hidden size and heads do not divide")
    return config


def refuse(where: str, section: dict[str, Any], fixed: dict[str, Any]) -> None:
    """Check that `section` has no other values than those in `fixed`; a key may be absent or empty.

    Raises:
        ValueError: It has another value; names the key.
    """
    for key, only in fixed.items():
        value = section.get(key, only)
        if value != only and value not in ({}, None):
            raise ValueError(f"{where}.{key} = {value!r} is not implemented; only {only!r} is")
