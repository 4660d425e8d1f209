"""Common parts of destinations over HTTP: error messages, and limits on time and size."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from dicom.destinations.destination import EncodedObject
from dicom.errors import (
    DestinationError,
    DestinationRejected,
    DestinationSilent,
    DestinationUnavailable,
    NotListed,
    is_thread_exhaustion,
)
from dicom.network.client_tls import ClientContext, PeerTls, tls_failure
from dicom.network.deadline import Deadline, allowance
from dicom.network.failure import network_failure

# Compressing megabytes of pixels costs more than sending them.
PLAIN: Final = {"Accept-Encoding": "identity"}
# An application server or a proxy also answers 404 before the archive behind it has started.
_MAY_PASS: Final = frozenset({404, 408, 425, 429})
# Statuses that refuse one object, not this client or all of its requests.
OF_AN_OBJECT: Final = frozenset({400, 406, 409, 413, 415, 422})

# Answers to an upload that mean that this user may not store, or that nothing is stored at this URL.
_FORBIDS: Final = frozenset({401, 403, 404, 405, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """How an HTTP server is reached; proxies and authorities of the environment are ignored.

    Attributes:
        tls: How its certificate is verified, for https.
        proxy: URL of the proxy to use; None connects directly.
    """

    tls: PeerTls = field(default_factory=PeerTls)
    proxy: str | None = None

    def context(self) -> ClientContext:
        """Return a TLS context; raises OSError when a file of `tls` cannot be used."""
        return self.tls.context()


class HttpDestination:
    """A Destination over HTTP.

    Attributes:
        also_may_pass: Status codes after which to try again, in addition to those of any server.
    """

    also_may_pass: frozenset[int] = frozenset()

    def __init__(self, *, name: str, kind: str, url: str, timeout: float) -> None:
        """Take the name, the kind for messages, the URL, and the timeout of an exchange in seconds."""
        self._name = name
        self._where = f"{name} ({kind} at {url})"
        self._timeout = timeout

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def reads_back(self) -> bool:
        """Always true: each object is retrieved or searched for."""
        return True

    @contextmanager
    def _limited(self, size: int) -> Iterator[None]:
        """Limit the block, one exchange, to the timeout and the time that `size` bytes may take.

        Raises:
            DestinationSilent: It was not complete by then.
            DestinationUnavailable: The thread that watches the limit cannot be started.
        """
        seconds = allowance(self._timeout, size)
        deadline = Deadline(seconds)
        late = DestinationSilent(f"{self._where} gave no complete answer within {seconds:.0f} s")
        try:
            with deadline:
                yield
        except DestinationSilent as error:
            raise (late if deadline.expired else error) from error
        except RuntimeError as error:
            if not is_thread_exhaustion(error):
                raise
            raise DestinationUnavailable("this machine cannot start a thread now") from error
        if deadline.expired:
            raise late

    def _silent(self) -> DestinationSilent:
        return DestinationSilent(
            f"{self._where} cannot be reached: it gave no answer within {self._timeout:g} s"
        )

    def _unreachable(self, error: Exception) -> DestinationSilent:
        if reason := tls_failure(error):
            return DestinationSilent(f"{self._where}: {reason}")
        return DestinationSilent(f"{self._where} cannot be reached: {network_failure(error)}")

    def _status_error(self, code: int) -> DestinationError:
        """Return the error for an answer with this HTTP status."""
        sentence = f"{self._where} answered with HTTP status {code}"
        if code == HTTPStatus.NOT_FOUND:
            return DestinationUnavailable(f"{sentence}; check that it has started, and its url")
        if code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _MAY_PASS | self.also_may_pass:
            return DestinationUnavailable(sentence)
        if code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return DestinationRejected(
                f"{sentence}: the results exceed its body size limit or that of a proxy; raise "
                "that limit (nginx: client_max_body_size)"
            )
        if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return DestinationRejected(f"{sentence}: check user name and password, or the token")
        return DestinationRejected(f"{sentence}: check its url, and its log for why it refuses")

    def _no_writing(self, error: DestinationError, status: int | None) -> DestinationError:
        """Return the error for the answer to an upload without an object, `error` if not a refusal."""
        if status not in _FORBIDS:
            return error
        return DestinationRejected(
            f"{self._where} answers, but does not allow storing (HTTP status {status}): check the "
            "permissions of this user there"
        )

    def _missing(self, item: EncodedObject) -> NotListed:
        return NotListed(f"{self._where} acknowledged {item.sop_instance_uid} but does not have it")

    def _other_bytes(self, item: EncodedObject, difference: str) -> DestinationRejected:
        return DestinationRejected(
            f"{self._where} holds other bytes under the same UID {item.sop_instance_uid} "
            f"(first difference: {difference}); delete that instance there, then redeliver"
        )


def bounded(pieces: Iterable[bytes], limit: int) -> bytes:
    """Return `pieces` joined; stop once they exceed `limit` bytes, as our object cannot be longer."""
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > limit:
            break
    return bytes(content)
