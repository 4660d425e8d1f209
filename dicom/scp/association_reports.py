"""Writes one log line and one report for each association that ends without a release."""

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from pydicom.uid import UID

from dicom.error_boundary import error_boundary
from dicom.scp.refusals import Cause, NotAccepted, Report

if TYPE_CHECKING:
    from pynetdicom.association import Association

LOGGER: Final = logging.getLogger(__name__)

# Result of a presentation context whose transfer syntaxes are not supported (PS3.8 table 9-18).
_NO_SYNTAX: Final = 4
_VERIFICATION: Final = "1.2.840.10008.1.1"


class AssociationReports:
    """Logs and reports aborts, rejections and refused presentation contexts."""

    def __init__(self, report: Report) -> None:
        """Store `report`, which is called with each refusal."""
        self._report = report
        # Weak, because a report from the upper layer's own thread may follow the association's end.
        self._accounted: WeakSet[Association] = WeakSet()

    def rejected(self, association: "Association", cause: Cause) -> None:
        """Report a rejected association; the rejecting code has logged the reason."""
        self._accounted.add(association)
        self._send(association, cause)

    def aborted(self, association: "Association", cause: Cause, reason: str) -> None:
        """Log and report an abort, once per association."""
        if association in self._accounted:
            return
        self._accounted.add(association)
        LOGGER.warning("association aborted: %s: %s", _peer(association), reason)
        self._send(association, cause)

    def ended(self, association: "Association", cause: Cause | None) -> None:
        """Log and report the end of an association unless `cause` is None or it was reported before."""
        accounted = association in self._accounted
        self._accounted.discard(association)
        if accounted or cause is None:
            return
        LOGGER.info("association ended: %s: %s", _peer(association), cause.value)
        self._send(association, cause)

    def contexts(self, association: "Association") -> None:
        """Report each refused presentation context, and log one line for each cause.

        A sender that proposes every SOP Class it supports has a hundred refused each time. That is
        ordinary negotiation (PS3.8 7.1.1.14), so the line has level debug. It has level warning if no
        context except Verification is accepted, because then nothing can be sent.
        """
        accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
        level = logging.DEBUG if accepted - {_VERIFICATION} else logging.WARNING
        refused: defaultdict[Cause, list[str]] = defaultdict(list)
        for context in association.rejected_contexts:
            cause = Cause.TRANSFER_SYNTAX if context.result == _NO_SYNTAX else Cause.SOP_CLASS
            uid = str(context.abstract_syntax)
            refused[cause].append(uid)
            self._send(association, cause, uid)
        for cause, uids in refused.items():
            LOGGER.log(
                level,
                "presentation context refused: %s offered %s: %s",
                _peer(association),
                ", ".join(UID(uid).name for uid in uids),
                cause.value,
            )

    def _send(self, association: "Association", cause: Cause, sop_class_uid: str = "") -> None:
        peer = association.requestor
        not_accepted = NotAccepted(
            cause=cause,
            calling_ae=peer.ae_title.strip(),
            address=peer.address or "",
            sop_class_uid=sop_class_uid,
        )
        error_boundary(lambda: self._report(not_accepted), None, lambda: not_accepted.calling_ae)


def _peer(association: "Association") -> str:
    peer = association.requestor
    return f"{peer.ae_title.strip() or 'an unnamed peer'} at {peer.address}"
