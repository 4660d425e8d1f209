"""Takes the final reports of a message, and decides its answer.

AA is answered only after the commit of every report of the message, or if there is deliberately
nothing to store.
"""

from collections.abc import Sequence
from typing import Final

from service.errors import StoreError
from service.final_reports.hl7_message import Hl7Fault
from service.final_reports.oru import OruContent, read_oru
from service.final_reports.report import TakingRules
from service.hl7.acknowledgment import AckCode, Answer
from service.hl7.counts import MessageCounts
from service.log import get_logger
from service.monitoring.background import Task
from service.records.hl7 import MessageResult
from service.store import Store

_FAILED: Final = Answer(AckCode.ERROR, "internal error, nothing was lost: send the message again")
_AWAY: Final = Answer(AckCode.ERROR, "the database does not answer now: send the message again")

log = get_logger(__name__)


class MessageTaker:
    """Takes messages; threads may share it."""

    def __init__(
        self,
        store: Store,
        rules: TakingRules,
        accession_fields: Sequence[str],
        counts: MessageCounts,
    ) -> None:
        """Take where and how reports are stored, and the counts of messages."""
        self._store, self._rules, self._counts = store, rules, counts
        self._accession_fields = tuple(accession_fields)
        self._task = Task("take HL7 messages", passed_on=(StoreError, Hl7Fault))

    def take(self, content: bytes) -> Answer:
        """Store the final reports of a message; return its answer."""
        answers: list[tuple[MessageResult, Answer]] = []
        try:
            succeeded = self._task.attempt(lambda: answers.append(self._taken(content)))
        except Hl7Fault as fault:
            log.warning("hl7_message_refused", reason=str(fault))
            answers.append((MessageResult.REFUSED, Answer(AckCode.REJECT, str(fault))))
        except StoreError as error:
            log.warning("hl7_message_not_stored", reason=type(error).__name__)
            answers.append((MessageResult.NOT_STORED, _AWAY))
        else:
            if not succeeded:
                answers.append((MessageResult.NOT_STORED, _FAILED))
        result, answer = answers[-1]
        self._counts.add(result)
        return answer

    def reject(self, reason: str) -> Answer:
        """Return the answer to a message that was not read at all."""
        self._counts.add(MessageResult.REFUSED)
        return Answer(AckCode.REJECT, reason)

    def _taken(self, content: bytes) -> tuple[MessageResult, Answer]:
        found = read_oru(content, self._accession_fields)
        taken = [self._store.take_final_report(each, self._rules) for each in found.reports]
        new = sum(each.is_new for each in taken)
        for each in taken:
            log.info("hl7_report_taken", state=each.state.value, new=each.is_new)
        if new:
            return MessageResult.TAKEN, Answer(AckCode.ACCEPT, f"{new} new, {len(taken)} in all")
        if taken:
            return MessageResult.REPEATED, Answer(AckCode.ACCEPT, "known already")
        return _unused(found)


def _unused(found: OruContent) -> tuple[MessageResult, Answer]:
    if found.preliminary:
        text = "not used: preliminary (OBR-25, OBX-11)"
        return MessageResult.PRELIMINARY, Answer(AckCode.ACCEPT, text)
    kinds = ", ".join(sorted(found.not_read or ())) or "none"
    text = f"not used: no plain text in OBX of type TX, FT or ST (types sent: {kinds})"
    return MessageResult.NO_TEXT, Answer(AckCode.ACCEPT, text)
