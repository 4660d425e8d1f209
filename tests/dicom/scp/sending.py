"""Associations, requests and data sets that the tests send to an SCP."""

import socket
import struct
from io import BytesIO
from pathlib import Path
from queue import Queue

from pydicom.uid import UID
from pynetdicom import AE, build_context, evt
from pynetdicom.dimse_primitives import C_STORE

from dicom.parsing.header import check_identity, read_header
from dicom.pynetdicom_private import C_STORE_RQ
from dicom.scp.presentation_contexts import ScpSettings
from dicom.scp.storage_scp import StorageSCP
from dicom.spool.spool import Spool

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


CR = "1.2.840.10008.5.1.4.1.1.1"


EXPLICIT = "1.2.840.10008.1.2.1"


def files(spool: Spool) -> list[Path]:
    """Return the files in the spool, its lock files left out."""
    found = (path for path in spool.root.rglob("*") if path.is_file())
    return [path for path in found if path.parent.name != "locks"]


def dataset_bytes(path: Path) -> bytes:
    """Return a file's bytes behind its file meta group; all of them when it has none."""
    content = path.read_bytes()
    if content[128:132] != b"DICM" or len(content) < 144:
        return content or b"\0\0"  # a data set of no bytes cannot be sent
    (length,) = struct.unpack_from("<L", content, 140)
    return content[144 + length :]


def associate(scp, *contexts, calling="MODALITY", called="WETREAD"):
    """Return an association with the SCP, established or not."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    proposed = [build_context(abstract, [transfer]) for abstract, transfer in contexts]
    link = entity.associate("127.0.0.1", scp.port, contexts=proposed, ae_title=called)
    if link.is_established:
        link.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def started(spool, handler, **settings):
    """Return an SCP that listens, with these settings besides the defaults."""
    server = StorageSCP(
        ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0, **settings), spool, handler
    )
    server.start()
    return server


def request_association(scp, *, calling="MODALITY", called="WETREAD") -> bytes:
    """Return the SCP's answer to an association request; pynetdicom misses a fast rejection."""
    with socket.create_connection(("127.0.0.1", scp.port), 10) as connection:
        connection.sendall(association_request(calling, called))
        return connection.recv(4096)


def association_request(calling="MODALITY", called="WETREAD") -> bytes:
    """Return an A-ASSOCIATE-RQ for CR."""

    def item(kind: int, body: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(body)) + body

    context = bytes([1, 0, 0, 0]) + item(0x30, CR.encode()) + item(0x40, EXPLICIT.encode())
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4")
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
    return struct.pack(">BxL", 1, len(body)) + body


def send_raw(association, content: bytes, *, sop_class: str, uid: str, syntax: str):
    """Send data set bytes as they are and return the response's status."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = UID(sop_class)
    request.AffectedSOPInstanceUID = UID(uid)
    request.Priority = 2
    request.DataSet = BytesIO(content)
    context = next(
        each
        for each in association.accepted_contexts
        if (each.abstract_syntax, each.transfer_syntax[0]) == (sop_class, syntax)
    )
    answers: Queue = Queue()
    # Not get_msg(): the association's own thread sometimes takes the response first.
    handler = (evt.EVT_DIMSE_RECV, lambda event: answers.put(event.message.command_set))
    association.bind(*handler)
    try:
        association.dimse.send_msg(request, context.context_id)
        return answers.get(timeout=20)
    finally:
        association.unbind(*handler)


def send_file(scp, path: Path, content: bytes | None = None, **association):
    """Send an image's data set (or other bytes in its place) over an association of its own."""
    header = read_header(path)
    identity = check_identity(header)
    syntax = str(header.file_meta.TransferSyntaxUID)
    link = associate(scp, (identity.sop_class_uid, syntax), **association)
    assert link.is_established
    response = send_raw(
        link,
        dataset_bytes(path) if content is None else content,
        sop_class=identity.sop_class_uid,
        uid=identity.sop_instance_uid,
        syntax=syntax,
    )
    link.release()
    return response


def send_half(link) -> None:
    """Send a C-STORE command and the first fragment of its data set, only."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(CR), UID("1.2.3")
    request.Priority = 2
    request.DataSet = BytesIO(bytes(200_000))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    fragments = message.encode_msg(link.accepted_contexts[0].context_id, 16_384)
    for _ in range(3):
        link.dul.send_pdu(next(fragments))
