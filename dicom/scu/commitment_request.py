"""A request for storage commitment (PS3.4 J.3.2), without pynetdicom: the store uses it too."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One SOP Instance for which the peer requests commitment."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """The Action Information of an N-ACTION request; every UID is valid."""

    transaction_uid: str
    references: tuple[Reference, ...]
