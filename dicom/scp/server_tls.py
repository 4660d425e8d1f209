"""TLS for incoming associations by BCP 195 (RFC 9325), PS3.15 annex B; reloads changed certificates."""

import logging
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicom.scp.refusals import Cause

LOGGER: Final = logging.getLogger(__name__)

_HANDSHAKE: Final = 0x16  # content type of the first TLS record (RFC 8446 5.1)
_ASSOCIATE_RQ: Final = 0x01
# OpenSSL's reason, and what it means for the administrator of the peer.
_FAULTS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (Cause.NO_CERTIFICATE, "it sent no client certificate"),
    "CERTIFICATE_VERIFY_FAILED": (
        Cause.UNKNOWN_AUTHORITY,
        "its client certificate is not valid or not from receiver.tls_client_ca",
    ),
    "TLSV1_ALERT_UNKNOWN_CA": (
        Cause.UNKNOWN_AUTHORITY,
        "it does not trust our certificate (receiver.tls_certificate)",
    ),
    "UNEXPECTED_EOF_WHILE_READING": (Cause.TLS_FAILED, "it aborted the TLS handshake"),
    "UNSUPPORTED_PROTOCOL": (Cause.TLS_FAILED, "it offers no TLS version from 1.2 on"),
    "NO_SHARED_CIPHER": (Cause.TLS_FAILED, "it offers no cipher suite that is accepted"),
}


class HandshakeFailed(OSError):
    """The TLS handshake failed; `cause` and the message state the reason."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


# The cipher suites that RFC 9325 section 4.2 recommends for TLS 1.2; those of TLS 1.3 all qualify.
_CIPHERS: Final = ":".join(
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files of the TLS port.

    Attributes:
        certificate: Our certificate with its chain.
        key: Its private key, without a password.
        client_ca: Authorities that must have signed a peer's certificate; None requests no certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def state(self) -> tuple[tuple[int, int, int], ...]:
        """Return modification time, size and inode of each file, to detect a replaced file.

        Raises:
            OSError: A file cannot be accessed.
        """
        files = (self.certificate, self.key, self.client_ca or self.certificate)
        stats = [file.stat() for file in files]
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in stats)


class RenewedContext:
    """Returns the current TLS context, loaded again if a file has changed; threads may share it.

    Open associations keep the certificate with which they began. If the files cannot be loaded, for
    instance while they are being replaced, the old context stays; the next connection tries again.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Load the files.

        Raises:
            OSError: A file cannot be read or used (ssl.SSLError is one).
        """
        self._files = files
        self._lock = threading.Lock()
        self._state = files.state()
        self._context = make_context(files)

    def __call__(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        with self._lock:
            try:
                state = self._files.state()
                if state != self._state:
                    self._context, self._state = make_context(self._files), state
                    LOGGER.info("the TLS certificate was reloaded")
            except OSError as error:
                LOGGER.warning("the TLS files changed and cannot be used: %s", error.strerror)
            return self._context


def make_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a server context: at least TLS 1.2, forward secrecy, no compression or renegotiation.

    Raises:
        OSError: The files cannot be read or used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_SINGLE_ECDH_USE
    context.load_cert_chain(files.certificate, files.key)
    if files.client_ca is not None:
        context.load_verify_locations(files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def secured(connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Perform the TLS handshake and return the secured connection.

    Raises:
        HandshakeFailed: The handshake failed, or the peer did not begin one.
    """
    try:
        # OpenSSL's error would not say that a peer speaks plain DICOM: look at the first byte.
        first = connection.recv(1, socket.MSG_PEEK)
        if first and first[0] != _HANDSHAKE:
            what = "plain DICOM" if first[0] == _ASSOCIATE_RQ else "something other than TLS"
            raise HandshakeFailed(Cause.NOT_TLS, f"it sent {what} to the TLS port")
        return context.wrap_socket(connection, server_side=True)
    except HandshakeFailed:
        raise
    except ssl.SSLError as error:
        reason = error.reason or type(error).__name__
        unnamed = (Cause.TLS_FAILED, f"the TLS handshake failed ({reason})")
        raise HandshakeFailed(*_FAULTS.get(reason, unnamed)) from None
    except TimeoutError:
        reason = "it did not finish the TLS handshake in time"
        raise HandshakeFailed(Cause.TLS_FAILED, reason) from None
    except OSError as error:
        reason = f"it aborted the TLS handshake ({error.strerror or type(error).__name__})"
        raise HandshakeFailed(Cause.TLS_FAILED, reason) from None
