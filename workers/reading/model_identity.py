"""The model as a draft records it: weights, decoding and caveats. Pure."""

import dataclasses
from typing import Final

from pydicom.dataset import Dataset

from dicom.content.report import ModelIdentity
from dicom.phantom import is_phantom
from workers.model.vlm import Checkpoint, Decoding

_DEMO_CAVEAT: Final = (
    "It reads images of patients because this site has set reading.demo_reads_patients."
)
_MARK: Final = "MEANINGLESS TEXT"  # in the series description, 20 characters at most


def model_identity(checkpoint: Checkpoint, decoding: Decoding, version: str) -> ModelIdentity:
    """Return the model as each of its drafts records it.

    Args:
        checkpoint: The loaded weights.
        decoding: How the tokens of a draft are chosen.
        version: The version that the site has set.
    """
    digest = checkpoint.profile_sha256
    profile = f", profile sha256:{digest[:16]}" if digest else ""
    return ModelIdentity(
        name=checkpoint.name,
        version=version,
        weights_sha256=checkpoint.weights_sha256,
        decoding=(
            f"{decoding.describe()}, {checkpoint.dtype} on {checkpoint.device}, "
            f"{checkpoint.libraries}, revision {checkpoint.revision}{profile}"
        ),
        caveat=checkpoint.caveat,
        mark=checkpoint.mark,
        licence=checkpoint.licence,
        intended_use=checkpoint.intended_use,
        cannot=checkpoint.cannot,
    )


def with_image_caveat(
    model: ModelIdentity, checkpoint: Checkpoint, header: Dataset | None
) -> ModelIdentity:
    """Return the model as the draft of one image records it.

    A model for synthetic images carries one caveat on a phantom and another on a patient's image.

    Args:
        model: As `model_identity` returns it.
        checkpoint: The loaded weights.
        header: Attributes of the image; None if it cannot be a phantom.
    """
    if not checkpoint.synthetic_only:
        return model
    if header is None or not is_phantom(header):
        caveat = f"{checkpoint.caveat} {_DEMO_CAVEAT}".strip()
        return dataclasses.replace(model, caveat=caveat, mark=checkpoint.mark or _MARK)
    if checkpoint.synthetic_caveat:
        return dataclasses.replace(model, caveat=checkpoint.synthetic_caveat, mark="")
    return model


def sent_outside(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the note of a draft whose image was sent to a server that may be outside the site."""
    if not checkpoint.remote_host:
        return ()
    note = (
        f"The image was sent to the server {checkpoint.remote_host}, which may be outside this site "
        "(the site has set allow_remote)."
    )
    return (note,)
