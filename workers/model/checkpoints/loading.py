"""Loads files into a network: the common part of every model's `load`."""

import dataclasses
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol, TypeVar

import torch

from workers.model.checkpoints.llava import Llava
from workers.model.files import weights
from workers.model.files.weights import Source
from workers.model.networks import memory, quantise
from workers.model.networks.multimodal import Multimodal
from workers.model.placement import HERE, Place
from workers.model.vlm import Checkpoint, VectorMethod

N = TypeVar("N", bound=Multimodal)
# The libraries that affect the result, from the image's pixels to the text.
_LIBRARIES: Final = ("wetread", "torch", "numpy", "pillow", "sentencepiece")

_DIGEST_START: Final = 16  # characters of a digest that name it


class Loader(Protocol):
    """Loads one kind of model; each model's module has one.

    A model that was published without its language model also takes that folder, as `base`.
    """

    def __call__(self, folder: Path, place: Place = HERE, **apart: Path) -> Llava:
        """Return the model of the checkpoint in `folder`, ready to answer."""
        ...


def filled(
    build: Callable[[], N],
    files: Source,
    place: Place,
    checkpoint: Checkpoint,
    *,
    ignored: tuple[str, ...] = (),
) -> tuple[N, Checkpoint]:
    """Return the network with the weights of `files`, and `checkpoint` completed with their record.

    Args:
        build: Makes the empty network; called on the meta device, so that nothing is allocated twice.
        files: The source of its tensors.
        place: Device and number format.
        checkpoint: The properties that the model's module sets.
        ignored: Patterns of tensor names that a checkpoint may hold and the network does not use.

    Raises:
        CheckpointError: The files do not fit the network; the message names what differs.
        DeviceError: The device has too little memory (the message states what would fit), or the library
            for quantized weights is not installed.
    """
    with torch.device("meta"):
        network = build().eval().requires_grad_(requires_grad=False)
    memory.check(network, place)
    whole = place.quantisation == "none"
    # Quantized on the CPU, so that the device never holds the larger weights.
    first = place.device if whole else torch.device("cpu")
    weights.fill(network, files, device=first, dtype=place.dtype, ignored=ignored)
    if not whole:
        quantise.quantize(network.llama.layers, place)
        network.to(place.device)
    digest = files.sha256()
    return network, dataclasses.replace(
        checkpoint,
        revision=revision(files.folder, digest),
        weights_sha256=digest,
        device=str(place.device),
        dtype=place.format,
        libraries=libraries(() if whole else (quantise.LIBRARY,)),
    )


def with_vectors(checkpoint: Checkpoint, network: Multimodal, tower_sha256: str = "") -> Checkpoint:
    """Return the record with the name of the space of the network's image vectors.

    Args:
        checkpoint: The record.
        network: The network.
        tower_sha256: Digest of the image tower, if it has a file of its own and makes the vectors alone.
    """
    space = vector_space(network.vector_method, tower_sha256 or checkpoint.weights_sha256)
    return dataclasses.replace(checkpoint, vector_space=space)


def vector_space(method: VectorMethod, sha256: str) -> str:
    """Return the name of the space of vectors that weights of this digest make."""
    return f"{method.value}-{sha256[:_DIGEST_START]}"


def revision(folder: Path, digest: str) -> str:
    """Return the commit that names a snapshot folder of the Hub, or else the start of the digest."""
    name = folder.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{40}", name) else f"sha256:{digest[:_DIGEST_START]}"


def libraries(more: tuple[str, ...]) -> str:
    """Return the versions of the libraries that affect the result, and of `more`."""
    return ", ".join(f"{name} {version(name)}" for name in (*_LIBRARIES, *more))
