"""Faulty images: negative, rotated or mirrored, to test that their faults are detected."""

from dataclasses import replace

import numpy as np

from dicom.phantom.radiograph import Phantom


def inverted(phantom: Phantom) -> Phantom:
    """Return the negative, with black bone; `as_dataset` still declares bone white."""
    top = np.uint16((1 << phantom.bits_stored) - 1)
    return replace(phantom, pixels=top - phantom.pixels)


def turned(phantom: Phantom, quarters: int) -> Phantom:
    """Return the image and its masks, rotated clockwise by `quarters` x 90 degrees."""
    return replace(
        phantom,
        pixels=np.ascontiguousarray(np.rot90(phantom.pixels, -quarters)),
        truths=tuple(
            replace(truth, mask=np.ascontiguousarray(np.rot90(truth.mask, -quarters)))
            for truth in phantom.truths
        ),
    )


def mirrored(phantom: Phantom) -> Phantom:
    """Return the image and its masks, mirrored left to right; the sides of its truths are unchanged."""
    return replace(
        phantom,
        pixels=np.ascontiguousarray(phantom.pixels[:, ::-1]),
        truths=tuple(
            replace(truth, mask=np.ascontiguousarray(truth.mask[:, ::-1]))
            for truth in phantom.truths
        ),
    )
