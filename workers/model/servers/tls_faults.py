"""Faults of TLS between Wetread and a model server: what is wrong, and which setting corrects it.

They are faults of a configuration, here or at the server: no repetition of a request corrects them.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anyio
import httpcore

from workers.model.errors import ServerRefused

_PROBE_SECONDS: Final = 3.0
_PORTS: Final = {b"http": 80, b"https": 443}
_BROKEN: Final = (httpcore.NetworkError, httpcore.TimeoutException)
_UNTRUSTED: Final = (
    "its certificate was issued by an authority that is not trusted here: set {ca} to the PEM file of "
    "that authority"
)
# By OpenSSL's verify result (X509_V_ERR_* of openssl/x509_vfy.h); `{ca}` is the name of the setting.
_CERTIFICATES: Final = {
    9: "its certificate is not valid yet: check the clocks of both machines",
    10: "its certificate has expired: renew it on the server",
    18: "its certificate is self-signed: set {ca} to that certificate's PEM file",
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    62: "its certificate is for another host name: use a name in the certificate in {url}, or renew the "
    "certificate",
    64: "its certificate is for another IP address: use the host name in the certificate in {url}, or "
    "renew the certificate",
}
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
# The peer ended the connection: it may be restarting.
_ENDED: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


def context_of(authorities: Path | None, key: str) -> ssl.SSLContext:
    """Return the context of connections to a server.

    Args:
        authorities: PEM file of the authorities that its certificate must come from; None: the system's.
        key: Name of the setting that holds the file, for messages.

    Raises:
        ServerRefused: The file cannot be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=authorities)
    except ssl.SSLError:
        message = "holds no usable certificate in PEM form"
    except OSError as error:
        message = f"cannot be read ({error.strerror})"
    raise ServerRefused(f"{authorities} {message}: correct the file, or {key} in the settings")


def tls_fault(error: BaseException, keys: str) -> str | None:
    """Return what is wrong with TLS and what to do; None if no fault of TLS is a cause of `error`.

    Args:
        error: An error of a request.
        keys: How the names of the settings begin, such as `server_`.
    """
    found = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    if found is None or isinstance(found, _ENDED):
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        message = _CERTIFICATES.get(found.verify_code) or f"its certificate: {found.verify_message}"
        return message.format(ca=f"{keys}tls_ca", url=f"{keys}url")
    reason = found.reason or ""
    if reason in _NO_TLS:
        return f"it does not use TLS at this port: begin {keys}url with http://"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return (
            "it refused the TLS handshake, probably because it requires a client certificate, which "
            "Wetread does not present to a model server: change that on the server"
        )
    return f"TLS failed ({reason.replace('_', ' ').lower() or 'no reason given'})"


async def speaks_tls(backend: httpcore.AsyncNetworkBackend, url: httpcore.URL) -> bool:
    """Return whether the server of a URL answers a TLS handshake at its port; nothing is sent.

    Args:
        backend: Opens the connection.
        url: The server's.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await handshake_error(backend, url, context, alert_seconds=0) is None


async def handshake_error(
    backend: httpcore.AsyncNetworkBackend,
    url: httpcore.URL,
    context: ssl.SSLContext,
    *,
    alert_seconds: float = 1.0,
) -> Exception | None:
    """Return the error of a TLS handshake with a server; nothing is sent after it.

    Args:
        backend: Opens the connection.
        url: The server's.
        context: How its certificate is verified.
        alert_seconds: How long to wait for an alert: in TLS 1.3 a server refuses a client without a
            certificate after the client's part of the handshake (RFC 8446 section 4.4.2.4).
    """
    host = url.host.decode()
    try:
        with anyio.fail_after(_PROBE_SECONDS):
            stream = await backend.connect_tcp(host, url.port or _PORTS[url.scheme])
            stream = await stream.start_tls(context, host)
        try:
            if alert_seconds:
                await stream.read(1, timeout=alert_seconds)
        except httpcore.ReadTimeout:
            return None
        finally:
            await stream.aclose()
    except (TimeoutError, OSError, ServerRefused, *_BROKEN) as error:
        return error
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
