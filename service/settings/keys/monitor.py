"""The keys of the table `[monitor]` of the settings."""

from pathlib import Path

from pydantic import Field

from service.settings.keys.base import Section


class Monitor(Section):
    """The pages of drift and acceptability."""

    show_readers: bool = Field(
        False,
        description="Admins see the figures of acceptability by reader; off: each radiologist sees the "
        "own figures only.",
    )
    withhold: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share of the studies whose draft is neither shown nor sent before the final report "
        "arrives, to measure how far readers follow drafts; 0: none. Not drafts with an urgent finding, "
        "nor urgent or repeated jobs.",
    )
    withhold_hours: float = Field(
        24.0,
        gt=0,
        le=720,
        description="After so many hours a withheld draft is shown and sent without a final report.",
    )
    evaluations: Path | None = Field(
        None,
        description="Folder in which `wetread evaluate --out` makes its folders; admins see figures and "
        "reports on the page Evaluations.",
    )
    quality_documents: Path | None = Field(
        None,
        description="Folder in which `wetread report --out` makes its folders; admins see the documents "
        "on the page Evaluations.",
    )
