"""Sentences for the page: what the receiver did not accept, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom.uid import UID

from dicom.scp.refusals import INSTANCE_CAUSES, Cause
from service.records import RefusalCount

_ADVICE: Final = {
    Cause.CALLING_AE: "Add it to receiver.callers, with this address, if it may send.",
    Cause.CALLED_AE: "Set the called AE title at the sender to receiver.ae_title.",
    Cause.APPLICATION_CONTEXT: "The sender does not speak DICOM as the Standard defines it.",
    Cause.PROTOCOL_VERSION: "The sender does not speak DICOM as the Standard defines it.",
    Cause.LOCAL_LIMIT: "Raise receiver.max_associations, or have fewer senders at the same time.",
    Cause.INTERNAL_ERROR: "See the log of the receiver.",
    Cause.SOP_CLASS: "If such objects are to be stored, add the UID to receiver.storage_classes; "
    "else exclude them at the sender.",
    Cause.TRANSFER_SYNTAX: "Let the sender propose Explicit VR Little Endian as well.",
    Cause.INVALID_PDU: "See the log of the receiver, and the sender's configuration.",
    Cause.OUT_OF_TURN: "See the log of the receiver, and the sender's configuration.",
    Cause.INVALID_COMMAND: "See the log of the receiver, and the sender's configuration.",
    Cause.SILENT: "The sender kept an association open without using it; see its log and network.",
    Cause.NO_REQUEST: "Something connected and requested nothing, for example a port check.",
    Cause.PEER_ABORTED: "The sender's log says why it aborted.",
    Cause.CONNECTION_BROKEN: "The sender closed the connection without a release, or the network did.",
    Cause.STOPPED: "The sender sends again what was not acknowledged.",
    Cause.CONNECTION_LIMIT: "Raise receiver.max_associations, or have fewer senders at the same time.",
    Cause.NOT_TLS: "Enable TLS at the sender, or let it use receiver.port.",
    Cause.NO_CERTIFICATE: "Configure a client certificate at the sender.",
    Cause.UNKNOWN_AUTHORITY: "Compare the sender's certificates with receiver.tls_certificate and "
    "receiver.tls_client_ca.",
    Cause.TLS_FAILED: "See the log of the receiver; TLS 1.2 or later is needed.",
    Cause.INSTANCE_RATE: "Raise films_per_minute in the table of this calling AE, or let it send "
    "slower; it must send the refused Instances again.",
    Cause.INSTANCE_RESOURCES: "Check disk, memory and database; see the log of the receiver. The sender "
    "must send again.",
    Cause.INSTANCE_MISMATCH: "The data set lacks a UID, or differs from what the sender announced: see "
    "the log of the receiver, and correct the sender.",
    Cause.INSTANCE_UNREADABLE: "The data set breaks the encoding rules: see the log of the receiver, "
    "and correct the sender.",
    Cause.INSTANCE_FAILED: "See the log of the receiver.",
}


_NAMELESS: Final = "A peer without AE title"
_OF_A_CONTEXT: Final = frozenset({Cause.SOP_CLASS, Cause.TRANSFER_SYNTAX})


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalLine:
    """One line of the page, for refusals that are shown together.

    Attributes:
        key: Identifies the line on its page.
        sentence: What happened.
        advice: What can be done about it, as sentences.
        last_at: Time of the latest refusal.
        parts: A sentence for each presentation context, where there are several.
    """

    key: str
    sentence: str
    advice: Sequence[str]
    last_at: datetime
    parts: Sequence[str] = ()


def refusal_lines(counts: Sequence[RefusalCount]) -> list[RefusalLine]:
    """Return one line for all presentation contexts of a calling AE, and one for each other refusal.

    A sender that proposes every SOP Class it supports has dozens of them refused in each association.

    Args:
        counts: The counts, the most recently updated first.
    """
    return list(_lines(counts))


def _lines(counts: Sequence[RefusalCount]) -> Iterator[RefusalLine]:
    folded: set[str] = set()
    for each in counts:
        name = each.refused.calling_ae
        if each.refused.cause not in _OF_A_CONTEXT:
            yield _line((each,))
        elif name not in folded:
            folded.add(name)
            yield _line(
                [
                    other
                    for other in counts
                    if other.refused.calling_ae == name and other.refused.cause in _OF_A_CONTEXT
                ]
            )


def _line(counts: Sequence[RefusalCount]) -> RefusalLine:
    first = counts[0].refused
    advice = dict.fromkeys(refusal_advice(each) for each in counts)
    classes = {each.refused.sop_class_uid for each in counts}
    sentence = refusal_sentence(counts[0])
    if len(counts) > 1:
        offered = "1 SOP Class" if len(classes) == 1 else f"{len(classes)} SOP Classes"
        peer = first.calling_ae or _NAMELESS
        sentence = f"{peer} offered presentation contexts of {offered} that are not accepted."
    return RefusalLine(
        key=f"{first.calling_ae}-{first.cause.name}",
        sentence=sentence,
        advice=tuple(advice),
        last_at=max(each.last_at for each in counts),
        parts=tuple(refusal_sentence(each) for each in counts) if len(counts) > 1 else (),
    )


def refusal_sentence(each: RefusalCount) -> str:
    """Return what happened, for instance "CR_1 at 10.0.0.7 offered CT Image Storage 12 times: ..."."""
    refused = each.refused
    peer = refused.calling_ae or _NAMELESS
    at = f" at {refused.address}" if refused.address else ""
    times = "once" if each.count == 1 else f"{each.count} times"
    if refused.cause in INSTANCE_CAUSES:
        kind = class_name(refused.sop_class_uid) if refused.sop_class_uid else "an Instance"
        return f"{peer}{at} sent {kind} {times}: {refused.cause.value}."
    if refused.sop_class_uid:
        offered = f"offered {class_name(refused.sop_class_uid)} {times}"
        return f"{peer}{at} {offered}: {refused.cause.value}."
    return f"{peer}{at}, {times}: {refused.cause.value}."


def refusal_advice(each: RefusalCount) -> str:
    """Return a sentence that states what to do about the refusal."""
    return _ADVICE[each.refused.cause]


def class_name(uid: str) -> str:
    """Return the name of a SOP Class and its UID; the UID alone if it has no name."""
    name = UID(uid).name
    return uid if name == uid else f"{name} ({uid})"


def class_label(uid: str) -> str:
    """Return the metric label of a SOP Class: its name in the Standard, else "other"; "" for no UID."""
    name = UID(uid).name if uid else ""
    return "other" if uid and name == uid else name
