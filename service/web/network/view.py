"""What the page of the DICOM network and `/api/network` show."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from service.destination_backlog import Backlog, Pause
from service.monitoring.destination_incidents import alert_after, backlogs, pause_alert_after
from service.records import CommitmentBacklog, RefusalCount
from service.records.network import CallingAe
from service.records.plain_json import plain
from service.sentence import ended
from service.settings.config import Settings
from service.settings.keys.destinations import Destination, DimseDestination, address_of
from service.settings.keys.sections import Caller
from service.store import Store
from service.store.refusals import MOST_ROWS
from service.web.status.refusal_text import RefusalLine, refusal_lines

# AE titles that are neither configured nor accepted: a scan can leave hundreds.
_MOST_OTHERS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerLine:
    """One calling AE: what the settings say of it, what it sent, and what was refused.

    Attributes:
        configured: Whether `receiver.callers` has its title.
        checks: Whether it is the title of the end-to-end check, whose images are not counted.
        permitted_from: The addresses that the settings permit; "" for any.
        commitments: Storage commitment reports that are owed to it or were given up.
    """

    ae_title: str
    configured: bool
    checks: bool
    permitted_from: str
    sent: CallingAe
    refusals: Sequence[RefusalLine]
    commitments: Sequence[CommitmentBacklog]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationLine:
    """One destination.

    Attributes:
        kind: As in the settings; "" if these do not name it.
        overdue: Whether a result has waited longer for it than `delivery.alert_minutes`.
        forgotten: Whether it is paused for longer than `delivery.pause_alert_hours`.
        commitments: Storage commitment reports to the same AE title.
    """

    name: str
    kind: str
    address: str
    backlog: Backlog
    overdue: bool
    forgotten: bool
    commitments: Sequence[CommitmentBacklog]

    @property
    def pause(self) -> Pause | None:
        """The pause that holds, or None."""
        return self.backlog.pause


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """The calling AEs, the destinations, and peers that were refused and are neither."""

    callers: Sequence[CallerLine]
    others: Sequence[RefusalLine]
    destinations: Sequence[DestinationLine]


def network_view(store: Store, settings: Settings) -> NetworkView:
    """Return the DICOM network as it is now.

    Raises:
        StoreError: The database does not answer.
    """
    commitments, refused = store.commitment_backlogs(), store.refusals(limit=2 * MOST_ROWS)
    callers = tuple(_callers(store.calling_aes(), settings, refused, commitments))
    known = {each.ae_title for each in callers}
    others = [each for each in refused if each.refused.calling_ae not in known]
    return NetworkView(
        callers=callers,
        others=refusal_lines(others)[:_MOST_OTHERS],
        destinations=tuple(_destinations(store, settings, commitments)),
    )


def _callers(
    sent: Iterable[CallingAe],
    settings: Settings,
    refused: Sequence[RefusalCount],
    commitments: Sequence[CommitmentBacklog],
) -> Iterator[CallerLine]:
    """Yield the configured calling AEs, then others that have sent."""
    seen = {each.ae_title: each for each in sent}
    configured = {each.ae_title: each for each in settings.receiver.callers}
    for title in [*sorted(configured), *sorted(seen.keys() - configured.keys())]:
        own = [each for each in refused if each.refused.calling_ae == title]
        yield CallerLine(
            ae_title=title,
            configured=title in configured,
            checks=settings.probe.enabled and title == settings.probe.ae_title,
            permitted_from=_permitted(configured.get(title)),
            sent=seen.get(title) or CallingAe(ae_title=title),
            refusals=refusal_lines(own),
            commitments=[each for each in commitments if each.ae_title == title],
        )


def _permitted(caller: Caller | None) -> str:
    return " or ".join(caller.address) if caller is not None and caller.address else ""


def _destinations(
    store: Store, settings: Settings, commitments: Sequence[CommitmentBacklog]
) -> Iterator[DestinationLine]:
    now, limit, longest = store.now(), alert_after(settings), pause_alert_after(settings)
    by_name = {each.name: each for each in settings.destinations}
    for backlog in backlogs(store, settings):
        section, pause = by_name.get(backlog.destination), backlog.pause
        yield DestinationLine(
            name=backlog.destination,
            kind=section.kind if section is not None else "",
            address=address_of(section) if section is not None else "",
            backlog=backlog,
            overdue=backlog.is_overdue(now, limit),
            forgotten=pause is not None and pause.is_forgotten(now, longest),
            commitments=[each for each in commitments if _is_of(each, section)],
        )


def _is_of(commitment: CommitmentBacklog, section: Destination | None) -> bool:
    return isinstance(section, DimseDestination) and section.ae_title == commitment.ae_title


def as_json(view: NetworkView) -> dict[str, Any]:
    """Return the view as JSON types."""
    return {
        "calling_aes": [_caller_json(each) for each in view.callers],
        "other_refusals": [each.sentence for each in view.others],
        "destinations": [_destination_json(each) for each in view.destinations],
    }


def _caller_json(line: CallerLine) -> dict[str, Any]:
    values: dict[str, Any] = plain(
        {
            **asdict(line.sent),
            "configured": line.configured,
            "permitted_from": line.permitted_from,
            "refusals": [
                {"sentence": each.sentence, "last_at": each.last_at, "advice": each.advice}
                for each in line.refusals
            ],
            "commitments": [asdict(each) for each in line.commitments],
        }
    )
    return values


def _destination_json(line: DestinationLine) -> dict[str, Any]:
    backlog = line.backlog
    values: dict[str, Any] = plain(
        {
            "name": line.name,
            "kind": line.kind,
            "address": line.address,
            "state": backlog.state,
            "waiting": backlog.waiting,
            "oldest_at": backlog.oldest_at,
            "succeeded_at": backlog.succeeded_at,
            "failed_at": backlog.failed_at,
            "last_error": ended(backlog.last_error) if backlog.last_error else "",
            "overdue": line.overdue,
            "pause": asdict(line.pause) if line.pause else None,
            "commitments": [asdict(each) for each in line.commitments],
        }
    )
    return values
