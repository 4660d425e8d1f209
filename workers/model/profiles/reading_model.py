"""The interface of a model as the reading worker uses it: many callers, urgent ones first."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.model.profiles.profile import Profile
from workers.model.prompts import EarlierAnswer, Task
from workers.model.vlm import Answer, Checkpoint, Decoding, VisionLanguageModel


class ReadingModel(VisionLanguageModel, Protocol):
    """A model that answers several callers at once."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The loaded weights."""
        ...

    @property
    def profile(self) -> Profile | None:
        """The profile by which its prompts are made and its answers are read; None: built in."""
        ...

    @property
    def locates(self) -> bool:
        """Whether it is configured to return heat maps."""
        ...

    def answer(  # noqa: PLR0913 - the keywords of `VisionLanguageModel.answer` and three more
        self,
        frame: NDArray[np.float32],
        task: Task,
        *,
        question: str = "",
        indication: str = "",
        questions: Sequence[str] = (),
        decoding: Decoding = ...,
        canceled: Callable[[], bool] = ...,
        urgent: bool = False,
        samples: Sequence[Decoding] = (),
        earlier: Sequence[EarlierAnswer] = (),
    ) -> Answer:
        """Return the answer about one image; see `vlm.VisionLanguageModel.answer`.

        Args:
            frame: float32 [H, W] in 0..1, 0 black.
            task: The kind of prompt.
            question: The text, for `Task.QUESTION`.
            indication: Why the image was ordered; for models that take it.
            questions: Yes-or-no questions, as `prompts.IS_THERE` words them.
            decoding: How tokens are chosen.
            canceled: Called at each step, also while the request waits; True ends the answer.
            urgent: The request is answered before those that are not.
            samples: Further answers to the same prompt; one that fails is missing from `Answer.samples`.
            earlier: What was asked before in the same chat, in order, with the answers.

        Raises:
            GenerationError: The image or a question cannot be used, or the model failed.
            Canceled: `canceled` returned True.
            EngineStopped: The model has ended or does not answer; another process may answer.
        """
        ...

    def close(self) -> None:
        """End its threads; unfinished requests fail with EngineStopped."""
        ...
