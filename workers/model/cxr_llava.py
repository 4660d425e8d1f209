"""CXR-LLaVA v2: the vision tower, a linear projector and a LLaMA decoder, put together.

A film becomes P image tokens that stand in the prompt where `<image>` stood; everything after that is
ordinary text generation. Letters in shape comments: B rows, P image tokens, N tokens of the spliced
sequence, C hidden size, V vocabulary.
"""

import dataclasses
import itertools
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workers.model import generate, memory, preprocess, prompts, weights
from workers.model.config import ModelConfig
from workers.model.errors import CheckpointError, GenerationError
from workers.model.language import KVCache, LlamaDecoder
from workers.model.prompts import IMAGE_SENTINEL, Task, Turn
from workers.model.tokenizer import Tokenizer
from workers.model.vision import VisionTower
from workers.model.vlm import Answer, Checkpoint, Decoding, never

NAME: Final = "CXR-LLaVA v2"
# The CLIP head is in the published files and without effect; old files hold rotary tables.
_IGNORED: Final = ("vision_tower.proj", "*.rotary_emb.inv_freq")


class Network(nn.Module):
    """The weights: attribute names are the checkpoint's tensor names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.language.hidden_size
        self.vision_tower = VisionTower(config.vision)
        self.mm_projector = nn.Linear(config.vision.width, hidden)
        self.llama = LlamaDecoder(config.language)
        self.lm_head = nn.Linear(hidden, config.language.vocab_size, bias=False)

    def image_tokens(self, pixels: Tensor) -> Tensor:
        """Return [B, P, C], what the decoder is shown of films [B, 1, S, S]."""
        tokens: Tensor = self.mm_projector(self.vision_tower(pixels.to(self.lm_head.weight)))
        return tokens

    def splice(self, ids: Sequence[int], image_tokens: Tensor) -> Tensor:
        """Return the embedded prompt [N, C]: each sentinel replaced by the next film's tokens.

        Raises:
            GenerationError: The prompt does not mark as many films as there are.
        """
        if sum(i == IMAGE_SENTINEL for i in ids) != len(image_tokens):
            raise GenerationError(f"the prompt must mark {len(image_tokens)} films with <image>")
        device, films, parts = self.lm_head.weight.device, iter(image_tokens), list[Tensor]()
        start = 0
        for end in [n for n, i in enumerate(ids) if i == IMAGE_SENTINEL] + [len(ids)]:
            text = torch.tensor(ids[start:end], dtype=torch.long, device=device)
            parts += [self.llama.embed_tokens(text)] + ([next(films)] if end < len(ids) else [])
            start = end + 1
        return torch.cat(parts)


class Passage:
    """One sequence in a cache of its own, growing at its end."""

    def __init__(self, network: Network, *, slots: int) -> None:
        weight = network.lm_head.weight
        self._network = network
        self._length = 0
        self._cache = KVCache(
            network.llama.config, rows=1, slots=slots, device=weight.device, dtype=weight.dtype
        )

    def read(self, embeds: Tensor, *, every: bool = False) -> Tensor:
        """Append embeddings [N, C] and return the logits after the last, [1, V].

        Args:
            embeds: What comes next.
            every: Return the logits after each of them instead, [N, V].
        """
        start, self._length = self._length, self._length + len(embeds)
        positions = torch.arange(start, self._length, device=embeds.device)[None]
        hidden = self._network.llama(embeds[None], positions, self._cache, self._length)[0]
        logits: Tensor = self._network.lm_head(hidden if every else hidden[-1:])
        return logits.float()

    def step(self, token: int) -> Tensor:
        """Append one id and return the logits [V] that follow it."""
        ids = torch.tensor([token], device=self._network.lm_head.weight.device)
        return self.read(self._network.llama.embed_tokens(ids))[0]


class CxrLlava:
    """A loaded CXR-LLaVA v2; answers one question at a time."""

    def __init__(
        self, network: Network, tokenizer: Tokenizer, config: ModelConfig, checkpoint: Checkpoint
    ) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.config = config
        self.checkpoint = checkpoint

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.lm_head.weight.device

    def answer(
        self,
        frame: NDArray[np.float32],
        task: Task,
        *,
        question: str = "",
        decoding: Decoding = Decoding(),  # noqa: B008 - frozen
        cancelled: Callable[[], bool] = never,
    ) -> Answer:
        """Return what the model says of one film; see `vlm.VisionLanguageModel.answer`."""
        start = time.perf_counter()
        pixels = preprocess.pixel_values(preprocess.grey_image(frame), self.config.vision)
        spent = (time.perf_counter() - start) * 1000
        said = self.converse(pixels, prompts.chat(task, question), decoding, cancelled)
        return dataclasses.replace(said, timings_ms={"preprocess": spent, **said.timings_ms})

    @torch.inference_mode()
    def converse(
        self,
        pixels: NDArray[np.float32],
        turns: Sequence[Turn],
        decoding: Decoding,
        cancelled: Callable[[], bool] = never,
    ) -> Answer:
        """Return the assistant's next turn of a chat about one or more films.

        Args:
            pixels: float32 [B, 1, S, S] normalised, one for each `<image>` in the chat.
            turns: The chat so far.
            decoding: How tokens are chosen.
            cancelled: Asked before every token.

        Raises:
            GenerationError: The chat does not fit the films or the decoder's length, or the logits
                are not finite.
            Cancelled: The caller withdrew.
        """
        marks = [time.perf_counter()]
        prompt = prompts.render(turns)
        ids = prompts.prompt_ids(self.tokenizer, prompt)
        films = self.network.image_tokens(torch.from_numpy(pixels).to(self.device))
        marks.append(time.perf_counter())
        embeds = self.network.splice(ids, films)
        decoding = dataclasses.replace(decoding, max_new_tokens=self._room(ids, embeds, decoding))
        passage = Passage(self.network, slots=len(embeds) + decoding.max_new_tokens)
        first = passage.read(embeds)[-1]
        marks.append(time.perf_counter())
        new = generate.generate(first, passage.step, self.tokenizer, decoding, cancelled)
        marks.append(time.perf_counter())
        spent = [(after - before) * 1000 for before, after in itertools.pairwise(marks)]
        return Answer(
            text=self.tokenizer.decode(new),
            token_ids=tuple(new),
            prompt=prompt,
            ended=generate.ends(new, self.tokenizer),
            timings_ms=dict(zip(("vision", "prefill", "decode"), spent, strict=True)),
        )

    def _room(self, ids: list[int], embeds: Tensor, decoding: Decoding) -> int:
        # The published budget counts a film as one token; the rotary range counts all of them.
        room = min(
            decoding.max_new_tokens,
            self.config.token_budget - len(ids) - 1,
            self.config.language.max_positions - len(embeds),
            self.config.max_new_tokens or decoding.max_new_tokens,
        )
        if room < 1:
            raise GenerationError(
                f"the prompt of {len(embeds)} tokens leaves no room for an answer"
            )
        return room


def load(folder: Path, *, device: torch.device, dtype: torch.dtype) -> CxrLlava:
    """Return the model of the published files in `folder`.

    Raises:
        CheckpointError: Files are missing or do not fit together; the message names what differs.
        DeviceError: The device has not the memory; the message says what would fit.
    """
    config = ModelConfig.from_folder(folder)
    tokenizer = Tokenizer.from_folder(folder)
    if tokenizer.vocab_size > config.language.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} ids, the model only "
            f"{config.language.vocab_size}"
        )
    files = weights.WeightFiles.find(folder)
    with torch.device("meta"):
        network = Network(config).eval().requires_grad_(requires_grad=False)
    memory.check(network, device=device, dtype=dtype)
    weights.fill(network, files, device=device, dtype=dtype, ignored=_IGNORED)
    digest = files.sha256()
    checkpoint = Checkpoint(
        name=NAME,
        revision=_revision(folder, digest),
        weights_sha256=digest,
        caveat=config.caveat,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        max_new_tokens=config.max_new_tokens,
        synthetic_caveat=config.synthetic_caveat,
    )
    return CxrLlava(network, tokenizer, config, checkpoint)


def _revision(folder: Path, digest: str) -> str:
    # A snapshot folder of the Hub is named by its commit.
    name = folder.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{40}", name) else f"sha256:{digest[:16]}"
