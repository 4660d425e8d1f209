"""The Frame of every image that can be shown, and a typed refusal of everything else."""

import json
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from dicom.errors import DicomError, InvalidDataset, LimitExceeded, PixelError
from dicom.pixels.frame import PixelLimits, load_frame

LIMITS = PixelLimits(max_pixels=16 * 2**20, max_bytes=64 * 2**20)
# dcm2pnm cuts to whole gray levels where we keep fractions: one level of its 16-bit output.
ONE_OF_16_BITS = 1 / 65535
SIXTEEN = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def wrapped(tmp_path, pixels, *, syntax=ExplicitVRLittleEndian, encoded=None, **tags):
    """Return the path of a DX image of `pixels`; `tags` override what is written, None removes."""
    image = Dataset()
    image.SOPClassUID = DigitalXRayImageStorageForPresentation
    image.SOPInstanceUID = image.StudyInstanceUID = image.SeriesInstanceUID = "1.2.3"
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.BitsAllocated = image.BitsStored = 8 * pixels.dtype.itemsize
    for keyword, value in tags.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    image.HighBit = tags.get("HighBit", image.get("BitsStored", 1) - 1)
    image.PixelData = pixels.tobytes() if encoded is None else encoded
    image["PixelData"].VR = "OW" if encoded is None else "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    path = tmp_path / "image.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


def shown(tmp_path, pixels, **tags):
    """Return the Frame of such an image."""
    return load_frame(wrapped(tmp_path, pixels, **tags), LIMITS)


def dcm2pnm(path, tmp_path, *options, program="dcmj2pnm"):
    """Return the image as DCMTK shows it, float64 [H, W] in 0..1."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    out = tmp_path / "out.pgm"
    subprocess.run(
        [program, "-a", *options, str(path), str(out)], check=True, capture_output=True, timeout=60
    )
    lines = [line for line in out.read_text().splitlines() if not line.startswith("#")]
    numbers = " ".join(lines).split()[1:]
    width, height, top = (int(number) for number in numbers[:3])
    return np.asarray(numbers[3:], np.float64).reshape(height, width) / top


IMAGES_DCMTK_READS = [
    "cxr-dicom/barre_CR-MONO1-10_pa_explicitLE.dcm",
    "cxr-dicom/barre_CR-MONO1-10_pa_headless-nometa.dcm",
    "cxr-dicom/barre_CR-MONO1-10_pa_implicitLE.dcm",
    "cxr-dicom/barre_cxr_deflated.dcm",
    "cxr-dicom/barre_cxr_explicit-bigendian.dcm",
    "cxr-dicom/barre_cxr_jpeg-lossless-sv1.dcm",
    "cxr-dicom/barre_cxr_jpegls-lossless.dcm",
    "cxr-dicom/barre_cxr_rle-lossless.dcm",
    "cxr-dicom/nema_RG1_pa_mono1_15bit_jpegls-nearlossless.dcm",
    "not-chest/dcm4che_test16signed_chest-tag.dcm",
    "not-chest/highdicom_dog-thorax_dx_mono1.dcm",
]


@pytest.mark.dcmtk
@pytest.mark.parametrize("name", IMAGES_DCMTK_READS)
def test_real_images_with_a_window_are_shown_as_dcmtk_shows_them(shared_data, tmp_path, name):
    """Every gray level agrees with dcm2pnm to one level of its 16-bit output."""
    path = shared_data / name
    options = ["+Wi", "1", "+opw", *(["-f"] if "nometa" in name else [])]
    program = "dcml2pnm" if "jpegls" in name else "dcmj2pnm"
    theirs = dcm2pnm(path, tmp_path, *options, program=program)
    assert np.abs(load_frame(path, LIMITS).pixels - theirs).max() <= ONE_OF_16_BITS * 1.01


@pytest.mark.dcmtk
@pytest.mark.parametrize(
    ("pattern", "levels"), [("nih_*", 0), ("udacity_*", 0), ("rsna_*jpegbaseline8*", 2)]
)
def test_real_8_bit_images_without_a_window_keep_their_values(
    shared_data, tmp_path, pattern, levels
):
    """The 256 gray levels are DCMTK's own; JPEG decoders may differ by two."""
    for path in (shared_data / "cxr-dicom").glob(pattern):
        theirs = dcm2pnm(path, tmp_path, "+opb")
        difference = np.abs(load_frame(path, LIMITS).pixels - theirs).max()
        assert difference <= levels / 255 + 1e-6, path.name


