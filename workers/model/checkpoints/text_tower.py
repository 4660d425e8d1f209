"""The text tower of BiomedCLIP-CXR, from the file that holds LLaVA-Rad's image tower.

It turns a text into a vector in the space of LLaVA-Rad's image vectors: BERT, the first token of its
last layer, two layers with a GELU between them, length 1 (open_clip's `cls_last_hidden_state_pooler`
and `mlp`).
"""

from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name

from workers.model.checkpoints.loading import vector_space
from workers.model.config import read_json
from workers.model.errors import CheckpointError
from workers.model.files.snapshot import file_digest
from workers.model.files.weights import WeightFiles
from workers.model.networks.vector_head import unit
from workers.model.vlm import VectorMethod

VOCABULARY: Final = "vocab.txt"
_TEXT: Final = "module.text."
_BERT: Final = f"{_TEXT}transformer."
_POOLER: Final = f"{_BERT}pooler."  # not part of open_clip's pooling
_CONTEXT: Final = 256  # tokens
_HEAD_WIDTH: Final = 64
_TOWER_CONFIG: Final = "biomedclipcxr_518.json"


class TextTower:
    """A loaded text tower.

    Attributes:
        space: Name of the space of its vectors: that of the images' vectors.
    """

    def __init__(
        self,
        bert: nn.Module,
        projection: tuple[Tensor, Tensor],
        tokenizer: Any,  # noqa: ANN401 - the library's
        space: str,
    ) -> None:
        self._bert = bert.eval()
        self._projection = projection
        self._tokenizer = tokenizer
        self._longest = min(_CONTEXT, int(bert.config.max_position_embeddings))  # type: ignore[union-attr, arg-type]
        self.space = space

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Return the text tower of LLaVA-Rad's files in a folder; float32, on the CPU.

        Raises:
            CheckpointError: The vocabulary or a tensor is missing, or shapes do not fit; names it.
        """
        vocabulary = folder / VOCABULARY
        if not vocabulary.is_file():
            raise CheckpointError(
                f"{vocabulary}: is missing: put the vocabulary of the text tower there (vocab.txt of "
                "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract)"
            )
        file = _file(folder)
        tensors = WeightFiles((file,)).starting(_TEXT)
        try:
            projection = (tensors[f"{_TEXT}proj.0.weight"], tensors[f"{_TEXT}proj.2.weight"])
            bert = _bert(tensors, _heads(folder))
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{file}: holds no text tower of BERT's layout ({error})"
            ) from None
        weights = (projection[0].float(), projection[1].float())
        return cls(bert, weights, _tokenizer(vocabulary), tower_space(folder))

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(self._bert.config.num_attention_heads)  # type: ignore[union-attr, arg-type]

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights by name, float32, without the prefixes of the file."""
        named = {name: tensor.contiguous() for name, tensor in self._bert.state_dict().items()}
        inner, outer = self._projection
        return {**named, "proj.0.weight": inner.contiguous(), "proj.2.weight": outer.contiguous()}

    @torch.inference_mode()
    def vector(self, text: str) -> NDArray[np.float32]:
        """Return the vector float32 [D], of length 1, of a text; only its first 256 tokens count."""
        ids = self._tokenizer(
            " ".join(text.split()), truncation=True, max_length=self._longest, return_tensors="pt"
        )
        first = self._bert(**ids).last_hidden_state[:, 0]  # [1, W]
        inner, outer = self._projection
        vector: NDArray[np.float32] = unit(F.gelu(first @ inner.T) @ outer.T)[0].numpy()
        return vector


def tower_space(folder: Path) -> str:
    """Return the name of the space of the vectors of LLaVA-Rad's towers in a folder.

    Raises:
        CheckpointError: The configuration is missing or no JSON object.
        OSError: The file of the towers cannot be read.
    """
    return vector_space(VectorMethod.BIOMEDCLIP, file_digest(_file(folder)))


def _file(folder: Path) -> Path:
    named = str(read_json(folder / "config.json").get("mm_vision_tower_checkpoint"))
    return folder / Path(named).name


def _bert(tensors: dict[str, Tensor], heads: int) -> nn.Module:
    # Imported when needed: built-in models do not use the library.
    from transformers import BertConfig, BertModel  # noqa: PLC0415

    weights = {
        name.removeprefix(_BERT): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(_BERT) and not name.startswith(_POOLER)
    }
    vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
    inner = weights["encoder.layer.0.intermediate.dense.weight"]
    layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=len(layers),
        num_attention_heads=heads or max(1, width // _HEAD_WIDTH),
        intermediate_size=len(inner),
        max_position_embeddings=len(weights["embeddings.position_embeddings.weight"]),
        type_vocab_size=len(weights["embeddings.token_type_embeddings.weight"]),
    )
    bert = BertModel(config, add_pooling_layer=False)
    kept = {name: weight for name, weight in weights.items() if name in bert.state_dict()}
    bert.load_state_dict(kept)
    return bert


def _heads(folder: Path) -> int:
    """Return the number of heads that the description of the towers states; 0 if it states none."""
    path = folder / _TOWER_CONFIG
    described = read_json(path).get("text_cfg") if path.is_file() else None
    return int(described.get("heads") or 0) if isinstance(described, dict) else 0


def _tokenizer(vocabulary: Path) -> Any:  # noqa: ANN401 - the library's
    from transformers import BertTokenizer  # noqa: PLC0415 - as in `_bert`

    return BertTokenizer(vocab=str(vocabulary), do_lower_case=True)
