"""Maps errors of the lower layers to ReadingErrors, whose class states whether to retry."""

import contextlib
from collections.abc import Iterator

import torch

from dicom.errors import DicomError, is_thread_exhaustion
from service.errors import (
    ModelServerAway,
    PermanentReadingError,
    ReaderStopped,
    ReadingCanceled,
    TransientReadingError,
)
from workers.model.errors import Canceled, EngineStopped, ModelError, ServerUnavailable


@contextlib.contextmanager
def reading_errors() -> Iterator[None]:
    """Raise the expected errors of the block as a `ReadingError`.

    Raises:
        TransientReadingError: Memory, device, file system or server failed; a retry may succeed.
        ReaderStopped: The engine has ended or hangs.
        PermanentReadingError: The image, the model or its files cannot be used.
        ReadingCanceled: The request was withdrawn.
    """
    try:
        yield
    except Canceled as error:
        raise ReadingCanceled(str(error)) from None
    except DicomError as error:
        kind = TransientReadingError if error.transient else PermanentReadingError
        raise kind(str(error)) from error
    except EngineStopped as error:
        raise ReaderStopped(str(error)) from None
    except ServerUnavailable as error:
        kind = ModelServerAway if error.outage else TransientReadingError
        raise kind(str(error)) from error
    except ModelError as error:
        raise PermanentReadingError(str(error)) from error
    except (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError) as error:
        raise TransientReadingError(
            f"the device or its memory failed: {_first_line(error)}"
        ) from error
    except OSError as error:
        raise TransientReadingError(f"the file system failed: {error.strerror}") from error
    except RuntimeError as error:
        # PyTorch reports a failed CPU allocation as a RuntimeError that only its text identifies.
        short = "can't allocate memory" in str(error) or is_thread_exhaustion(error)
        kind = TransientReadingError if short else PermanentReadingError
        raise kind(f"the model failed: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
