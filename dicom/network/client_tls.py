"""TLS for connections that we open: trusted authorities, our certificate, handshake errors.

TLS 1.2 at least, by BCP 195 (RFC 9325) and PS3.15 annex B. One context class serves the three client
libraries (pynetdicom, requests, httpx), because each wraps its sockets with the given context.
"""

import hashlib
import hmac
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicom.network.failure import causes


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTls:
    """How the certificate of a peer is verified, and which certificate we present.

    Attributes:
        ca: PEM file of the only trusted authorities; None trusts those of the system.
        certificate: PEM file of our certificate and chain; None presents none.
        key: PEM file of its private key, without a password.
        sha256: SHA-256 of the only accepted peer certificate (DER), 64 hexadecimal digits. Without `ca`
            it is the only condition: host name and authority are not verified.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    sha256: str | None = None

    def context(self) -> "ClientContext":
        """Return a context for new connections, made from the current files.

        Raises:
            OSError: A file cannot be read or used (ssl.SSLError is one).
        """
        context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.pin = self.sha256
        if self.ca is not None:
            context.load_verify_locations(self.ca)
        elif self.sha256 is not None:
            # The pin alone identifies the peer: `check_pin` compares it after the handshake.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.load_default_certs()
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


class _PinnedSocket(ssl.SSLSocket):
    """Compares the peer's certificate with the pin after the handshake."""

    def do_handshake(self, block: bool = False) -> None:
        context = self.context
        if isinstance(context, ClientContext) and context.on_handshake is not None:
            context.on_handshake(self)
        try:
            super().do_handshake(block)
            if isinstance(context, ClientContext):
                context.check_pin(self.getpeercert(binary_form=True) or b"")
        except ssl.SSLError as error:
            if isinstance(context, ClientContext):
                context.failure = error
            raise


class ClientContext(ssl.SSLContext):
    """A client context that can pin the peer's certificate.

    Attributes:
        pin: As `PeerTls.sha256`.
        failure: Error of the last failed handshake, because pynetdicom does not pass it on.
        on_handshake: Called with the socket before each handshake, so that a deadline includes it.
    """

    sslsocket_class = _PinnedSocket
    pin: str | None = None
    failure: ssl.SSLError | None = None
    on_handshake: Callable[[socket.socket], None] | None = None

    def check_pin(self, certificate: bytes) -> None:
        """Check that a peer's certificate is the pinned one, if one is pinned.

        Args:
            certificate: In DER encoding; empty if the peer presented none.

        Raises:
            ssl.SSLCertVerificationError: It is a different certificate.
        """
        if self.pin is None:
            return
        digest = hashlib.sha256(certificate).hexdigest()
        if not hmac.compare_digest(digest, self.pin):
            raise ssl.SSLCertVerificationError(
                ssl.SSL_ERROR_SSL,
                f"its certificate has the SHA-256 {digest}, not that of tls_sha256",
            )


# Advice by OpenSSL's verify result: X509_V_ERR_* of openssl/x509_vfy.h
_ADVICE: Final = {
    10: "its certificate has expired",
    18: "its certificate is self-signed: give that file as tls_ca, or its digest as tls_sha256",
    19: "its certificate comes from an authority that is not trusted here: give that authority's "
    "certificate as tls_ca",
    20: "its certificate comes from an authority that is not trusted here: give that authority's "
    "certificate as tls_ca",
    62: "its certificate is for another host name: correct the name, or give its digest as tls_sha256",
    64: "its certificate is for another IP address: use its host name, or give its digest as "
    "tls_sha256",
}


def tls_failure(error: BaseException | None) -> str | None:
    """Return why TLS failed, as the end of a sentence; None if no TLS error is a cause of `error`."""
    found = _ssl_error(error)
    if found is None:
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        code = getattr(found, "verify_code", None)
        return _ADVICE.get(code or 0) or str(getattr(found, "verify_message", "") or found.args[-1])
    reason = (found.reason or "the connection ended in the handshake").replace("_", " ").lower()
    if found.reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS at this port"
    if "CERTIFICATE_REQUIRED" in (found.reason or "") or "HANDSHAKE_FAILURE" in (
        found.reason or ""
    ):
        return f"it refused the handshake ({reason}): does it need tls_certificate and tls_key?"
    return f"TLS failed ({reason})"


def _ssl_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the TLS error among an error, its arguments and its causes."""
    return next((each for each in causes(error) if isinstance(each, ssl.SSLError)), None)