def test_one_picture_is_the_same_in_every_lossless_transfer_syntax(shared_data):
    """Nine files of one radiograph, one of them without any file meta group, give equal Frames."""
    images = sorted((shared_data / "cxr-dicom").glob("barre_*.dcm"))
    frames = [load_frame(path, LIMITS).pixels for path in images]
    assert len(frames) == 9
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame, frames[0])


def test_jpeg_2000_and_jpeg_ls_of_one_image_agree(shared_data):
    """The J2K and the JPEG-LS version, both lossy, differ by less than 0.3 % of white on average."""
    wavelet, predictive = (
        load_frame(next((shared_data / "cxr-dicom").glob(f"nema_RG1*{kind}*")), LIMITS).pixels
        for kind in ("j2k", "jpegls")
    )
    assert np.abs(wavelet - predictive).mean() < 0.003


def test_jpeg_2000_is_decoded_as_another_library_decodes_it(shared_data):
    """The 12-bit J2K image, decoded by Pillow and shown by hand, is our Frame."""
    path = shared_data / "cxr-dicom" / "canon_dx_pa_mono1_12bit_j2k-lossless.dcm"
    image = dcmread(path)
    stored, _ = get_decoder(JPEG2000Lossless).as_array(image, raw=True, decoding_plugin="pillow")
    by_hand = 1 - np.clip((stored - (2048 - 0.5 - 4095 / 2)) / 4095, 0, 1)
    frame = load_frame(path, LIMITS)
    assert np.abs(frame.pixels - by_hand).max() < 1e-6
    assert frame.warnings == ()


@pytest.mark.dcmtk
@pytest.mark.parametrize(
    ("tags", "options"),
    [
        ({"WindowCenter": "2000", "WindowWidth": "1500"}, ["+Wi", "1"]),
        (
            {"WindowCenter": "2000", "WindowWidth": "1500", "VOILUTFunction": "SIGMOID"},
            ["+Wfs", "+Wi", "1"],
        ),
        (
            {
                "RescaleSlope": "2",
                "RescaleIntercept": "-1024",
                "WindowCenter": "3000",
                "WindowWidth": "5000",
            },
            ["+Wi", "1"],
        ),
        (
            {
                "PhotometricInterpretation": "MONOCHROME1",
                "PresentationLUTShape": "INVERSE",
                "WindowCenter": "2048",
                "WindowWidth": "4096",
            },
            ["+Wi", "1"],
        ),
        ({"BitsStored": 12}, []),
    ],
)
def test_each_rule_agrees_with_dcmtk(tmp_path, tags, options):
    """Window, sigmoid, rescale, polarity and bit depth on a ramp of 4,096 values are dcm2pnm's."""
    path = wrapped(tmp_path, SIXTEEN, **tags)
    theirs = dcm2pnm(path, tmp_path, *options, "+opw", program="dcm2pnm")
    ours = load_frame(path, LIMITS).pixels
    assert np.abs(ours - theirs).max() < 20 * ONE_OF_16_BITS


@pytest.mark.dcmtk
def test_signed_pixels_agree_with_dcmtk(tmp_path):
    """Negative stored values go through the window with their sign."""
    signed = (SIXTEEN.astype(np.int32) - 2048).astype(np.int16)
    tags = {"BitsStored": 12, "WindowCenter": "0", "WindowWidth": "3000"}
    path = wrapped(tmp_path, signed, **tags)
    theirs = dcm2pnm(path, tmp_path, "+Wi", "1", "+opw", program="dcm2pnm")
    assert np.abs(load_frame(path, LIMITS).pixels - theirs).max() <= 2 * ONE_OF_16_BITS


