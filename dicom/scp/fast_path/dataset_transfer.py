"""Transfers the fragments of one data set from the socket's buffer to the spool file."""

import struct
from typing import Any, Final

from dicom.scp.fast_path.buffered_socket import BufferedSocket
from dicom.scp.pdu_codec import P_DATA_TF, PDU, PDV, UnexpectedFragment
from dicom.scp.streaming import MAXIMUM_PDU
from dicom.spool.incoming_file import Incoming

# With less free room in the buffer, the collected fragments are written first.
_ROOM: Final = 64 * 2**10
# Most fragments in one write; a fragment may be as short as one byte.
_MOST_PIECES: Final = 512


class DatasetTransfer:
    """Splits a data set into its fragments and writes as many at once as the buffer holds.

    Each write releases the interpreter lock to other threads, so a small image is written in one call.

    Attributes:
        pdu_left: Bytes of the current PDU that have not been read.
    """

    def __init__(self, source: BufferedSocket, incoming: Incoming, pdu_left: int) -> None:
        self.pdu_left = pdu_left
        self._source = source
        self._incoming = incoming
        self._pieces: list[memoryview] = []

    def run(self, context_id: int) -> bool:
        """Write all fragments; return True after the last, False if a PDU other than P-DATA-TF comes.

        Raises:
            OSError: The connection ended, or a read timed out.
            UnexpectedFragment: A fragment does not belong to the data set, or lengths contradict.
        """
        while self._begin_pdu():
            length, context, control = self._unpack(PDV)
            self.pdu_left -= length + 4  # the length excludes its own four bytes (PS3.8 9.3.5.1)
            # Control bit 0 marks a command fragment, bit 1 the last fragment (PS3.8 E.2).
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
            self._source.low -= PDU.size  # unread its header, for pynetdicom
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

    def _read_on(self, expected: int = 0) -> None:
        """Read more; if the buffer is nearly full, write the collected fragments first."""
        source = self._source
        if source.room < _ROOM:
            self._write()  # before compact, which overwrites the collected views
            source.compact()
        source.fill(expected)

    def _write(self) -> None:
        if self._pieces:
            self._incoming.write_all(self._pieces)
            self._pieces = []
