"""Which model reads new studies, and what the workers have loaded."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import Session

from service.audit import AuditEvent
from service.database.model_tables import LoadedModelRow, ModelChoiceRow
from service.database.tables import JobRow
from service.jobs import JobState, ReasonCode
from service.records.models import LoadedModel, ModelChoice, ModelFacts
from service.store.audit.append import Audited
from service.store.probe_exclusion import not_a_probe, probe_studies
from service.store.throughput.changes import note_change
from service.throughput.changes import ChangeKind, ServiceChange


class ModelChoices(Audited):
    """The part of the store for the models in use."""

    def model_choice(self) -> ModelChoice | None:
        """Return the latest choice of a person; None if no one has chosen."""
        with self._reading() as session:
            return _latest(session)

    def use_model(self, name: str, event: AuditEvent) -> None:
        """Let a model read new studies from now on; existing jobs keep theirs.

        Args:
            name: The model; the caller has checked that it is configured.
            event: The record for the audit trail; its actor chooses.
        """
        row = {"at": self.now(), "chosen_by": event.actor[:128], "model_name": name}
        with self._writing() as session:
            session.execute(insert(ModelChoiceRow).values(**row))
            self._audit(session, event)

    def chosen_models(
        self, study_uids: Collection[str], configured: Collection[str]
    ) -> dict[str, str]:
        """Return the model that is to read each study by a person's choice; {} without one.

        A study with a job keeps its model, so that a later draft supersedes the earlier one, unless
        that draft was withdrawn.

        Args:
            study_uids: The studies that are to be read.
            configured: The names of the models that may read.
        """
        with self._reading() as session:
            choice = _latest(session)
            if choice is None or not study_uids:
                return {}
            jobs = (
                select(JobRow.study_instance_uid, JobRow.model_name, JobRow.reason_code)
                .where(JobRow.study_instance_uid.in_(study_uids))
                .order_by(JobRow.created_at)
            )
            known = {
                uid: model
                for uid, model, reason in session.execute(jobs)
                if model in configured and reason != ReasonCode.RECALLED
            }
        wanted = {uid: known.get(uid, choice.model) for uid in study_uids}
        return {uid: model for uid, model in wanted.items() if model in configured}

    def note_loaded(self, role: str, host: str, model: str, facts: ModelFacts) -> None:
        """Record what a reading worker has loaded now, and the change if it is another version."""
        row = LoadedModelRow(
            role=role, host=host, model_name=model, loaded_at=self.now(), facts=facts.to_json()
        )
        change = ServiceChange(
            at=self.now(),
            kind=ChangeKind.MODEL,
            detail=" ".join(filter(None, (model, facts.version, facts.weights_sha256[:8]))),
        )
        with self._writing() as session:
            session.merge(row)
            note_change(session, change, model)

    def loaded_models(self) -> Sequence[LoadedModel]:
        """Return what each worker loaded last, also of workers that have ended."""
        with self._reading() as session:
            found = session.scalars(select(LoadedModelRow).order_by(LoadedModelRow.host))
            return [
                LoadedModel(
                    role=row.role,
                    host=row.host,
                    model=row.model_name,
                    loaded_at=row.loaded_at,
                    facts=ModelFacts.from_json(row.facts),
                )
                for row in found
            ]

    def drafts_made(self, since: timedelta) -> dict[str, int]:
        """Return how many drafts each model made of the studies of this time, by its name."""
        recent = JobRow.created_at > self.now() - since
        counts = select(JobRow.model_name, func.count()).where(recent, JobRow.draft.is_not(None))
        of_checks = JobRow.study_instance_uid.in_(probe_studies())
        with self._reading() as session:
            found = _counted(session, counts)
            # Subtracted, so that the counts read an index only.
            return dict(found - _counted(session, counts.where(of_checks)))

    def last_failures(self) -> dict[str, tuple[datetime, str]]:
        """Return when the latest failed job of each model failed, and why, by the model's name."""
        failed = (
            select(JobRow.model_name, JobRow.updated_at, JobRow.reason)
            .where(JobRow.state == JobState.FAILED.value, not_a_probe(JobRow.study_instance_uid))
            .order_by(JobRow.updated_at.desc())
            .limit(1000)
        )
        latest: dict[str, tuple[datetime, str]] = {}
        with self._reading() as session:
            for name, at, reason in session.execute(failed):
                latest.setdefault(name, (at, reason))
        return latest


def _counted(session: Session, counts: Select[str, int]) -> Counter[str]:
    by_model = session.execute(counts.group_by(JobRow.model_name))
    return Counter({model: number for model, number in by_model})  # noqa: C416 - rows are no pairs


def _latest(session: Session) -> ModelChoice | None:
    newest = select(ModelChoiceRow).order_by(ModelChoiceRow.id.desc()).limit(1)
    row = session.scalar(newest)
    if row is None:
        return None
    return ModelChoice(at=row.at, chosen_by=row.chosen_by, model=row.model_name)
