"""Internal parts of uvicorn that we use, under public names: its HTTP protocol and its running tasks."""

import asyncio
from collections.abc import Collection
from typing import Final

from dicom.library import Library, UnsuitableLibrary

LIBRARY: Final = Library(
    name="uvicorn",
    tested=("0.54.0",),
    consequence=(
        "connections that send no complete request header within 15 s are not closed, and a stop does "
        "not wait for the requests that it cancels: put a reverse proxy with time limits before "
        "stow.port"
    ),
)

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
    from uvicorn.server import ServerState
except ImportError as error:
    raise UnsuitableLibrary(f"{LIBRARY.versions}: {error}") from error


class AdaptedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol of one connection, with a hook at the end of each response."""

    @property
    def answers_nothing(self) -> bool:
        """Whether no request is being answered on this connection."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def open_connections(self) -> int:
        """The number of open connections of this server."""
        return len(self.connections)

    @property
    def owner(self) -> ServerState:
        """The state that all connections of one server share."""
        return self.server_state

    def on_response_complete(self) -> None:
        """Call the hook, then continue with the next request."""
        self.note_response_end()
        super().on_response_complete()

    def note_response_end(self) -> None:
        """Override this hook; it is called after each response, before the next request is read."""


def running_requests(server: uvicorn.Server) -> Collection[asyncio.Task[None]]:
    """Return the tasks that answer requests now; none if the installed version was not tried."""
    return server.server_state.tasks if LIBRARY.is_tested else ()
