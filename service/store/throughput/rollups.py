"""Hourly figures: computed again where something changed, kept, and returned for pages."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.orm import Session

from service.database.tables import JobRow, StudyRow
from service.database.throughput_tables import HourCountRow, HourRow
from service.jobs import JobState
from service.store.probe_exclusion import not_a_probe
from service.store.session import Transactions
from service.store.throughput.computing import computed, standings
from service.throughput.balance import Balance, JobClass, StudyClass, StudyStanding
from service.throughput.histogram import LatencyHistogram
from service.throughput.hours import HOUR, Depth, HourFigures, deepest, hour_of, hours_between

# Number of the advisory lock: two sweepers must not write the same hour at once.
_COMPUTING: Final = 0x574846
_WAITING: Final = (JobState.SCHEDULED.value, JobState.IN_PROGRESS.value)
# So many of the latest hours are computed for a page itself where the sweeper has not done so.
_MOST_AT_ONCE: Final = 26
_MOST_UNACCOUNTED_HOURS: Final = 48
# Keys of another version are left out.
_STUDIES: Final = frozenset(each.value for each in StudyClass)
_JOBS: Final = frozenset(each.value for each in JobClass)
_COLUMNS: Final = (
    HourRow.hour,
    HourRow.latency,
    HourRow.waiting,
    HourRow.oldest_seconds,
    HourRow.computed_at,
)


class Dimension(StrEnum):
    """What is counted; stored in `hourly_counts.dimension`."""

    STUDY = "study"
    JOB = "job"
    CAUSE = "cause"
    CALLER = "calling AE"
    MODEL = "model"


class HourlyFigures(Transactions):
    """The part of the store for hourly figures."""

    def compute_hours(self, hours: Iterable[datetime]) -> int:
        """Compute and store the figures of these hours; return how many were written.

        An hour whose stored figures are final and equal is left alone.
        """
        wanted = sorted(set(hours))
        changed = []
        for hour in wanted:
            # One transaction for each: a long one would keep SQLite's log from being taken over.
            with self._reading() as session:
                found = computed(session, hour)
                known = _stored(session, [hour]).get(hour)
            if known is None or not known.is_final or not _equal(known.figures, found):
                changed.append(found)
        if changed:
            self._write_hours(changed)
        return len(changed)

    def _write_hours(self, figures: Sequence[HourFigures]) -> None:
        counts = [row for each in figures for row in _counts(each)]
        hours = [each.hour for each in figures]
        with self._writing() as session:
            self._exclusive(session, _COMPUTING)
            for each in figures:
                values = {"latency": each.latency.to_json(), "computed_at": self.now()}
                self._set_hour(session, each.hour, values)
            session.execute(delete(HourCountRow).where(HourCountRow.hour.in_(hours)))
            if counts:
                session.execute(insert(HourCountRow), counts)

    def _set_hour(self, session: Session, hour: datetime, values: Mapping[str, Any]) -> None:
        row = session.get(HourRow, hour)
        if row is None:
            row = HourRow(hour=hour, latency={})
            session.add(row)
        for column, value in values.items():
            setattr(row, column, value)

    def measure_depth(self) -> Depth:
        """Count the jobs that wait without a draft, and keep the largest values of this hour."""
        depth = self.depth()
        hour = hour_of(self.now())
        with self._writing() as session:
            self._exclusive(session, _COMPUTING)
            row = session.get(HourRow, hour)
            most = deepest([depth, _depth(row) if row else None]) or depth
            values = {"waiting": most.waiting, "oldest_seconds": most.oldest_seconds}
            self._set_hour(session, hour, values)
        return depth

    def depth(self) -> Depth:
        """Return how many jobs wait without a draft now, and the age of the oldest."""
        chosen = select(func.count(), func.min(JobRow.created_at)).where(
            JobRow.state.in_(_WAITING), not_a_probe(JobRow.study_instance_uid)
        )
        with self._reading() as session:
            waiting, oldest = session.execute(chosen).one()
        age = (self.now() - oldest).total_seconds() if oldest else 0.0
        return Depth(waiting=waiting, oldest_seconds=max(0.0, age))

    def changed_hours(self, since: datetime) -> set[datetime]:
        """Return the hours in which studies arrived or jobs were made that changed since then."""
        chosen = (
            select(JobRow.created_at, StudyRow.first_arrival)
            .join(StudyRow, StudyRow.study_instance_uid == JobRow.study_instance_uid)
            .where(JobRow.updated_at >= since)
        )
        with self._reading() as session:
            return {hour_of(at) for row in session.execute(chosen) for at in row}

    def computed_through(self) -> datetime | None:
        """Return when figures were last computed; None for never."""
        with self._reading() as session:
            return session.scalar(select(func.max(HourRow.computed_at)))

    def first_hour(self) -> datetime | None:
        """Return the hour in which the first study was received; None without any."""
        with self._reading() as session:
            first = session.scalar(select(func.min(StudyRow.first_arrival)))
        return hour_of(first) if first else None

    def forget_hours(self, figures_before: datetime, keys_before: datetime) -> None:
        """Remove the figures of old hours, and earlier the counts by calling AE, model and cause."""
        lasting = (Dimension.STUDY.value, Dimension.JOB.value)
        with self._writing() as session:
            session.execute(delete(HourRow).where(HourRow.hour < figures_before))
            session.execute(delete(HourCountRow).where(HourCountRow.hour < figures_before))
            session.execute(
                delete(HourCountRow).where(
                    HourCountRow.hour < keys_before, HourCountRow.dimension.not_in(lasting)
                )
            )

    def hourly_figures(self, since: datetime) -> list[HourFigures]:
        """Return the figures of each hour since then, the current one included.

        Hours that may still change, and those that the sweeper has not computed to their end, are
        computed now; of older ones that are missing nothing is returned.
        """
        now = self.now()
        hours = hours_between(since, now)
        with self._reading() as session:
            known = _stored(session, hours)
            current = [each for each in hours[-_MOST_AT_ONCE:] if not _is_settled(known, each, now)]
            fresh = {hour: computed(session, hour) for hour in current}
        return [
            _with_depth(fresh[hour], known.get(hour)) if hour in fresh else known[hour].figures
            for hour in hours
            if hour in fresh or (hour in known and known[hour].is_computed)
        ]

    def unaccounted_hours(self) -> list[datetime]:
        """Return the hours of studies that had no job and waited for none when last computed."""
        chosen = select(HourCountRow.hour).where(
            HourCountRow.dimension == Dimension.STUDY.value,
            HourCountRow.key == StudyClass.UNACCOUNTED.value,
        )
        with self._reading() as session:
            return sorted(session.scalars(chosen))

    def unaccounted_now(self) -> list[StudyStanding]:
        """Return the studies that have no job and wait for none, of the latest 48 hours with such."""
        return self.unaccounted_studies(self.unaccounted_hours()[-_MOST_UNACCOUNTED_HOURS:])

    def unaccounted_studies(self, hours: Iterable[datetime]) -> list[StudyStanding]:
        """Return the studies of these hours that have no job and wait for none now."""
        with self._reading() as session:
            return [
                each
                for hour in hours
                for each in standings(session, hour)
                if each.study_class is StudyClass.UNACCOUNTED
            ]


class _Stored:
    """The stored figures of an hour.

    Attributes:
        is_computed: Whether more than the depth is known.
        is_final: Whether they were computed after the end of the hour.
    """

    __slots__ = ("figures", "is_computed", "is_final")

    def __init__(self, row: Row[*tuple[Any, ...]], counts: Mapping[str, Mapping[str, int]]) -> None:
        at = row.computed_at
        self.is_computed = at is not None
        self.is_final = at is not None and at >= row.hour + HOUR
        self.figures = _figures(row, counts)


def _stored(session: Session, hours: Sequence[datetime]) -> dict[datetime, _Stored]:
    if not hours:
        return {}
    first, last = hours[0], hours[-1]
    counts: dict[datetime, dict[str, dict[str, int]]] = {}
    columns = (HourCountRow.hour, HourCountRow.dimension, HourCountRow.key, HourCountRow.n)
    # By dimension, so that the primary key serves as the index.
    chosen = select(*columns).where(
        HourCountRow.dimension.in_([each.value for each in Dimension]),
        HourCountRow.hour.between(first, last),
    )
    for hour, dimension, key, n in session.execute(chosen):
        counts.setdefault(hour, {}).setdefault(dimension, {})[key] = n
    # Columns, not entities: a month has 720 rows.
    wanted = select(*_COLUMNS).where(HourRow.hour.between(first, last))
    return {row.hour: _Stored(row, counts.get(row.hour, {})) for row in session.execute(wanted)}


def _is_settled(known: Mapping[datetime, _Stored], hour: datetime, now: datetime) -> bool:
    """Return whether the stored figures of an hour are final and the hour is not one of the latest."""
    return hour in known and known[hour].is_final and hour < hour_of(now) - HOUR


def _figures(row: Row[*tuple[Any, ...]], counts: Mapping[str, Mapping[str, int]]) -> HourFigures:
    studies, jobs = counts.get(Dimension.STUDY, {}), counts.get(Dimension.JOB, {})
    return HourFigures(
        hour=row.hour,
        balance=Balance(
            studies={StudyClass(key): n for key, n in studies.items() if key in _STUDIES},
            jobs={JobClass(key): n for key, n in jobs.items() if key in _JOBS},
        ),
        latency=LatencyHistogram.from_json(row.latency),
        failures=counts.get(Dimension.CAUSE, {}),
        callers=counts.get(Dimension.CALLER, {}),
        models=counts.get(Dimension.MODEL, {}),
        depth=_depth(row),
    )


def _depth(row: HourRow | Row[*tuple[Any, ...]]) -> Depth | None:
    if row.waiting is None or row.oldest_seconds is None:
        return None
    return Depth(waiting=row.waiting, oldest_seconds=row.oldest_seconds)


def _with_depth(figures: HourFigures, known: _Stored | None) -> HourFigures:
    depth = known.figures.depth if known else None
    return HourFigures(
        hour=figures.hour,
        balance=figures.balance,
        latency=figures.latency,
        failures=figures.failures,
        callers=figures.callers,
        models=figures.models,
        depth=depth,
    )


def _counts(figures: HourFigures) -> list[dict[str, Any]]:
    by_dimension: dict[Dimension, Mapping[Any, int]] = {
        Dimension.STUDY: figures.balance.studies,
        Dimension.JOB: figures.balance.jobs,
        Dimension.CAUSE: figures.failures,
        Dimension.CALLER: figures.callers,
        Dimension.MODEL: figures.models,
    }
    return [
        {"dimension": dimension.value, "hour": figures.hour, "key": str(key), "n": n}
        for dimension, counts in by_dimension.items()
        for key, n in counts.items()
    ]


def _equal(known: HourFigures, found: HourFigures) -> bool:
    """Return whether two figures of an hour are equal but for the depth."""
    order = ("dimension", "key", "n")
    first, second = (
        sorted(tuple(str(each[name]) for name in order) for each in _counts(figures))
        for figures in (known, found)
    )
    return first == second and known.latency.to_json() == found.latency.to_json()
