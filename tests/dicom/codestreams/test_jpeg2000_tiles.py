"""Tiles, precincts and code-blocks, counted by hand (ISO/IEC 15444-1 Annex B)."""

import struct

import pytest

from dicom.codestreams.jpeg2000_tiles import Area, CodingStyle, TileGrid, precincts
from dicom.errors import LimitExceeded, PixelError


def grid(image, tile, origin=(0, 0)):
    """Return the grid of a SIZ segment: image area, size of a tile, origin of the tiles."""
    left, top, right, bottom = image
    return TileGrid.read(struct.pack(">H8L", 0, right, bottom, left, top, *tile, *origin))


def style(levels=1, *, block=6, sizes=b"", layers=1, progression=0):
    """Return the style of a COD segment; `block` is the exponent of width and height."""
    head = struct.pack(">BBHB", 1 if sizes else 0, progression, layers, 0)
    return CodingStyle.read(head + bytes([levels, block - 2, block - 2, 0, 1]) + sizes)


def test_tiles_divide_the_image():
    """Tiles of 64 x 64 from the origin; those at the edge are cut at the image's area."""
    found = grid((10, 0, 150, 100), (64, 64))
    assert (found.across, found.tiles) == (3, 6)
    assert found.bounds(0) == Area(10, 0, 64, 64)
    assert found.bounds(5) == Area(128, 64, 150, 100)


@pytest.mark.parametrize("tile", [(0, 64), (64, 0)])
def test_an_impossible_grid_is_refused(tile):
    """A tile has an area, and the first one holds the image's first pixel."""
    with pytest.raises(PixelError, match="tiles"):
        grid((0, 0, 10, 10), tile)
    with pytest.raises(PixelError, match="tiles"):
        grid((20, 0, 30, 10), (16, 16))


def test_each_resolution_has_its_bands():
    """200 x 100 halved once: 2 x 1 blocks of 64 x 64 in each band, one band in the lowest."""
    lowest, highest = precincts(Area(0, 0, 200, 100), style())
    assert [each.bands for each in lowest] == [((2, 1),)]
    assert [each.bands for each in highest] == [((2, 1), (2, 1), (2, 1))]


def test_odd_sizes_are_divided_as_in_equation_b_15():
    """Of 5 x 1 pixels the low-pass band has 3 columns, the high-pass band 2, and no row above it."""
    lowest, highest = precincts(Area(0, 0, 5, 1), style(block=2))
    assert [each.bands for each in lowest] == [((1, 1),)]
    assert [each.bands for each in highest] == [((1, 1), (0, 0), (0, 0))]


def test_precincts_divide_a_resolution():
    """Precincts of 2^5 x 2^5 in the lowest and 2^6 x 2^6 in the highest of two resolutions."""
    lowest, highest = precincts(Area(0, 0, 128, 64), style(sizes=b"\x55\x66"))
    assert (len(lowest), len(highest)) == (2, 2)
    assert highest[1].order == (0, 64, 1)
    assert highest[1].bands == ((1, 1), (1, 1), (1, 1))


def test_a_component_changes_the_style():
    """A COC segment replaces levels and blocks; progression and layers stay."""
    changed = style(layers=3, progression=2).changed(bytes([0, 0, 2, 3, 3, 0, 1]))
    assert (changed.levels, changed.block, changed.layers, changed.progression) == (2, (5, 5), 3, 2)
    assert changed.precincts == ((15, 15),) * 3


def test_an_impossible_style_is_refused():
    """More than 32 levels, and precinct sizes that are cut off."""
    with pytest.raises(PixelError, match="coding style"):
        style(levels=33)
    with pytest.raises(PixelError, match="coding style"):
        style(levels=2, sizes=b"\x55")


def test_more_blocks_than_any_writer_makes_are_refused():
    """4 x 4 blocks of an image of 16 million pixels, and precincts of one pixel, are counted only."""
    with pytest.raises(LimitExceeded, match="code-blocks"):
        precincts(Area(0, 0, 4096, 4096), style(block=2))
    with pytest.raises(LimitExceeded, match="precincts"):
        precincts(Area(0, 0, 4096, 4096), style(levels=0, sizes=b"\x00"))


def test_high_throughput_is_a_flag_of_the_style():
    """Bit 6 of the code-block style (ISO/IEC 15444-15)."""
    segment = bytes([0, 0, 0, 1, 0, 1, 4, 4, 0x40, 1])
    assert CodingStyle.read(segment).high_throughput
    assert not style().high_throughput
