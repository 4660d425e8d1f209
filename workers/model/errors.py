"""The errors of a model; each message is a sentence for the person who chose the model.

ModelError
├── CheckpointError   the files are not the checkpoint that the loader expects
├── DeviceError       the device is missing, or too small for the model
├── GenerationError   the computed values are not finite, or the request cannot be answered
├── EngineStopped     the engine has ended or hangs; another engine may answer the request
├── ServerError       a model server did not give a usable answer
│   ├── ServerUnavailable   no answer, an overload or a failure: the request may be repeated
│   └── ServerRefused       the request, the address or the answer cannot be accepted
└── Canceled         the caller withdrew the request
"""


class ModelError(Exception):
    """A model could not be loaded or did not answer."""


class CheckpointError(ModelError):
    """The files in the folder are not the checkpoint that the loader expects; names what differs."""


class DeviceError(ModelError):
    """The device is missing or has too little memory; the message states what would fit."""


class GenerationError(ModelError):
    """The model computed values that are not finite, or the request cannot be answered."""


class PromptTooLong(GenerationError):
    """The prompt leaves no room for an answer."""


class EngineStopped(ModelError):
    """The engine has ended, or the device has not answered for long; the request may be repeated."""


class Canceled(ModelError):
    """The caller withdrew the request before its answer was complete."""


class ServerError(ModelError):
    """A model server did not give a usable answer.

    Attributes:
        detail: The start of the server's own message, "" if there is none. It may repeat parts of the
            request: for an administrator's terminal, never for a log.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class ServerUnavailable(ServerError):
    """The server gave no answer, or one that may be different later; repeating it did not help.

    Attributes:
        retry_after: Seconds that the server asked to wait, or None.
        outage: Whether the server was away or overloaded, which is independent of the request.
    """

    def __init__(
        self,
        message: str,
        *,
        detail: str = "",
        retry_after: float | None = None,
        outage: bool = False,
    ) -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after
        self.outage = outage


class ServerRefused(ServerError):
    """The request, the server's address or its answer cannot be accepted; repeating it cannot help."""
