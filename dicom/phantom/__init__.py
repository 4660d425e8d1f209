"""Synthetic chest radiographs with known findings, as DX objects: demo, tests, heartbeat, training.

    draw(seed, findings=...)  -> Phantom: pixels, and for each finding side, site and mask
    as_dataset(phantom)       -> a valid DX image, the same bytes for the same arguments
    is_phantom(header)        -> whether an image is one of ours

A seed is a person on an image: with and without findings it is the same person, so that the difference
of two images is the finding.
"""

from dicom.phantom.chest import PhantomFinding, Zone
from dicom.phantom.dataset import MANUFACTURER, Demographics, as_dataset, is_phantom, write
from dicom.phantom.lateral import draw_lateral
from dicom.phantom.mixture import random_findings
from dicom.phantom.odd import inverted, mirrored, turned
from dicom.phantom.radiograph import Phantom, Truth, draw

__all__ = [
    "MANUFACTURER",
    "Demographics",
    "Phantom",
    "PhantomFinding",
    "Truth",
    "Zone",
    "as_dataset",
    "draw",
    "draw_lateral",
    "inverted",
    "is_phantom",
    "mirrored",
    "random_findings",
    "turned",
    "write",
]
