"""The stages: labels for the image encoder, alignment of language and image, everything, pointing.

In the paper the language model is already trained; here it is trained in the second stage, on reports
alone, while the image encoder is frozen. The fourth stage is ours.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from workers.model.checkpoints.cxr_llava import Network
from workers.model.config import ModelConfig
from workers.training import corpus, forward, labels, pointing
from workers.training.augment import augment
from workers.training.corpus import Corpus
from workers.training.images import TrainingImages, chunks

_WARM_UP: Final = 0.1  # of the steps
_DECAY: Final = 0.05
_LONGEST_GRADIENT: Final = 1.0
_SLOWER: Final = 0.3  # the encoder's rate in the third and fourth stages, relative to the others'


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The epochs, learning rates and batches.

    Attributes:
        epochs: Epochs of labels, alignment, tuning.
        rates: Highest learning rate of each.
        batches: Images in a step of each.
        pointing: Epochs, rate and batch of the last stage.
        seed: Seed of initial weights, order, augmentation and words.
    """

    epochs: tuple[int, int, int] = (20, 1, 4)
    rates: tuple[float, float, float] = (8e-4, 1e-3, 1e-3)
    batches: tuple[int, int, int] = (32, 16, 16)
    pointing: tuple[int, float, int] = (1, 5e-4, 16)
    seed: int = 5

    def of(self, stage: int) -> tuple[int, float, int]:
        """Return epochs, rate and batch of a stage; the first is 0."""
        if stage == len(self.epochs):
            return self.pointing
        return self.epochs[stage], self.rates[stage], self.batches[stage]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The result of one epoch; `loss` is its mean."""

    stage: str
    epoch: int
    epochs: int
    loss: float


class Training:
    """Trains a network; the stages are run in the order of their methods."""

    def __init__(
        self,
        network: Network,
        config: ModelConfig,
        images: TrainingImages,
        texts: Corpus,
        recipe: Recipe,
        progress: Callable[[Progress], None],
    ) -> None:
        self._network = network
        self._gray = config.vision
        self._images = images
        self._texts = texts
        self._recipe = recipe
        self._progress = progress
        self._labels = labels.labels(images.plans)
        self._random = torch.Generator()
        self._rng = np.random.default_rng(recipe.seed)

    def labels(self) -> None:
        """Stage 1: the image encoder learns findings, sides and places from labels."""
        self._begin(0)
        heads = labels.Heads(self._gray.width)
        tower = self._network.vision_tower

        def loss(index: Tensor) -> Tensor:
            pixels, masks = self._pixels(index)
            tokens = forward.patch_tokens(tower, pixels)
            return labels.loss(heads, tokens, self._labels.of(index), masks)[0]

        groups = [(tower, 1.0), (heads, 1.0)]
        self._learn(0, "labels", groups, loss)

    def alignment(self) -> None:
        """Stage 2: projector and language model learn to write reports; the encoder is frozen."""
        self._begin(1)
        network = self._network

        def loss(index: Tensor) -> Tensor:
            with torch.no_grad():
                images = forward.patch_tokens(network.vision_tower, self._pixels(index)[0])
            return self._spoken(images, index, reports_only=True)

        self._learn(1, "alignment", [(m, 1.0) for m in _language(network)], loss)

    def tuning(self) -> None:
        """Stage 3: all parts learn reports, questions and differential diagnoses."""
        self._begin(2)
        network = self._network

        def loss(index: Tensor) -> Tensor:
            images = forward.patch_tokens(network.vision_tower, self._pixels(index)[0])
            return self._spoken(images, index, reports_only=False)

        groups = [(network.vision_tower, _SLOWER), *((m, 1.0) for m in _language(network))]
        self._learn(2, "tuning", groups, loss)

    def pointing(self) -> None:
        """Stage 4: all parts learn to attend to a finding before the answer says that it is present."""
        self._begin(3)
        network = self._network

        def loss(index: Tensor) -> Tensor:
            pixels, masks = self._pixels(index)
            images = forward.patch_tokens(network.vision_tower, pixels)
            batch = [
                list(pointing.texts(self._images.plans[int(i)].findings, self._rng)) for i in index
            ]
            packed = self._texts.packed([[text for text, _ in one] for one in batch])
            attention_weights: list[Tensor] = []
            hidden = forward.text_hidden(network, images, packed, attention_weights)
            asked = [
                pointing.Pointed(image, number, finding)
                for image, one in enumerate(batch)
                for number, (_, finding) in enumerate(one, 1)
                if finding is not None
            ]
            looking = pointing.loss(attention_weights, packed, masks, asked)
            return packed.loss(hidden, network.lm_head) + pointing.WEIGHT * looking

        groups = [(network.vision_tower, _SLOWER), *((m, 1.0) for m in _language(network))]
        self._learn(3, "pointing", groups, loss)

    def _begin(self, stage: int) -> None:
        # Each stage has its own seed: a training that continues from a stage gives the same result.
        torch.manual_seed(10 * self._recipe.seed + stage)  # of the heads
        self._random.manual_seed(10 * self._recipe.seed + stage)
        self._rng = np.random.default_rng([self._recipe.seed, stage])

    def _pixels(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return images [B, 1, S, S], varied and normalized, and masks [B, 6, M, M] in 0..1."""
        rows = index.numpy()
        gray = torch.from_numpy(self._images.gray[rows])[:, None].float() / 255
        masks = torch.from_numpy(self._images.masks[rows]).float() / 255
        gray, masks = augment(gray, masks, self._random)
        return (gray - self._gray.mean) / self._gray.std, masks

    def _spoken(self, images: Tensor, index: Tensor, *, reports_only: bool) -> Tensor:
        findings = [self._images.plans[int(i)].findings for i in index]
        if reports_only:
            batch: list[Sequence[corpus.Text]] = [
                [corpus.report_text(one, self._rng)] for one in findings
            ]
        else:
            batch = [list(corpus.texts(one, self._rng)) for one in findings]
        packed = self._texts.packed(batch)
        return packed.loss(
            forward.text_hidden(self._network, images, packed), self._network.lm_head
        )

    def _learn(
        self,
        stage: int,
        name: str,
        groups: Sequence[tuple[nn.Module, float]],
        loss: Callable[[Tensor], Tensor],
    ) -> None:
        epochs, rate, most = self._recipe.of(stage)
        batch = min(most, len(self._images))
        weights = [weight for module, _ in groups for weight in module.parameters()]
        optimizer = torch.optim.AdamW(
            [{"params": list(m.parameters()), "lr": rate * part} for m, part in groups],
            weight_decay=_DECAY,
            betas=(0.9, 0.98),
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            [rate * part for _, part in groups],
            total_steps=max(epochs * (len(self._images) // batch), 1) + 1,
            pct_start=_WARM_UP,
            cycle_momentum=False,
        )
        for epoch in range(1, epochs + 1):
            losses = []
            for index in self._order(batch):
                with torch.autocast("cpu", torch.bfloat16):
                    value = loss(index)
                optimizer.zero_grad()
                value.backward()  # type: ignore[no-untyped-call] # torch has no type for it
                nn.utils.clip_grad_norm_(weights, _LONGEST_GRADIENT)
                optimizer.step()
                schedule.step()
                losses.append(float(value.detach()))
            self._progress(
                Progress(stage=name, epoch=epoch, epochs=epochs, loss=float(np.mean(losses)))
            )

    def _order(self, batch: int) -> Iterator[Tensor]:
        """Yield the indices of the images in a new order, `batch` at a time, without the remainder."""
        order = torch.randperm(len(self._images), generator=self._random)
        whole = len(order) // batch * batch
        return (order[part] for part in chunks(whole, batch))


def _language(network: Network) -> tuple[nn.Module, nn.Module, nn.Module]:
    return network.mm_projector, network.llama, network.lm_head