def lut(descriptor, entries):
    """Return an item of a look-up table sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "US", entries)
    return item


@pytest.mark.dcmtk
def test_a_voi_lut_is_looked_up_as_dcmtk_does(tmp_path):
    """A table of 1,024 entries beginning at 512 is clamped at both ends."""
    entries = [round(4095 * (i / 1023) ** 2) for i in range(1024)]
    path = wrapped(tmp_path, SIXTEEN // 2, VOILUTSequence=[lut([1024, 512, 12], entries)])
    theirs = dcm2pnm(path, tmp_path, "+Wl", "1", "+opw", program="dcm2pnm")
    assert np.abs(load_frame(path, LIMITS).pixels - theirs).max() < 20 * ONE_OF_16_BITS


def test_a_modality_lut_comes_before_the_window(tmp_path):
    """The window acts on the table's output, not on the stored values."""
    backwards = list(range(4095, -1, -1))
    tags = {"WindowCenter": "2048", "WindowWidth": "4096"}
    plain = shown(tmp_path, SIXTEEN, **tags).pixels
    turned = shown(tmp_path, SIXTEEN, ModalityLUTSequence=[lut([4096, 0, 16], backwards)], **tags)
    np.testing.assert_allclose(turned.pixels, plain[::-1, ::-1], atol=1e-6)


def test_linear_exact_differs_from_linear_by_the_standard_s_half_pixel(tmp_path):
    """LINEAR_EXACT puts the center at exactly half gray."""
    tags = {"WindowCenter": "2000", "WindowWidth": "1000", "VOILUTFunction": "LINEAR_EXACT"}
    frame = shown(tmp_path, SIXTEEN, **tags)
    assert frame.pixels.reshape(-1)[2000] == pytest.approx(0.5)
    assert frame.pixels.reshape(-1)[2250] == pytest.approx(0.75)


def test_presentation_lut_shape_does_not_invert_a_second_time(tmp_path):
    """MONOCHROME1 with INVERSE is MONOCHROME1 alone; where they disagree the photometric one holds."""
    alone = shown(tmp_path, SIXTEEN, PhotometricInterpretation="MONOCHROME1", BitsStored=12)
    both = shown(
        tmp_path,
        SIXTEEN,
        PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE",
        BitsStored=12,
    )
    contradiction = shown(tmp_path, SIXTEEN, PresentationLUTShape="INVERSE", BitsStored=12)
    assert alone.pixels[0, 0] == 1.0
    np.testing.assert_array_equal(alone.pixels, both.pixels)
    np.testing.assert_allclose(contradiction.pixels, 1 - alone.pixels, atol=1e-6)
    assert both.warnings == ()
    assert "contradicts" in contradiction.warnings[0]


