"""Writes the demo model as a LLaVA checkpoint of the transformers library, with a profile beside it.

    python -m workers.training.as_llava FOLDER

With it, kind = "transformers" can be tried with a model that finds what it is shown. Each tensor keeps
its values. A LLaVA has no place for one part: the norm after the last block of the tower. A further
block stands for it. Its two linear layers are multiples of the identity, because `gelu(x) - gelu(-x)` is
x. It adds `_LARGE` times the norm to its input, and the projector divides by `_LARGE`, so that the input
has no weight left.
"""

import shutil
import sys
from pathlib import Path
from typing import Any, Final

import sentencepiece
import torch
import transformers
from torch import Tensor
from transformers.tokenization_utils_base import generate_merges

from workers.model.checkpoints import cxr_llava, shipped
from workers.model.checkpoints.cxr_llava import CxrLlava
from workers.model.errors import CheckpointError

PROFILE: Final = Path(__file__).with_name("demo_profile.toml")
_IMAGE: Final = "<image>"
_LARGE: Final = 2.0**20
_TOWER: Final = "model.vision_tower."
_BLOCK: Final = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip
_OUTSIDE: Final = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
}


def write(folder: Path) -> None:
    """Write checkpoint, processor and profile into `folder`.

    Raises:
        CheckpointError: A tensor of the demo model has no place in the checkpoint.
    """
    source = cxr_llava.load(shipped.FOLDER)
    tokenizer = _tokenizer(folder)
    network: Any = transformers.LlavaForConditionalGeneration(_config(source, tokenizer))
    tensors = _language(source, network) | _tower(source) | _projector(source)
    result = network.load_state_dict(tensors, strict=False)
    missing = [name for name in result.missing_keys if "post_layernorm" not in name]
    if missing or result.unexpected_keys:
        raise CheckpointError(
            f"no place for {result.unexpected_keys[:3]}, nothing for {missing[:3]}"
        )
    network.save_pretrained(folder)
    _processor(source, tokenizer).save_pretrained(folder)
    shutil.copyfile(PROFILE, folder / "profile.toml")


def main(arguments: list[str]) -> None:
    """Write the checkpoint into the folder of the command line; print where, and the next step."""
    if len(arguments) != 1:
        sys.exit("usage: python -m workers.training.as_llava FOLDER")
    folder = Path(arguments[0])
    write(folder)
    sys.stdout.write(
        f"The demo model is written to {folder}, with its profile.\n"
        f"Next: cp {folder / 'profile.toml'} own.toml; wetread pin-model {folder}\n"
    )


def _config(source: CxrLlava, tokenizer: Any) -> Any:  # noqa: ANN401 - classes of the library
    vision, language = source.config.vision, source.config.language
    config: Any = transformers.LlavaConfig
    return config(
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=language.hidden_size,
            intermediate_size=language.intermediate_size, num_hidden_layers=language.layers,
            num_attention_heads=language.heads, num_key_value_heads=language.kv_heads,
            rms_norm_eps=language.rms_norm_eps, max_position_embeddings=language.max_positions,
            bos_token_id=1, eos_token_id=2, pad_token_id=0,
        ),
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=vision.width, intermediate_size=int(vision.width * vision.mlp_ratio),
            num_hidden_layers=vision.layers + 1, num_attention_heads=vision.heads, num_channels=1,
            image_size=vision.image_size, patch_size=vision.patch_size, hidden_act="gelu",
        ),
        phantoms_only=True, image_token_index=tokenizer.convert_tokens_to_ids(_IMAGE),
        projector_hidden_act="linear",
        vision_feature_layer=-1, vision_feature_select_strategy="default", tie_word_embeddings=False,
    )  # fmt: skip


def _tokenizer(folder: Path) -> Any:  # noqa: ANN401 - a class of the library
    folder.mkdir(parents=True, exist_ok=True)
    # Read here, because the library needs protobuf to read this file.
    pieces = sentencepiece.SentencePieceProcessor(str(shipped.FOLDER / "tokenizer.model"))
    vocabulary = {pieces.id_to_piece(number): number for number in range(pieces.vocab_size())}
    kind: Any = transformers.LlamaTokenizer
    tokenizer = kind(vocab=vocabulary, merges=generate_merges(vocabulary))
    tokenizer.add_special_tokens({"additional_special_tokens": [_IMAGE], "pad_token": "<unk>"})
    return tokenizer


