"""Pixel Data as stored values: rows beyond those declared, and gray images in color."""

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from dicom.errors import PixelError
from dicom.pixels.frame import load_frame
from tests.dicom.codestreams.codings import IMAGE, LIMITS, native, save


def test_rows_beyond_those_declared_are_reported(tmp_path):
    """A second frame or a wrong Rows shows a part only; padding needs no note."""
    assert "rows more" in native(tmp_path, np.vstack([IMAGE, IMAGE])).warnings[0]
    assert native(tmp_path, np.vstack([IMAGE, np.zeros_like(IMAGE)])).warnings == ()


def test_garbage_behind_the_photometric_interpretation_does_not_matter(tmp_path):
    """The value ends at the NUL."""
    path = save(tmp_path / "image.dcm", ExplicitVRLittleEndian, IMAGE.tobytes())
    image = path.read_bytes()
    changed = image.replace(b"CS\x0c\0MONOCHROME2 ", b"CS\x0e\0MONOCHROME2\0\x10 ")
    assert changed != image
    path.write_bytes(changed)
    np.testing.assert_array_equal(load_frame(path, LIMITS).pixels, native(tmp_path).pixels)


@pytest.mark.parametrize("planes", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_a_color_image_of_gray_pixels_is_read(tmp_path, photometric, planes):
    """Three equal samples, or neutral chroma, are the gray image; one colored pixel is refused."""
    eight = (IMAGE >> 4).astype(np.uint8)
    chroma = np.full_like(eight, 128) if photometric == "YBR_FULL" else eight
    samples = np.stack([eight, chroma, chroma], axis=0 if planes else -1)
    tags = {
        "PhotometricInterpretation": photometric,
        "SamplesPerPixel": 3,
        "PlanarConfiguration": planes,
    }
    path = tmp_path / "image.dcm"
    save(path, ExplicitVRLittleEndian, samples.tobytes(), eight=True, **tags)
    gray = save(tmp_path / "gray.dcm", ExplicitVRLittleEndian, eight.tobytes(), eight=True)
    frame = load_frame(path, LIMITS)
    np.testing.assert_array_equal(frame.pixels, load_frame(gray, LIMITS).pixels)
    assert "color image" in frame.warnings[0]
    samples = samples.copy()
    samples.reshape(-1)[-1] ^= 1
    save(path, ExplicitVRLittleEndian, samples.tobytes(), eight=True, **tags)
    with pytest.raises(PixelError, match="color"):
        load_frame(path, LIMITS)
