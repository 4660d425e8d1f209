"""Labels final reports, measures what was changed against the draft, and stores both."""

from typing import Final

from dicom.content.report import DraftReport, Presence
from service.evaluation.edits import measure
from service.evaluation.values import Undefined
from service.final_reports.report import (
    FinalLabels,
    FinalReport,
    FinalStatus,
    ReportKeys,
    Taken,
)
from service.settings.config import Settings
from service.store import Store
from service.store.final_reports.taking import Reading
from workers.labeller.findings import label_sentences
from workers.labeller.sentences import clean, sections, without_history_sections
from workers.labeller.version import labeler_version

# The alignment of sentences takes quadratic time; longer texts are labeled and not compared.
_MOST_WORDS: Final = 2000


class FinalReportTaker:
    """Takes final reports with their labels."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._rules = settings.final_reports.taking

    def take(self, report: FinalReport, *, instance_id: int = 0) -> Taken:
        """Label a report and store it; one that is known changes nothing.

        Raises:
            StoreUnavailable: The database cannot be used now; nothing was stored.
        """
        reading = Reading()
        if report.status is FinalStatus.FINAL:
            reading = self._reading(report.keys, report.text)
        return self._store.take_final_report(report, self._rules, reading, instance_id=instance_id)

    def label_waiting(self) -> int:
        """Label the reports that arrived by the API; return how many.

        Raises:
            StoreUnavailable: The database cannot be used now; the next call continues from there.
        """
        waiting = self._store.unlabeled_final_reports()
        for number, keys, text in waiting:
            self._store.label_final_report(number, self._reading(keys, text), self._rules)
        return len(waiting)

    def _reading(self, keys: ReportKeys, text: str) -> Reading:
        findings, impression = sections(without_history_sections(clean(text)))
        lines = findings + impression
        labels = _labels(lines)
        found = self._store.match_final_report(keys, self._rules.late)
        draft = None
        if found.job_id:
            draft = self._store.job(found.job_id, with_withheld=True).draft
        if draft is None or labels.words > _MOST_WORDS:
            return Reading(labels=labels)
        return _compared(labels, draft, lines)


def _labels(lines: tuple[str, ...]) -> FinalLabels:
    coded = label_sentences(lines)
    stated = [one for one in coded if one.presence is not Presence.NOT_MENTIONED]
    return FinalLabels(
        labeler=labeler_version(),
        presence={one.observation: one.presence for one in stated},
        sides={one.observation: one.side for one in stated if one.side is not None},
        words=sum(len(line.split()) for line in lines),
    )


def _compared(labels: FinalLabels, draft: DraftReport, lines: tuple[str, ...]) -> Reading:
    edits = measure("\n".join(draft.findings_text + draft.impression_text), "\n".join(lines))
    return Reading(
        labels=labels,
        changed_share=None if isinstance(edits.ratio, Undefined) else edits.ratio,
        kept_share=None if isinstance(edits.kept_share, Undefined) else edits.kept_share,
    )
