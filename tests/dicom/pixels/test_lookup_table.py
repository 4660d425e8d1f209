"""Look-up tables whose descriptor contradicts their entries, and views that no radiograph has."""

import shutil
import subprocess

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicom import phantom
from dicom.errors import PixelError
from dicom.pixels.frame import PixelLimits, load_frame

LIMITS = PixelLimits(max_pixels=2**20, max_bytes=2**24)
RAMP = np.arange(4096, dtype=np.int64)


@pytest.fixture(scope="module")
def image():
    """A phantom of 12 bits."""
    return phantom.draw(3, rows=256, columns=256).pixels.astype(np.uint16)


def frame_of(tmp_path, pixels, *, syntax=ExplicitVRLittleEndian, **tags):
    """Return the Frame of a DX image of `pixels`."""
    image = Dataset()
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.BitsAllocated, image.BitsStored = 16, 16 if pixels.dtype.kind == "i" else 12
    for keyword, value in tags.items():
        if isinstance(value, bytes):
            image.add_new(keyword, "OB", value)
        else:
            setattr(image, keyword, value)
    image.HighBit = image.BitsStored - 1
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    image.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    image["PixelData"].VR = "OW"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    path = tmp_path / "image.dcm"
    image.save_as(
        path,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return load_frame(path, LIMITS)


def table(descriptor, entries, *, vr="US", descriptor_vr="US"):
    """Return an item of a look-up table sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", descriptor_vr, descriptor)
    item.add_new("LUTData", vr, entries)
    return item


def scaled(bits):
    """Return the identity over 12 bits as entries of `bits` bits."""
    return [int(entry) for entry in RAMP * 2**bits // 4096]


@pytest.mark.parametrize(
    ("holds", "declares"), [(14, 16), (15, 16), (12, 16), (10, 12), (12, 10), (10, 16), (12, 0)]
)
def test_a_voi_lut_is_scaled_by_the_depth_that_its_entries_have(tmp_path, image, holds, declares):
    """Agfa writes the stored size of an entry as its depth: a quarter of the brightness otherwise."""
    right = frame_of(tmp_path, image, VOILUTSequence=[table([4096, 0, holds], scaled(holds))])
    corrected = frame_of(
        tmp_path, image, VOILUTSequence=[table([4096, 0, declares], scaled(holds))]
    )
    np.testing.assert_array_equal(corrected.pixels, right.pixels)
    assert right.warnings == ()
    assert len(corrected.warnings) == 1
    assert (
        f"declares {declares} bits for each entry and its entries have {holds}"
        in corrected.warnings[0]
    )


def test_a_voi_lut_that_does_not_reach_white_keeps_its_declared_depth(tmp_path, image):
    """Entries up to 3,000 need the 12 bits that are declared: white stays at 4,095."""
    entries = [int(entry) * 3000 // 4095 for entry in RAMP]
    frame = frame_of(tmp_path, image, VOILUTSequence=[table([4096, 0, 12], entries)])
    np.testing.assert_allclose(frame.pixels, image.astype(int) * 3000 // 4095 / 4095, atol=1e-6)
    assert frame.warnings == ()


def test_entries_that_were_rounded_up_keep_the_declared_depth(tmp_path, image):
    """An entry of 4096 in a table of 12 bits does not halve the brightness."""
    reference = frame_of(tmp_path, image, WindowCenter="2048", WindowWidth="4096")
    entries = [*scaled(12)[1:], 4096]
    frame = frame_of(tmp_path, image, VOILUTSequence=[table([4096, 0, 12], entries)])
    assert np.abs(frame.pixels - reference.pixels).max() < 0.001
    assert frame.warnings == ()


def test_entries_in_the_other_byte_order_are_swapped(tmp_path, image):
    """Only one of the two orders makes a curve."""
    reference = frame_of(tmp_path, image, VOILUTSequence=[table([4096, 0, 12], scaled(12))])
    swapped = np.asarray(scaled(12), np.uint16).byteswap().tolist()
    frame = frame_of(tmp_path, image, VOILUTSequence=[table([4096, 0, 12], swapped)])
    np.testing.assert_array_equal(frame.pixels, reference.pixels)


def test_entries_that_are_no_curve_are_not_used(tmp_path, image):
    """Random entries shatter the image; a Modality LUT of that kind makes it unreadable."""
    entries = np.random.default_rng(1).integers(0, 2**16, 4096).tolist()
    frame = frame_of(tmp_path, image, VOILUTSequence=[table([4096, 0, 16], entries)])
    assert "VOI LUT 1 is damaged" in frame.warnings[0]
    with pytest.raises(PixelError, match="do not form a curve"):
        frame_of(tmp_path, image, ModalityLUTSequence=[table([4096, 0, 16], entries)])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("high_first", [False, True])
def test_entries_of_8_bits_packed_two_to_a_word_are_unpacked(
    tmp_path, image, syntax, vr, high_first
):
    """The low byte comes first; a table written the other way round shows it by its steps."""
    entries = np.asarray(scaled(8), np.uint8).reshape(-1, 2)
    high, low = (entries[:, 0], entries[:, 1]) if high_first else (entries[:, 1], entries[:, 0])
    words = high.astype(np.uint16) * 256 + low
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    data = words.astype(order).tobytes() if vr == "OW" else [int(word) for word in words]
    item = table([4096, 0, 8], data, vr=vr)
    frame = frame_of(tmp_path, image, syntax=syntax, VOILUTSequence=[item])
    np.testing.assert_allclose(frame.pixels, (image // 16) / 255, atol=1e-6)
    assert frame.warnings == ()


def test_packed_entries_are_known_by_their_steps_where_the_depth_is_wrong(tmp_path, image):
    """Half the words: 8-bit entries make a smooth curve, a table of 16 bits that was cut does not."""
    words = [int(word) for word in np.asarray(scaled(8), np.uint8).view("<u2")]
    packed = frame_of(tmp_path, image, VOILUTSequence=[table([4096, 0, 16], words)])
    np.testing.assert_allclose(packed.pixels, (image // 16) / 255, atol=1e-6)
    cut = frame_of(tmp_path, image, VOILUTSequence=[table([4096, 0, 16], scaled(16)[:2048])])
    assert cut.warnings[0] == "VOI LUT 1 is damaged and was not used."


def test_a_modality_lut_of_8_bits_may_be_packed_as_well(tmp_path, image):
    """Its output goes through the window."""
    entries = np.asarray(scaled(8), np.uint8)
    words = [int(word) for word in entries.view("<u2")]
    frame = frame_of(
        tmp_path,
        image,
        ModalityLUTSequence=[table([4096, 0, 8], words)],
        WindowCenter="128",
        WindowWidth="256",
    )
    np.testing.assert_allclose(frame.pixels, (image // 16) / 255, atol=1e-6)


@pytest.mark.parametrize("descriptor_vr", ["SS", "US"])
def test_the_first_value_is_signed_where_pixels_may_be_negative(tmp_path, image, descriptor_vr):
    """No pixel of this image is negative, but Pixel Representation allows negative ones."""
    first = -1024 if descriptor_vr == "SS" else 2**16 - 1024
    entries = [0] * 1024 + scaled(16)
    item = table([5120, first, 16], entries, descriptor_vr=descriptor_vr)
    frame = frame_of(tmp_path, image.astype(np.int16), VOILUTSequence=[item])
    np.testing.assert_allclose(frame.pixels, image * 16 / 65535, atol=1e-6)
    assert frame.warnings == ()


@pytest.mark.dcmtk
def test_the_first_value_is_signed_where_the_intercept_is_negative(tmp_path, image):
    """The table begins at -1000, where the smallest modality value may lie; DCMTK agrees."""
    entries = [round(65535 * (entry / 4095) ** 0.5) for entry in range(4096)]
    item = table([4096, -1000, 16], entries, descriptor_vr="SS")
    tags = {"RescaleSlope": "1", "RescaleIntercept": "-1000", "VOILUTSequence": [item]}
    pixels = np.maximum(image, 1000)
    frame = frame_of(tmp_path, pixels, **tags)
    assert frame.warnings == ()
    program = shutil.which("dcm2pnm")
    if program is None:
        pytest.skip("dcm2pnm is not installed")
    out = tmp_path / "out.pgm"
    command = [program, "+Wl", "1", "+opw", str(tmp_path / "image.dcm"), str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    theirs = np.asarray(out.read_text().split()[-image.size :], np.float64) / 65535
    assert frame.pixels.mean() == pytest.approx(theirs.mean(), abs=0.003)
    assert np.abs(frame.pixels.reshape(-1) - theirs).max() < 0.005


def test_a_first_value_above_32767_stays_unsigned_where_no_pixel_may_be_negative(tmp_path, image):
    """The descriptor declares 40,000, in either VR; 16 unsigned bits reach it."""
    pixels = image.astype(np.uint16) + 40_000
    item = table([4096, 40_000 - 2**16, 12], scaled(12), descriptor_vr="SS")
    frame = frame_of(tmp_path, pixels, BitsStored=16, VOILUTSequence=[item])
    np.testing.assert_allclose(frame.pixels, image / 4095, atol=1e-6)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (("8192", "16384"), "window 1 misses"),
        (("5800", "11600"), "window 1 shows the image implausibly dark"),
        (("1000", "2000"), "window 1 shows the image implausibly bright"),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_view_that_no_radiograph_has_gives_way_to_the_next_one(
    tmp_path, image, window, expected, photometric
):
    """Two views: the second one is shown, and the reader is informed of both."""
    negative = photometric == "MONOCHROME1"
    pixels = np.where(negative, 4095 - image, image).astype(np.uint16)
    center = 4095 - float(window[0]) if negative else float(window[0])
    tags = {"PhotometricInterpretation": photometric}
    frame = frame_of(
        tmp_path,
        pixels,
        WindowCenter=[str(center), "2048"],
        WindowWidth=[window[1], "4096"],
        **tags,
    )
    assert expected in frame.warnings[0]
    assert frame.warnings[1] == "Shown with the window 2."
    np.testing.assert_allclose(frame.pixels, image / 4095, atol=1e-6)


def test_an_image_without_a_window_that_would_be_dark_is_shown_by_its_percentiles(tmp_path, image):
    """12 bits of picture in 14 stored bits: a third of the brightness is noticed."""
    frame = frame_of(tmp_path, image, BitsStored=14)
    assert frame.warnings[-1].startswith("Gray levels were set from the 0.5 and 99.5 percentiles")
    assert np.percentile(frame.pixels, 98) > 0.9


def test_every_real_image_keeps_the_view_that_it_has(shared_data):
    """The plausible range was measured on real images: each is shown as its attributes state."""
    for path in sorted((shared_data / "cxr-dicom").glob("*.dcm")):
        frame = load_frame(path, PixelLimits(max_pixels=2**24, max_bytes=2**26))
        assert not [warning for warning in frame.warnings if "implausibly" in warning], path.name
        assert not [warning for warning in frame.warnings if "percentiles" in warning], path.name


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PixelPaddingValue": [0, 4095]}, "PixelPaddingValue of the image is not one number"),
        ({"PixelPaddingValue": b"\xff\x0f"}, "PixelPaddingValue of the image is not one number"),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, "its range 0 to 4095 covers"),
        ({"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 0}, "its range 0 to 4095 covers"),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 1500}, "its range 0 to 1500 covers"),
        ({"PixelPaddingValue": 1, "PixelPaddingRangeLimit": 4000}, "its range 1 to 4000 covers"),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": [1, 2]}, "PixelPaddingRangeLimit"),
    ],
)
def test_padding_that_cannot_be_meant_is_ignored_with_a_note(tmp_path, image, tags, expected):
    """No image is unreadable, or blank, because of a value that only darkens its background."""
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    reference = frame_of(tmp_path, image, **window)
    frame = frame_of(tmp_path, image, **window, **tags)
    np.testing.assert_array_equal(frame.pixels, reference.pixels)
    assert len(frame.warnings) == 1
    assert expected in frame.warnings[0]


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("lu_agfa_14in16", 0.302),
        ("lu_12in10", 0.302),
        ("lu_us8_packed", 0.302),
        ("lu_signed_first_negative_pixels_positive", 0.301),
        ("pa_two_values", 0.302),
        ("pa_range_everything", 0.302),
        ("ds_window_narrow_ok", 0.428),
        ("ref256", 0.302),
        ("dl_lut_14_in_16", 0.495),
    ],
)
def test_the_inputs_of_the_trials_have_their_right_brightness(shared_data, name, mean):
    """Inputs built after public bug reports."""
    path = shared_data / "trials" / "modality" / f"{name}.dcm"
    if not path.exists():
        pytest.skip("the inputs of the trials are not on this machine")
    assert load_frame(path, LIMITS).pixels.mean() == pytest.approx(mean, abs=0.005)
