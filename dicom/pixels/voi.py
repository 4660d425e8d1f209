"""From stored values to gray levels: Modality LUT or rescale, then VOI LUT or window.

The steps and their order are those of PS3.3 C.11.1 and C.11.2. A radiograph has at most 65,536
different stored values, so each step is applied to a table of these values and their counts;
`dicom.pixels.frame` maps the image itself once, at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom.errors import PixelError
from dicom.pixels.lookup_table import FloatTable, LookupTable, read_lookup_table
from dicom.pixels.rescale import decimals, rescale_of

Counts = NDArray[np.int64]

LINEAR, LINEAR_EXACT, SIGMOID = "LINEAR", "LINEAR_EXACT", "SIGMOID"
VOI_FUNCTIONS: Final = (LINEAR, LINEAR_EXACT, SIGMOID)
# Names of VOI transformations that no file offers.
FULL_RANGE, PERCENTILES = "full range", "0.5 to 99.5 percentile"

# A VOI transformation is rejected if it clips more than this share of the pixels (a child on a large
# detector leaves most of it to air, which is rightly clipped) ...
_MOST: Final = 0.8
# ... or if the 5th and the 95th percentile of the gray levels differ by less than this.
_FLAT: Final = 0.25
# Without a VOI the contrast was not chosen for this image, so the full range must give more of it.
_FLAT_UNCHOSEN: Final = 0.3
# Limits of the brightness of a chest radiograph. Of the real images in docs/selection.md the 98th
# percentile is above 0.56, the 25th at most 0.65, and 0.4 % of the pixels are white.
_DARK_98TH: Final = 0.45
_BRIGHT_25TH: Final = 0.75
_MOST_WHITE: Final = 0.45
_FALLBACK_PERCENTILES: Final = (0.5, 99.5)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histogram:
    """How often each modality value occurs among the pixels that are not padding.

    Attributes:
        values: float64 [N], one for each stored value, in the order of the stored values.
        counts: int64 [N].
    """

    values: FloatTable
    counts: Counts

    def percentile(self, percent: float) -> float:
        """Return the modality value below which `percent` of the pixels lie."""
        order = np.argsort(self.values, kind="stable")
        running = np.cumsum(self.counts[order])
        place = int(np.searchsorted(running, percent / 100 * running[-1]))
        return float(self.values[order[min(place, len(order) - 1)]])

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest modality value that occurs."""
        present = self.values[self.counts > 0]
        return float(present.min()), float(present.max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window (PS3.3 C.11.2.1.2): its function, one of `VOI_FUNCTIONS`, center and width."""

    function: str
    center: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Voi:
    """A VOI transformation: offered by the file, or derived from the pixels.

    Attributes:
        name: Its name in warnings ("window 2").
        show: Maps modality values to 0..1.
        form: The window or the table that `show` applies.
        number: Its place in its attribute, from 1; 0 if the file does not offer it.
        note: A sentence for the reader if it is used, or "".
    """

    name: str
    show: Callable[[FloatTable], FloatTable]
    form: Window | LookupTable
    number: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoiChoice:
    """The VOI transformation that an image is shown with, and those that its file offers."""

    voi: Voi
    offered: tuple[Voi, ...]
    warnings: tuple[str, ...] = ()


def modality_values(
    header: Dataset, stored: FloatTable, *, signed: bool
) -> tuple[FloatTable, tuple[str, ...]]:
    """Return the modality value of each stored value, and warnings (PS3.3 C.11.1).

    Args:
        header: With Modality LUT Sequence, Rescale Slope and Rescale Intercept where present.
        stored: Any stored values.
        signed: Whether stored values may be negative (Pixel Representation).

    Raises:
        PixelError: The Modality LUT or the rescale cannot be used.
    """
    tables = items_of(header, "ModalityLUTSequence")
    if tables:
        return _table(tables[0], header, signed=signed).look_up(stored), ()
    rescale = rescale_of(header)
    return stored * rescale.slope + rescale.intercept, rescale.notes


def choose_voi(
    header: Dataset,
    histogram: Histogram,
    full_range: tuple[float, float],
    *,
    negative: bool = False,
) -> VoiChoice:
    """Return the VOI transformation that shows the image (PS3.3 C.11.2).

    VOI LUTs are tried before windows, each in file order; the full range is tried if there is no VOI.
    The first is used that neither clips most pixels nor shows them too flat, dark or bright. If there
    is none, the 0.5 and 99.5 percentiles of the pixels become black and white.

    Args:
        header: With VOI LUT Sequence, Window Center and Window Width where present.
        histogram: Of the pixels that are not padding.
        full_range: Smallest and largest modality value of the bit depth; tried if there is no VOI.
        negative: Whether the gray levels are inverted for display afterwards (MONOCHROME1).
    """
    offered, warnings = _offered(header, signed=full_range[0] < 0)
    whole = range_voi(FULL_RANGE, *full_range)
    if not histogram.counts.any() or histogram.extremes[0] == histogram.extremes[1]:
        return VoiChoice(voi=whole, offered=tuple(offered))
    for number, voi in enumerate(offered):
        if fault := _fault(histogram, voi.show(histogram.values), _FLAT, negative=negative):
            warnings.append(f"The {voi.name} {fault} and was not used.")
            continue
        if number or warnings:
            warnings.append(f"Shown with the {voi.name}.")
        warnings += filter(None, [voi.note])
        return VoiChoice(voi=voi, offered=tuple(offered), warnings=tuple(warnings))
    if not offered:
        levels = whole.show(histogram.values)
        if not _fault(histogram, levels, _FLAT_UNCHOSEN, negative=negative):
            return VoiChoice(voi=whole, offered=(), warnings=tuple(warnings))
        warnings.append("The image has no usable VOI window.")
    warnings.append("Gray levels were set from the 0.5 and 99.5 percentiles of its pixels.")
    voi = percentile_voi(histogram)
    return VoiChoice(voi=voi, offered=tuple(offered), warnings=tuple(warnings))


def range_voi(name: str, black: float, white: float) -> Voi:
    """Return the VOI transformation that shows `black` as 0, `white` as 1, and is linear between."""
    form = Window(function=LINEAR_EXACT, center=(black + white) / 2, width=white - black)
    return Voi(name=name, show=lambda values: _linear(values, black, white), form=form)


def percentile_voi(histogram: Histogram) -> Voi:
    """Return the VOI transformation from the 0.5 to the 99.5 percentile of the pixels."""
    black, white = (histogram.percentile(percent) for percent in _FALLBACK_PERCENTILES)
    return range_voi(PERCENTILES, black, white)


def _fault(histogram: Histogram, levels: FloatTable, flat: float, *, negative: bool) -> str:
    """Return why `levels` cannot display a chest radiograph, as the predicate of a sentence, or ""."""
    if _misses(histogram, levels, flat):
        return "misses most of the image"
    shown = 1.0 - levels if negative else levels
    if Histogram(values=shown, counts=histogram.counts).percentile(98) < _DARK_98TH:
        return "shows the image implausibly dark"
    white = _inner(histogram) & (shown >= 1.0)
    if (
        Histogram(values=shown, counts=histogram.counts).percentile(25) > _BRIGHT_25TH
        or histogram.counts[white].sum() > _MOST_WHITE * histogram.counts.sum()
    ):
        return "shows the image implausibly bright"
    return ""


def _misses(histogram: Histogram, levels: FloatTable, flat: float) -> bool:
    """Return whether `levels` clip most pixels or leave them without contrast."""
    clipped = _inner(histogram) & ((levels <= 0.0) | (levels >= 1.0))
    if histogram.counts[clipped].sum() > _MOST * histogram.counts.sum():
        return True
    shown = Histogram(values=levels, counts=histogram.counts)
    return shown.percentile(95) - shown.percentile(5) < flat


def _inner(histogram: Histogram) -> NDArray[np.bool_]:
    """Return which values lie between the extremes; those at them were clipped on acquisition."""
    lowest, highest = histogram.extremes
    return (histogram.values > lowest) & (histogram.values < highest)


def _offered(header: Dataset, *, signed: bool) -> tuple[list[Voi], list[str]]:
    offered: list[Voi] = []
    warnings: list[str] = []
    for number, item in enumerate(items_of(header, "VOILUTSequence"), 1):
        try:
            table = _table(item, header, signed=signed)
        except PixelError:
            warnings.append(f"VOI LUT {number} is damaged and was not used.")
            continue
        offered.append(_lut_voi(number, table))
    function, note = _function(header)
    windows, unpaired = _windows(header)
    warnings += unpaired
    for number, (center, width) in enumerate(windows, 1):
        if not (np.isfinite(center) and np.isfinite(width)):
            warnings.append(f"Window {number} is not given in numbers and was not used.")
            continue
        if width < _narrowest(function):
            warnings.append(f"Window {number} has the width {width:g} and cannot be used.")
            continue
        form = Window(function=function, center=center, width=width)
        show = _window_shower(function, center, width)
        name = f"window {number}"
        offered.append(Voi(name=name, show=show, form=form, number=number, note=note))
    return offered, warnings


def _function(header: Dataset) -> tuple[str, str]:
    """Return VOI LUT Function, LINEAR if it is absent or unknown, and a note if it is unknown."""
    written = header.get("VOILUTFunction")
    function = str(written or LINEAR).strip().upper()
    if function in VOI_FUNCTIONS:
        return function, ""
    return LINEAR, f"VOI LUT Function {function[:16]!a} is unknown; {LINEAR} was used."


def _narrowest(function: str) -> float:
    """Return the smallest width for which the function is defined (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
    return 1.0 if function == LINEAR else float(np.nextafter(0.0, 1.0))


def _windows(header: Dataset) -> tuple[list[tuple[float, float]], list[str]]:
    """Return center and width of each window, and a note if their numbers differ."""
    centers, widths = decimals(header, "WindowCenter"), decimals(header, "WindowWidth")
    unpaired = []
    if len(centers) != len(widths):
        unpaired.append(
            f"Window Center has {len(centers)} values and Window Width {len(widths)}; those without "
            "a partner were not used."
        )
    return list(zip(centers, widths, strict=False)), unpaired


def _window_shower(
    function: str, center: float, width: float
) -> Callable[[FloatTable], FloatTable]:
    """Return the window as a function (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
    if function == SIGMOID:
        return lambda values: _sigmoid(values, center, width)
    if function == LINEAR_EXACT:
        return lambda values: _linear(values, center - width / 2, center + width / 2)
    middle, half = center - 0.5, (width - 1) / 2
    return lambda values: _linear(values, middle - half, middle + half)


def _sigmoid(values: FloatTable, center: float, width: float) -> FloatTable:
    exponent = np.clip(-4 * (values - center) / width, -700, 700)
    levels: FloatTable = 1 / (1 + np.exp(exponent))
    return levels


def _linear(values: FloatTable, black: float, white: float) -> FloatTable:
    if white <= black:  # a LINEAR window of width 1 is a threshold
        return (values > black).astype(np.float64)
    return np.clip((values - black) / (white - black), 0.0, 1.0)


def _lut_voi(number: int, table: LookupTable) -> Voi:
    name = f"VOI LUT {number}"

    def show(values: FloatTable) -> FloatTable:
        levels: FloatTable = np.clip(table.look_up(values) / (2**table.bits - 1), 0.0, 1.0)
        return levels

    note = ""
    if table.bits != table.declared_bits:
        note = (
            f"The {name} declares {table.declared_bits} bits for each entry and its entries have "
            f"{table.bits}; the latter was used."
        )
    return Voi(name=name, show=show, form=table, number=number, note=note)


def _table(item: Dataset, header: Dataset, *, signed: bool) -> LookupTable:
    little_endian = header.original_encoding[1] is not False
    return read_lookup_table(item, signed=signed, little_endian=little_endian)


def items_of(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence, none if it is absent."""
    value = header.get(keyword)
    return list(value) if isinstance(value, Sequence) else []
