"""What all documents are made of, and the rule for texts that people typed."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from service.quality.evaluation_folder import EvaluationFolder
from service.quality.limits import Limits
from service.quality.period import Period
from service.records.quality import ModelUse
from service.settings.config import Settings
from service.store import Store
from service.support.pseudonyms import Pseudonyms

_LEFT_OUT: Final = "recorded, not included (--with-notes includes it)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Two evaluations, before and after a change, and the limits that were set beforehand."""

    before: EvaluationFolder
    after: EvaluationFolder
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the documents are made of.

    Attributes:
        pseudonyms: Hashes identifiers of studies and patients by a key that only this site has.
        evaluations: Folders of `wetread evaluate`, for the model cards.
        change: None without `--before` and `--after`.
        with_notes: Whether reasons and notes that people typed are included: these may name patients.
        created: The time of creation that the documents state; None for the end of the period.
    """

    store: Store
    settings: Settings
    period: Period
    pseudonyms: Pseudonyms
    evaluations: tuple[EvaluationFolder, ...] = ()
    change: Change | None = None
    with_notes: bool = False
    created: datetime | None = None

    @cached_property
    def models_used(self) -> list[ModelUse]:
        """The model versions that made drafts in the period."""
        return self.store.models_used(self.period.begin, self.period.end)

    def typed(self, text: str) -> str:
        """Return a text that a person typed, if such texts are included; "" stays ""."""
        return text if self.with_notes or not text else _LEFT_OUT
