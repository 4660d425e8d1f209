"""A small CXR-LLaVA v2 with random weights, made locally: same files, same code path, no download.

It shows that the service works, nothing else; `CAVEAT` in its config.json appears in every draft.
Its last layer is random for the whole words of its vocabulary and zero for every other piece, so that
its meaningless text is at least legible.
"""

import dataclasses
import io
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import sentencepiece
import torch
from safetensors.torch import save_file
from torch import Tensor

from workers.model.checkpoints import cxr_llava
from workers.model.checkpoints.cxr_llava import CxrLlava, Network
from workers.model.checkpoints.published_files import write_index, write_settings
from workers.model.config import ModelConfig
from workers.model.placement import HERE, Place

NAME: Final = "tiny random model"
CAVEAT: Final = (
    "This model's weights are random: the text is meaningless "
    "and only shows that the service works."
)
_WORD = re.compile("\N{LOWER ONE EIGHTH BLOCK}[A-Za-z]{4,}")
_DONE: Final = "complete"  # written last
_SEED: Final = 20
_VOCABULARY: Final = 540
_CORPUS: Final = """\
The heart is enlarged. The heart size is normal. The cardiomediastinal silhouette is normal.
There is a small left pleural effusion. There is no pleural effusion or pneumothorax.
There is a moderate right pneumothorax. No pneumothorax is seen on the right or on the left.
Bibasilar atelectasis is present. Linear atelectasis in the left lower lobe. No atelectasis.
Consolidation in the right upper lobe is concerning for pneumonia. No focal consolidation.
Mild pulmonary edema with vascular congestion. No pulmonary edema. Lungs are clear.
Write a radiologic report on the given chest radiograph, including information about atelectasis,
cardiomegaly, consolidation, pulmonary edema, pleural effusion, and pneumothorax.
You are a helpful radiologist. Try to interpret chest x ray image and answer to the question that
user provides. [INST] <<SYS>> <</SYS>> [/INST]
What are the possible differential diagnoses for this patient?
No acute cardiopulmonary abnormality. Impression: no acute disease. Findings: both lungs.
The heart is enlarged with mild pulmonary edema and small pleural effusion on the right.
"""


def ensure_tiny(folder: Path) -> Path:
    """Write the tiny checkpoint to `folder` if it is missing; return `folder`.

    Processes that call this at the same time each write their own folder; the first to rename it wins,
    and the others use that one, which has the same content.

    Raises:
        OSError: The folder cannot be written.
    """
    if (folder / _DONE).exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write_checkpoint(making)
        making.rename(folder)
    except OSError:
        if not (folder / _DONE).exists():
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def load(folder: Path, place: Place = HERE) -> CxrLlava:
    """Return the tiny model, made in `folder` if it is missing; see `cxr_llava.load`."""
    model = cxr_llava.load(ensure_tiny(folder), place)
    model.checkpoint = dataclasses.replace(model.checkpoint, name=NAME)
    return model


def write_checkpoint(folder: Path, seed: int = _SEED) -> None:
    """Write the checkpoint of `seed` into the empty `folder`, in the published layout."""
    tokenizer = _train_tokenizer()
    write_settings(folder, tokenizer=tokenizer, config=_config(), new_tokens=40)
    weights = _random_weights(ModelConfig.from_folder(folder), seed)
    _silence_fragments(weights["lm_head.weight"], tokenizer)
    _write_shards(folder, weights)
    (folder / _DONE).touch()


def _config() -> dict[str, Any]:
    return {
        "architectures": ["CXRLLAVAModel"],
        "caveat": CAVEAT,
        "meaningless": True,
        "clip_embed_dim": 64,
        "clip_vision_cfg": {
            "image_size": 128,
            "layers": 4,
            "patch_size": 16,
            "width": 128,
            "head_width": 32,
        },
        "image_preprocess_cfg": {"mean": 0.5518136078431373, "std": 0.3821719215686275},
        "llama": {
            "vocab_size": _VOCABULARY,
            "hidden_size": 128,
            "intermediate_size": 344,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
        },
        "mm_projector_dim": 128,
        "model_type": "CXR-LLAVA",
        "torch_dtype": "bfloat16",
    }


def _train_tokenizer() -> bytes:
    # One thread: the merges must not depend on the timing of threads.
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_CORPUS.splitlines()),
        model_writer=written,
        model_type="bpe",
        vocab_size=_VOCABULARY,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    return written.getvalue()


def _random_weights(config: ModelConfig, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Network(config).state_dict().items()}
    shapes["vision_tower.proj"] = torch.Size((config.vision.width, 64))
    weights = {}
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=generator)
        if "norm" in name or ".ln_" in name:
            noise = noise * 0.02 + (0.0 if name.endswith("bias") else 1.0)
        elif len(shape) > 1 and "embed" not in name:
            noise = noise * (1.5 / shape[1:].numel() ** 0.5)
        weights[name] = noise.to(torch.bfloat16)
    return weights


def _silence_fragments(head: Tensor, tokenizer: bytes) -> None:
    # Zero rows never win against a hundred random ones: only whole words and full stops are written.
    pieces = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    for number in range(pieces.vocab_size()):
        piece = pieces.id_to_piece(number)
        if piece != "." and not _WORD.fullmatch(piece):
            head[number] = 0


def _write_shards(folder: Path, weights: dict[str, Tensor]) -> None:
    names, shards = list(weights), dict[str, str]()
    middle = len(names) // 2
    for number, part in enumerate((names[:middle], names[middle:]), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        shards |= dict.fromkeys(part, file)
    write_index(folder, weights, shards)
