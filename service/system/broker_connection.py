"""The connection to Redis: whom TLS trusts, and messages that could not be acknowledged.

redis-py trusts the system's authorities beside those that are configured. kombu keeps a message that
could not be acknowledged among those in hand: where a cut lets the acknowledgment of each fail, a worker
counts as full for good. It asks for no message, so that it does not notice that its connection is lost.
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
    tried=("8.1.0",),
    otherwise=(
        "a certificate of Redis is accepted from an authority of the system too where broker.tls_ca "
        "is given"
    ),
)


class TlsConnection(redis.SSLConnection):
    """A connection to a Redis whose certificate must come from an authority of `ssl_ca_certs`.

    Those of the system decide only where no file is given.
    """

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.ca_certs)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certfile:
            context.load_cert_chain(self.certfile, self.keyfile)
        return context.wrap_socket(sock, server_hostname=self.host)


class _Acknowledgments(kombu_redis.QoS):
    """The messages in hand; one that is done is in hand no longer, whether Redis learns of it or not.

    Redis gives it out again after `visibility_timeout`, and the claim in the database refuses it.
    """

    def ack(self, delivery_tag: str) -> None:
        """Remove a message from Redis's list of those in hand.

        Raises:
            redis.RedisError, OSError: Redis does not answer.
        """
        try:
            self._remove_from_indices(delivery_tag).execute()  # type: ignore[no-untyped-call]
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Remove a message, or give it back to the queue; errors as `ack`."""
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
    """kombu's transport to Redis by the rules of this module."""

    Channel = _Channel


TRANSPORT: Final = f"{__name__}:{Transport.__name__}"  # as Celery's setting `broker_transport`
