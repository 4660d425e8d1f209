"""The scans of a progressive JPEG image of one component, passed code by code (ISO/IEC 10918-1 G).

Films of this kind are rare, so this is written plainly: about a microsecond a code.
"""

from dataclasses import dataclass, field
from typing import Final

from dicom.codestreams.huffman import HuffmanTable
from dicom.errors import PixelError

_COEFFICIENTS: Final = 64
_RUN: Final = 15  # of zeros, where the size is 0
_UNSENT: Final = 16  # bits of a coefficient that are still to come


@dataclass(slots=True)
class Progress:
    """What earlier scans sent.

    Attributes:
        nonzero: One byte for each coefficient of each block: whether it is known not to be zero.
        missing: How many low bits of each coefficient are still to come.
    """

    nonzero: bytearray
    missing: list[int] = field(default_factory=lambda: [_UNSENT] * _COEFFICIENTS)

    @property
    def complete(self) -> bool:
        """Whether all bits of all coefficients were sent."""
        return not any(self.missing)

    def start(self, first: int, last: int, approximation: int) -> bool:
        """Note a scan by its header; return whether it refines an earlier one (G.1.1.1).

        Raises:
            PixelError: It does not follow from those before.
        """
        high, low = approximation >> 4, approximation & 15
        alone = first == 0 and last > 0  # the mean has scans of its own
        due = high or _UNSENT
        if alone or not first <= last < _COEFFICIENTS or (high and low != high - 1):
            raise PixelError("a scan of the compressed image is damaged")
        if any(bits != due for bits in self.missing[first : last + 1]):
            raise PixelError("the compressed image is damaged: one of its scans is missing")
        self.missing[first : last + 1] = [low] * (last + 1 - first)
        return high > 0


@dataclass(slots=True)
class ProgressiveScan:
    """Passes the codes of one scan.

    Attributes:
        data: Its entropy-coded data without stuffed zeros.
        table: The table of its codes; None where it has none, as when it refines the means.
        band: The first and the last coefficient that it sends.
        refines: Whether it sends one bit more of what an earlier scan sent.
        progress: What earlier scans sent.
    """

    data: bytes
    table: HuffmanTable | None
    band: tuple[int, int]
    refines: bool
    progress: Progress
    _at: int = 0
    _blocks_left: int = 0  # of a run of blocks without any more coefficients

    def passing(self, position: int, first: int, blocks: int) -> tuple[int, int]:
        """Return where the codes of so many blocks end, in bits, and how many blocks there were.

        Args:
            position: Where they begin.
            first: The first of the blocks.
            blocks: How many there should be; fewer are passed where the data end before.

        Raises:
            PixelError: A code cannot be.
        """
        self._at, self._blocks_left = position, 0
        for block in range(first, first + blocks):
            if self._at > 8 * len(self.data):
                return self._at, block - first
            self._pass_block(_COEFFICIENTS * block)
        if self._blocks_left:
            raise PixelError("the compressed image is damaged: a run of blocks does not end")
        return self._at, blocks

    def _pass_block(self, base: int) -> None:
        if self.band[0] == 0:
            size = 1 if self.refines else self._code()
            self._at += size
        elif self.refines:
            self._refine(base)
        elif self._blocks_left:
            self._blocks_left -= 1
        else:
            self._send(base)

    def _send(self, base: int) -> None:
        """Pass the first bits of a block's coefficients (G.1.2.2)."""
        at, last = self.band
        while at <= last:
            run, size = divmod(self._code(), 16)
            if size:
                at += run
                self._at += size
                self._set(base, at)
                at += 1
            elif run == _RUN:
                at += _RUN + 1
            else:
                self._blocks_left = self._run_of_blocks(run) - 1
                return

    def _refine(self, base: int) -> None:
        """Pass one bit more of a block's coefficients (G.1.2.3)."""
        at, last = self.band
        while at <= last and not self._blocks_left:
            run, size = divmod(self._code(), 16)
            if size > 1:
                raise PixelError("the compressed image is damaged: a code cannot be")
            if not size and run < _RUN:
                self._blocks_left = self._run_of_blocks(run)
                break
            self._at += size  # the sign
            at = self._skip(base, at, run)
            if size:
                self._set(base, at)
            at += 1
        if self._blocks_left:
            self._at += sum(self.progress.nonzero[base + at : base + last + 1])
            self._blocks_left -= 1

    def _skip(self, base: int, at: int, zeros: int) -> int:
        """Return the coefficient after so many that are zero; of the others a bit each is passed."""
        nonzero, last = self.progress.nonzero, self.band[1]
        while at <= last:
            if nonzero[base + at]:
                self._at += 1
            elif zeros:
                zeros -= 1
            else:
                break
            at += 1
        return at

    def _set(self, base: int, at: int) -> None:
        if at > self.band[1]:
            raise PixelError("the compressed image is damaged: a block has too many coefficients")
        self.progress.nonzero[base + at] = 1

    def _run_of_blocks(self, size: int) -> int:
        """Return how many blocks from this one on have no more coefficients (G.1.2.2)."""
        extra = self._window() >> (16 - size)
        self._at += size
        return (1 << size) + extra

    def _code(self) -> int:
        """Return what the next code stands for."""
        if self.table is None:
            raise PixelError("the compressed image lacks a Huffman table that its scan needs")
        window = self._window()
        bits, symbol = int(self.table.bits[window]), int(self.table.symbols[window])
        if not bits:
            raise PixelError(
                f"the compressed image is damaged: an undefined code at byte {self._at // 8}"
            )
        self._at += bits
        return symbol

    def _window(self) -> int:
        """Return the next 16 bits; after the end of the data they are ones."""
        first = self._at >> 3
        three = self.data[first : first + 3].ljust(3, b"\xff")
        return int.from_bytes(three) >> (8 - (self._at & 7)) & 0xFFFF
