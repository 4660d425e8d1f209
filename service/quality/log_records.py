"""The records of the audit trail that belong to a period: a part of the chain without a gap."""

from collections.abc import Iterator

from service.audit import AuditRecord
from service.quality.period import Period
from service.store import Store


def audit_of(store: Store, period: Period) -> Iterator[AuditRecord]:
    """Yield the records of a period, the oldest first.

    All records between the first and the last of the period belong to it, also if the clock was set
    back meanwhile.
    """
    found = store.audit_range(period.begin, period.end)
    if found is None:
        return
    first, last = found
    for record in store.whole_audit(first - 1):
        if record.id > last:
            return
        yield record
