"""The demo model's sizes, initial weights and files, in the layout of the published CXR-LLaVA v2."""

from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from workers.model.checkpoints import published_files
from workers.model.checkpoints.cxr_llava import Network
from workers.model.config import ModelConfig
from workers.training.images import EDGE

CAVEAT: Final = (
    "This demonstration model was trained on synthetic images only, never on images of patients: "
    "its text about this image is meaningless."
)
MARK: Final = "SYNTHETIC DATA ONLY"
SYNTHETIC_CAVEAT: Final = "This demonstration model was trained on synthetic images only."
SHARDS: Final = 2
_CLIP_WIDTH: Final = 64
_VISION: Final = {
    "image_size": EDGE,
    "layers": 5,
    "patch_size": 16,
    "width": 192,
    "head_width": 64,
}
_LANGUAGE: Final = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
_DEVIATION: Final = 0.02


def write_settings(folder: Path, tokenizer: bytes, vocabulary: int) -> ModelConfig:
    """Write every file but the weights to `folder`; return the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    published_files.write_settings(
        folder, tokenizer=tokenizer, config=_config(vocabulary), new_tokens=256
    )
    return ModelConfig.from_folder(folder)


def _config(vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["CXRLLAVAModel"],
        "caveat": CAVEAT,
        "synthetic_caveat": SYNTHETIC_CAVEAT,
        "mark": MARK,
        # No stage of the training uses them.
        "class_token_trained": False,
        "clip_embed_dim": _CLIP_WIDTH,
        "clip_vision_cfg": _VISION,
        "image_preprocess_cfg": {"mean": 0.5518136078431373, "std": 0.3821719215686275},
        "llama": {"vocab_size": vocabulary, **_LANGUAGE},
        "mm_projector_dim": _VISION["width"],
        "model_type": "CXR-LLAVA",
        "torch_dtype": "bfloat16",
    }


def new_network(config: ModelConfig, seed: int) -> Network:
    """Return the network with random initial weights, ready to be trained."""
    with torch.device("meta"):
        network = Network(config)
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    depth = config.vision.layers + config.language.layers
    for name, weight in network.named_parameters():
        _begin(name, weight, generator, depth)
    return network


def _begin(name: str, weight: nn.Parameter, generator: torch.Generator, depth: int) -> None:
    with torch.no_grad():
        if weight.ndim == 1 and "embedding" not in name:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        elif "conv1" in name:
            weight.normal_(0, weight[0].numel() ** -0.5, generator=generator)
        else:
            # Outputs to the residual stream begin small, and smaller in a deeper model.
            last = name.endswith(
                ("out_proj.weight", "c_proj.weight", "o_proj.weight", "down_proj.weight")
            )
            fan = weight.shape[-1] ** -0.5 if weight.ndim > 1 else _DEVIATION
            scale = _DEVIATION if "embed" in name else 0.7 * fan
            weight.normal_(0, scale * (depth**-0.5 if last else 1.0), generator=generator)


def write_weights(folder: Path, network: Network, seed: int) -> None:
    """Write the weights as bfloat16 shards with their index, and a CLIP head, which is not used."""
    weights = {
        name: tensor.detach().to(torch.bfloat16) for name, tensor in network.state_dict().items()
    }
    width = network.mm_projector.in_features
    head = torch.randn(width, _CLIP_WIDTH, generator=torch.Generator().manual_seed(seed))
    weights["vision_tower.proj"] = (head * _DEVIATION).to(torch.bfloat16)
    names = sorted(weights)
    part = -(-len(names) // SHARDS)
    where: dict[str, str] = {}
    for number in range(SHARDS):
        file = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        chosen = names[number * part : (number + 1) * part]
        tensors: dict[str, Tensor] = {name: weights[name].contiguous() for name in chosen}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)  # safetensors makes the file readable by its owner only
        where |= dict.fromkeys(chosen, file)
    published_files.write_index(folder, weights, where)
