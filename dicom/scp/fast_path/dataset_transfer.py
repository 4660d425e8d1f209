"""The fragments of one data set on their way from the socket's buffer to the file."""

import struct
from typing import Any, Final

from dicom.scp.fast_path.buffered_socket import BufferedSocket
from dicom.scp.pdu_codec import P_DATA_TF, PDU, PDV, UnexpectedFragment
from dicom.scp.streaming import MAXIMUM_PDU
from dicom.spool.incoming_file import Incoming

# With less room behind what was collected, that is written first.
_ROOM: Final = 64 * 2**10
# Fragments may be as short as a byte; so many are written at once at most.
_MOST_PIECES: Final = 512


class DatasetTransfer:
    """Takes a data set apart into its fragments and writes them, as many at once as the buffer holds.

    Each write is a chance for another thread to take the interpreter: a small film is written in one.
    """

    def __init__(self, source: BufferedSocket, incoming: Incoming, pdu_left: int) -> None:
        self.pdu_left = pdu_left
        self._source = source
        self._incoming = incoming
        self._pieces: list[memoryview] = []

    def run(self, context_id: int) -> bool:
        """Return True after the last fragment; False when another PDU than data interrupts it.

        Raises:
            OSError: The connection ended, or was silent for too long.
            OutOfTurn: The fragments are not those of one data set.
        """
        while self._begin_pdu():
            length, context, control = self._unpack(PDV)
            self.pdu_left -= length + 4
            if self.pdu_left < 0 or length < 2 or context != context_id or control & 1:
                raise UnexpectedFragment
            self._fragment(length - 2)
            if control & 2:
                self._write()
                return True
        self._write()
        return False

    def _begin_pdu(self) -> bool:
        if self.pdu_left:
            return True
        kind, length = self._unpack(PDU)
        if kind != P_DATA_TF:
            self._source.low -= PDU.size
            return False
        if not PDV.size <= length <= MAXIMUM_PDU:
            raise UnexpectedFragment
        self.pdu_left = length
        return True

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        source = self._source
        while source.high - source.low < layout.size:
            self._read_on()
        values = layout.unpack_from(source.view, source.low)
        source.low += layout.size
        return values

    def _fragment(self, left: int) -> None:
        source = self._source
        while left:
            have = min(left, source.high - source.low)
            if not have:
                self._read_on(left)
                continue
            self._pieces.append(source.view[source.low : source.low + have])
            source.low += have
            left -= have
            if len(self._pieces) == _MOST_PIECES:
                self._write()

    def _read_on(self, certain: int = 0) -> None:
        """Read behind what is collected, or instead of it when the buffer is full."""
        source = self._source
        if source.room < _ROOM:
            self._write()
            source.begin_again()
        source.fill(certain)

    def _write(self) -> None:
        if self._pieces:
            self._incoming.write_all(self._pieces)
            self._pieces = []