def test_padding_is_black_and_left_out_of_the_percentiles(tmp_path):
    """Half an image of padding far above the picture neither shows nor moves the gray levels."""
    picture = SIXTEEN + 1000
    padded = picture.copy()
    padded[:32] = 60000
    padded[:4] = 60010
    tags = {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 60010}
    frame = shown(tmp_path, padded, PhotometricInterpretation="MONOCHROME1", **tags)
    assert frame.pixels[:32].max() == 0.0
    assert frame.pixels[32, 0] > 0.95
    assert frame.pixels[63, 63] < 0.05


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"WindowCenter": "50000", "WindowWidth": "100"}, "window 1 misses"),
        ({"WindowCenter": "0", "WindowWidth": "65536"}, "window 1 misses"),
        ({"WindowCenter": "2000", "WindowWidth": "0"}, "width 0"),
        ({"WindowCenter": "2000", "WindowWidth": "-5"}, "width -5"),
    ],
)
def test_a_window_that_shows_nothing_is_noticed(tmp_path, tags, expected):
    """The percentiles of the pixels take its place, and the reader is informed."""
    frame = shown(tmp_path, SIXTEEN // 4 + 1000, **tags)
    assert expected in " ".join(frame.warnings)
    assert np.percentile(frame.pixels, 95) - np.percentile(frame.pixels, 5) > 0.8


def test_the_window_that_fits_is_taken_of_several(tmp_path):
    """The first window misses, the second is used, and the reader is informed which."""
    tags = {"WindowCenter": ["50000", "2048"], "WindowWidth": ["100", "4096"]}
    frame = shown(tmp_path, SIXTEEN, **tags)
    single = shown(tmp_path, SIXTEEN, WindowCenter="2048", WindowWidth="4096")
    np.testing.assert_array_equal(frame.pixels, single.pixels)
    assert frame.warnings[-1] == "Shown with the window 2."
    assert single.warnings == ()


def test_a_damaged_voi_lut_gives_way_to_the_window(tmp_path):
    """A table shorter than its descriptor declares is not used."""
    frame = shown(
        tmp_path,
        SIXTEEN,
        VOILUTSequence=[lut([4096, 0, 12], [1, 2, 3])],
        WindowCenter="2048",
        WindowWidth="4096",
    )
    assert frame.warnings == ("VOI LUT 1 is damaged and was not used.", "Shown with the window 1.")


def test_unused_bits_are_ignored(tmp_path):
    """An overlay in the four high bits does not show, nor does a shift by High Bit."""
    window = {"WindowCenter": "2048", "WindowWidth": "4096"}
    plain = shown(tmp_path, SIXTEEN, BitsStored=12, **window).pixels
    overlaid = shown(tmp_path, SIXTEEN | 0x5000, BitsStored=12, **window).pixels
    shifted = shown(tmp_path, SIXTEEN << 4, BitsStored=12, HighBit=15, **window).pixels
    np.testing.assert_array_equal(overlaid, plain)
    np.testing.assert_array_equal(shifted, plain)


def test_a_raw_image_reports_it(tmp_path):
    """FOR PROCESSING is a warning, not a refusal."""
    frame = shown(tmp_path, SIXTEEN, SOPClassUID=DigitalXRayImageStorageForProcessing)
    assert "FOR PROCESSING" in frame.warnings[0]


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"PhotometricInterpretation": "RGB"}, "color"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "color"),
        ({"PhotometricInterpretation": None}, "MONOCHROME1 or MONOCHROME2"),
        ({"NumberOfFrames": "2"}, "2 frames"),
        ({"Rows": None}, "no Rows"),
        ({"Rows": 0}, "0 x 64"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits"),
        ({"BitsStored": 4}, "4 bits"),
        ({"Rows": 65}, "has 8192"),
    ],
)
def test_what_is_not_one_grayscale_image_is_refused_with_a_message(tmp_path, tags, message):
    """Each refusal is a PixelError whose message names the fault."""
    with pytest.raises(PixelError, match=message):
        shown(tmp_path, SIXTEEN, **tags)


def test_size_is_checked_before_anything_is_allocated(tmp_path):
    """65,535 rows and columns are refused from the header alone."""
    with pytest.raises(LimitExceeded, match="65535 x 65535"):
        shown(tmp_path, SIXTEEN, Rows=65535, Columns=65535)


def test_a_file_longer_than_the_limit_is_refused(tmp_path):
    """`max_bytes` bounds the whole data set."""
    path = wrapped(tmp_path, SIXTEEN)
    with pytest.raises(LimitExceeded, match="longer than 4096 bytes"):
        load_frame(path, PixelLimits(max_pixels=2**20, max_bytes=4096))


