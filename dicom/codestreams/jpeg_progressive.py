"""A walk along the codes of a progressive JPEG image of one component (ISO/IEC 10918-1 G).

Such radiographs are rare, so the code is simple rather than fast: about a microsecond per code.
"""

from dataclasses import dataclass, field
from typing import Final

from dicom.codestreams.huffman import HuffmanTable
from dicom.errors import PixelError

_COEFFICIENTS: Final = 64
_RUN: Final = 15  # with size 0: 16 zeros (ZRL); a smaller run with size 0 ends the band (EOBn)
_UNSENT: Final = 16  # missing bits of a coefficient before its first scan


@dataclass(slots=True)
class Progress:
    """What the scans so far transmitted.

    Attributes:
        nonzero: One byte for each coefficient of each block: 1 if it is known not to be zero.
        missing: Number of low bits of each coefficient that are still missing.
    """

    nonzero: bytearray
    missing: list[int] = field(default_factory=lambda: [_UNSENT] * _COEFFICIENTS)

    @property
    def complete(self) -> bool:
        """Whether all bits of all coefficients were transmitted."""
        return not any(self.missing)

    def start(self, first: int, last: int, approximation: int) -> bool:
        """Record a scan by its header; return whether it refines an earlier one (G.1.1.1).

        Raises:
            PixelError: It is damaged, or does not continue the scans before it.
        """
        high, low = approximation >> 4, approximation & 15
        alone = first == 0 and last > 0  # the DC coefficient must have scans of its own
        due = high or _UNSENT
        if alone or not first <= last < _COEFFICIENTS or (high and low != high - 1):
            raise PixelError("a scan of the compressed image is damaged")
        if any(bits != due for bits in self.missing[first : last + 1]):
            raise PixelError("the compressed image is damaged: one of its scans is missing")
        self.missing[first : last + 1] = [low] * (last + 1 - first)
        return high > 0


@dataclass(slots=True)
class ProgressiveScan:
    """A walk along the codes of one scan.

    Attributes:
        data: Its entropy-coded data without stuffed zeros.
        table: The table of its codes; None if it has none, as when it refines DC coefficients.
        band: The first and the last coefficient that it transmits.
        refines: Whether it transmits one more bit of coefficients of an earlier scan.
        progress: What earlier scans transmitted; updated by the walk.
    """

    data: bytes
    table: HuffmanTable | None
    band: tuple[int, int]
    refines: bool
    progress: Progress
    _at: int = 0
    _blocks_left: int = 0  # in a run of blocks without further coefficients

    def passing(self, position: int, first: int, blocks: int) -> tuple[int, int]:
        """Return the bit position after the codes of blocks, and the number of blocks.

        Args:
            position: Bit position of the first code.
            first: Index of the first block.
            blocks: How many there should be; fewer are passed if the data ends before.

        Raises:
            PixelError: A code is invalid, or a run of blocks does not end.
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
        """Pass a block's coefficients in the scan that transmits them first (G.1.2.2)."""
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
        """Pass a block's coefficients in a scan that transmits one more bit of them (G.1.2.3)."""
        at, last = self.band
        while at <= last and not self._blocks_left:
            run, size = divmod(self._code(), 16)
            if size > 1:
                raise PixelError("the compressed image is damaged: a code is invalid")
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
        """Return the coefficient after `zeros` zero ones; pass one bit for each nonzero one."""
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
        """Return how many blocks from this one on have no further coefficients (G.1.2.2)."""
        extra = self._window() >> (16 - size)
        self._at += size
        return (1 << size) + extra

    def _code(self) -> int:
        """Pass the next code and return its symbol."""
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
        """Return the next 16 bits, with ones after the end of the data."""
        first = self._at >> 3
        three = self.data[first : first + 3].ljust(3, b"\xff")
        return int.from_bytes(three) >> (8 - (self._at & 7)) & 0xFFFF
