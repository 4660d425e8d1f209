"""The keys of the table `[monitor]` of the settings."""

from pydantic import Field

from service.settings.keys.base import Section


class Monitor(Section):
    """The pages of drift and acceptability."""

    show_readers: bool = Field(
        False,
        description="Admins see the figures of acceptability by reader; off: each radiologist sees the "
        "own figures only.",
    )
