"""Films as they should not be: negatives and turned ones, to see that a reader notices."""

from dataclasses import replace

import numpy as np

from dicom.phantom.film import Phantom


def inverted(phantom: Phantom) -> Phantom:
    """Return the negative: bone black, with attributes that claim otherwise once it is wrapped."""
    top = np.uint16((1 << phantom.bits_stored) - 1)
    return replace(phantom, pixels=top - phantom.pixels)


def turned(phantom: Phantom, quarters: int) -> Phantom:
    """Return the film turned clockwise by quarters of a turn, masks included."""
    return replace(
        phantom,
        pixels=np.ascontiguousarray(np.rot90(phantom.pixels, -quarters)),
        truths=tuple(
            replace(truth, mask=np.ascontiguousarray(np.rot90(truth.mask, -quarters)))
            for truth in phantom.truths
        ),
    )


def mirrored(phantom: Phantom) -> Phantom:
    """Return the film seen from behind: left and right exchanged, truths' sides left as they were."""
    return replace(
        phantom,
        pixels=np.ascontiguousarray(phantom.pixels[:, ::-1]),
        truths=tuple(
            replace(truth, mask=np.ascontiguousarray(truth.mask[:, ::-1]))
            for truth in phantom.truths
        ),
    )
