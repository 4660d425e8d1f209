"""The keys of the table `[final_reports]` of the settings."""

from datetime import timedelta

from pydantic import Field

from service.final_reports.report import TakingRules
from service.settings.keys.base import Section


class FinalReports(Section):
    """Final reports that come back from the reporting system: compared with the drafts."""

    from_sr: bool = Field(
        True,
        description="Take verified, complete report SRs that arrive at the receiver as final reports.",
    )
    keep_text: bool = Field(
        False,
        description="Keep the text of a final report until its images are removed; off: only labels "
        "and measures of the edit are kept.",
    )
    late_days: float = Field(
        30.0,
        gt=0,
        description="A report that arrives so many days after the draft is matched as late, and is in "
        "no chart.",
    )
    wait_days: float = Field(
        30.0,
        gt=0,
        description="So many days a report's study is awaited; then its accession number and patient "
        "ID are removed.",
    )

    @property
    def taking(self) -> TakingRules:
        """How reports are taken."""
        return TakingRules(
            late=timedelta(days=self.late_days),
            wait=timedelta(days=self.wait_days),
            keep_text=self.keep_text,
        )