def _processor(source: CxrLlava, tokenizer: Any) -> Any:  # noqa: ANN401 - classes of the library
    vision = source.config.vision
    # The profile sizes the image; here it is only normalized.
    images = transformers.CLIPImageProcessorPil(
        do_resize=False, do_center_crop=False, do_convert_rgb=False, image_mean=[vision.mean],
        image_std=[vision.std], size={"shortest_edge": vision.image_size},
        crop_size={"height": vision.image_size, "width": vision.image_size},
    )  # fmt: skip
    processor: Any = transformers.LlavaProcessor
    return processor(
        images, tokenizer, patch_size=vision.patch_size, vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip


def _language(source: CxrLlava, network: Any) -> dict[str, Tensor]:  # noqa: ANN401 - a class of the library
    """Return the decoder's tensors; the row of the image's placeholder stays as it is."""
    found = {}
    for name, tensor in source.network.state_dict().items():
        if name.startswith(("llama.", "lm_head.")):
            new = name.replace("llama.", "model.language_model.")
            expected = network.state_dict()[new]
            found[new] = torch.cat([tensor, expected[len(tensor) :]])
    return found


def _tower(source: CxrLlava) -> dict[str, Tensor]:
    found = {}
    for name, tensor in source.network.vision_tower.state_dict().items():
        if name in _OUTSIDE:
            found[_TOWER + _OUTSIDE[name]] = tensor
        elif name.startswith("transformer."):
            number, rest = name.removeprefix("transformer.resblocks.").split(".", 1)
            found |= _block(f"{_TOWER}encoder.layers.{number}.", rest, tensor)
    return found | _last_norm(source)


def _block(prefix: str, name: str, tensor: Tensor) -> dict[str, Tensor]:
    if name.startswith("attn.in_proj_"):
        kind = name.removeprefix("attn.in_proj_")
        parts = zip(("q", "k", "v"), tensor.chunk(3), strict=True)
        return {f"{prefix}self_attn.{one}_proj.{kind}": part for one, part in parts}
    part, kind = name.rsplit(".", 1)
    return {f"{prefix}{_BLOCK[part]}.{kind}": tensor}


def _last_norm(source: CxrLlava) -> dict[str, Tensor]:
    """Return the block that adds `_LARGE` times the last norm to its input."""
    vision, norm = source.config.vision, source.network.vision_tower.ln_post
    prefix = f"{_TOWER}encoder.layers.{vision.layers}."
    width, hidden = vision.width, int(vision.width * vision.mlp_ratio)
    square, both = torch.zeros(width, width), torch.zeros(hidden, width)
    both[:width], both[width : 2 * width] = torch.eye(width), -torch.eye(width)
    found = {
        f"{prefix}layer_norm1.weight": torch.ones(width),
        f"{prefix}layer_norm1.bias": torch.zeros(width),
        f"{prefix}layer_norm2.weight": norm.weight,
        f"{prefix}layer_norm2.bias": norm.bias,
        f"{prefix}mlp.fc1.weight": both,
        f"{prefix}mlp.fc1.bias": torch.zeros(hidden),
        f"{prefix}mlp.fc2.weight": both.T * _LARGE,
        f"{prefix}mlp.fc2.bias": torch.zeros(width),
    }
    for one in ("q_proj", "k_proj", "v_proj", "out_proj"):
        found |= {
            f"{prefix}self_attn.{one}.weight": square,
            f"{prefix}self_attn.{one}.bias": torch.zeros(width),
        }
    return found


def _projector(source: CxrLlava) -> dict[str, Tensor]:
    first, prefix = source.network.mm_projector, "model.multi_modal_projector."
    hidden = len(first.bias)
    return {
        f"{prefix}linear_1.weight": first.weight / _LARGE,
        f"{prefix}linear_1.bias": first.bias,
        f"{prefix}linear_2.weight": torch.eye(hidden),
        f"{prefix}linear_2.bias": torch.zeros(hidden),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