def test_a_deflated_bomb_is_refused_in_bounded_memory(tmp_path):
    """A megabyte that inflates to a gigabyte of pixels is given up at the limit."""
    path = wrapped(tmp_path, SIXTEEN, syntax=DeflatedExplicitVRLittleEndian)
    image = path.read_bytes()
    meta_end = 144 + struct.unpack_from("<L", image, 140)[0]
    inner = zlib.decompress(image[meta_end:], -zlib.MAX_WBITS)
    head = inner[: inner.rindex(b"\xe0\x7f\x10\x00OW") + 8]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = squeeze.compress(head + struct.pack("<L", 2**30))
    for _ in range(1024):
        bomb += squeeze.compress(bytes(2**20))
    path.write_bytes(image[:meta_end] + bomb + squeeze.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LimitExceeded):
        load_frame(path, LIMITS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024


def test_a_codestream_larger_than_the_header_states_is_not_decoded(shared_data, tmp_path):
    """A JPEG 2000 picture of 440 x 440 in an image of 64 x 64 is refused by its SIZ segment."""
    image = dcmread(shared_data / "cxr-dicom" / "barre_cxr_j2k-lossless.dcm")
    path = wrapped(tmp_path, SIXTEEN, syntax=JPEG2000Lossless, encoded=image.PixelData)
    with pytest.raises(PixelError, match="440 x 440"):
        load_frame(path, LIMITS)


def test_an_rle_bomb_is_not_decoded(tmp_path):
    """A segment of two megabytes that would inflate to 128 MiB is refused, not inflated."""
    segment = b"\x81\x00" * (2**20 + 1)
    frame = struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2
    path = wrapped(tmp_path, SIXTEEN, syntax=RLELossless, encoded=encapsulate([frame]))
    with pytest.raises(PixelError, match="RLE segment is damaged"):
        load_frame(path, LIMITS)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", RLELossless]
)
def test_bytes_that_are_no_codestream_are_refused(tmp_path, syntax):
    """Random fragments end in a PixelError before or in the decoder."""
    noise = np.random.default_rng(0).bytes(5000)
    path = wrapped(tmp_path, SIXTEEN, syntax=UID(syntax), encoded=encapsulate([noise]))
    with pytest.raises(PixelError):
        load_frame(path, LIMITS)


@pytest.mark.parametrize(
    "kind", ["j2k-lossless", "jpeg-lossless-sv1", "jpegls-lossless", "rle-lossless"]
)
def test_compressed_images_with_flipped_bytes_give_a_frame_or_a_typed_refusal(
    shared_data, tmp_path, kind
):
    """Forty damaged copies of one image never raise another exception."""
    image = (shared_data / "cxr-dicom" / f"barre_cxr_{kind}.dcm").read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / "damaged.dcm"
    for _ in range(40):
        damaged = bytearray(image)
        for at in rng.integers(1500, len(image), 12):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert load_frame(path, LIMITS).pixels.shape == (440, 440)
        except (PixelError, InvalidDataset):
            continue


EVERY_EDGE_CASE = """
import json, resource, signal, sys, time, warnings
from pathlib import Path
from dicom.errors import InvalidDataset, PixelError
from dicom.pixels.frame import PixelLimits, load_frame
warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
ends = {}
for path in sorted(p for p in Path(sys.argv[1]).rglob("*") if p.is_file()):
    signal.alarm(10)
    begun = time.monotonic()
    try:
        load_frame(path, PixelLimits(max_pixels=2**26, max_bytes=2**28))
        end = "Frame"
    except (InvalidDataset, PixelError) as error:
        end = f"{type(error).__name__}: {error}"
    ends[path.name] = (end, time.monotonic() - begun)
print(json.dumps(ends))
"""


def test_every_edge_case_ends_typed_in_bounded_time_and_memory(shared_data):
    """All 150 odd files end as a Frame or as a typed refusal, each within 10 s, under 2 GiB."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_EDGE_CASE, str(shared_data / "edge-cases")],
        check=False,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ends = json.loads(done.stdout.splitlines()[-1])
    assert len(ends) > 150
    assert ends["rows_cols_65535_bomb.dcm"][0].startswith("LimitExceeded")
    assert ends["declared_3_frames.dcm"][0].startswith("PixelError: the image has 3 frames")
    assert ends["declared_rgb.dcm"][0].startswith("PixelError: the image is in color")
    assert ends["element_one_byte_short.dcm"][0].startswith("InvalidDataset")
    assert ends["windowwidth_zero.dcm"][0] == "Frame"
    assert ends["bitsstored16_highbit9.dcm"][0] == "Frame"


def test_a_file_that_is_not_there_is_an_invalid_data_set(tmp_path):
    """No OSError escapes."""
    with pytest.raises(DicomError):
        load_frame(Path(tmp_path, "nothing.dcm"), LIMITS)
