"""The connection to Redis: TLS verification, and messages that could not be acknowledged.

redis-py trusts the system's certificate authorities besides the configured ones. kombu keeps a message
that could not be acknowledged among the reserved messages. If a network fault lets every acknowledgment
fail, the worker counts as full forever: it requests no message and never notices the lost connection.
"""

import socket
import ssl
from typing import Final

import redis
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from dicom.library import Library

LIBRARY: Final = Library(
    name="redis",
    tested=("8.1.0",),
    consequence=(
        "a certificate of Redis is accepted from an authority of the system too where broker.tls_ca "
        "is given"
    ),
)


class TlsConnection(redis.SSLConnection):
    """A connection to a Redis whose certificate must be issued by an authority in `ssl_ca_certs`.

    The system's authorities are trusted only if no file is given. TLS 1.2 or later.
    """

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.ca_certs)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certfile:
            context.load_cert_chain(self.certfile, self.keyfile)
        return context.wrap_socket(sock, server_hostname=self.host)


class _Acknowledgments(kombu_redis.QoS):
    """The reserved messages; a finished message is removed even if Redis cannot be informed.

    Redis then delivers it again after `visibility_timeout`, and the claim in the database refuses it.
    """

    def ack(self, delivery_tag: str) -> None:
        """Remove a message from Redis's list of reserved messages.

        Raises:
            redis.RedisError, OSError: Redis does not answer.
        """
        try:
            self._remove_from_indices(delivery_tag).execute()  # type: ignore[no-untyped-call]
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Remove a message, or return it to the queue; raises as `ack`."""
        try:
            if requeue:
                self.restore_by_tag(delivery_tag, leftmost=True)  # type: ignore[no-untyped-call]
            else:
                self._remove_from_indices(delivery_tag).execute()  # type: ignore[no-untyped-call]
        finally:
            virtual.QoS.ack(self, delivery_tag)


class _Channel(kombu_redis.Channel):
    QoS = _Acknowledgments
    connection_class_ssl = TlsConnection


class Transport(kombu_redis.Transport):
    """kombu's Redis transport with the connection and acknowledgments of this module."""

    Channel = _Channel


TRANSPORT: Final = f"{__name__}:{Transport.__name__}"  # as Celery's setting `broker_transport`
