"""The keys of the table `[questions]` of the settings."""

from pydantic import Field

from service.settings.keys.base import Section


class QuestionLimits(Section):
    """Questions that radiologists ask the model about an image."""

    enabled: bool = Field(
        True, description="Radiologists may ask the model about an image that it has read."
    )
    most_an_hour: int = Field(60, ge=1, description="Questions of one person within an hour.")
    longest: int = Field(500, ge=10, le=4000, description="Longest question, in characters.")
    earlier: int = Field(
        6,
        ge=0,
        le=32,
        description="So many earlier questions of the same person about the same image, with their "
        "answers, are part of the prompt, the latest ones.",
    )
    max_new_tokens: int = Field(256, ge=1, le=2048, description="Longest answer, in tokens.")
    answer_seconds: float = Field(
        120.0, gt=0, description="An answer that takes longer is given up: the page says so."
    )
    wait_minutes: float = Field(
        10.0, gt=0, description="A question that no worker takes within this time is given up."
    )
