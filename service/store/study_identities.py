"""Patients and studies: recorded once for each study, searched, removed with the images."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlalchemy import and_, delete, func, select

from service.database.identity_tables import StudyIdentityRow
from service.database.spooled_images import spooled_images
from service.database.tables import InstanceRow
from service.store.probe_exclusion import not_a_probe
from service.store.session import Transactions
from service.study_identity import StudyIdentity, folded

_LENGTHS: Final = {"birth_date": 16, "sex": 16, "study_date": 16, "patient_name": 400}
_LONGEST: Final = 64


class StudyIdentities(Transactions):
    """The part of the store for patients and studies."""

    def record_identity(self, identity: StudyIdentity, instance_id: int) -> None:
        """Record the identity of a study, unless there is one already."""
        values = {name: _cut(name, getattr(identity, name)) for name in _NAMES}
        with self._writing() as session:
            self._insert_new(
                session,
                StudyIdentityRow,
                study_uid=identity.study_uid,
                instance_id=instance_id,
                search_text=_storable(identity.searchable),
                **values,
            )

    def identities(self, study_uids: Iterable[str]) -> dict[str, StudyIdentity]:
        """Return the identities of studies, by Study Instance UID; those that are known."""
        chosen = StudyIdentityRow.study_uid.in_(set(study_uids))
        with self._reading() as session:
            found = session.scalars(select(StudyIdentityRow).where(chosen))
            return {row.study_uid: identity_of_row(row) for row in found}

    def identity_of(self, study_uid: str) -> StudyIdentity | None:
        """Return the identity of one study; None if it is not known."""
        return self.identities([study_uid]).get(study_uid)

    def identities_with_accession(self, number: str, *, limit: int) -> list[StudyIdentity]:
        """Return the latest studies with exactly this accession number."""
        query = (
            select(StudyIdentityRow)
            .where(StudyIdentityRow.accession_number == number)
            .order_by(StudyIdentityRow.instance_id.desc())
            .limit(limit)
        )
        with self._reading() as session:
            return [identity_of_row(row) for row in session.scalars(query)]

    def search_identities(self, text: str, limit: int = 50) -> list[StudyIdentity]:
        """Return the latest studies with each word of `text` in name, patient ID or accession number."""
        query = select(StudyIdentityRow).order_by(StudyIdentityRow.instance_id.desc()).limit(limit)
        for word in folded(text).split():
            query = query.where(StudyIdentityRow.search_text.contains(word, autoescape=True))
        with self._reading() as session:
            return [identity_of_row(row) for row in session.scalars(query)]

    def remove_identity(self, study_uid: str) -> None:
        """Remove the identity of a study of which no image is left."""
        gone = delete(StudyIdentityRow).where(
            StudyIdentityRow.study_uid == study_uid, ~spooled_images(study_uid).exists()
        )
        with self._writing() as session:
            session.execute(gone)

    def newest_identified(self) -> int:
        """Return the highest row id of an Instance whose header was read; 0 for none."""
        with self._reading() as session:
            return session.scalar(select(func.max(StudyIdentityRow.instance_id))) or 0

    def instances_to_identify(self, after: int, limit: int) -> list[tuple[int, str, Path | None]]:
        """Return Instances after a row id, in order: row id, study, and the file to read.

        The file is None where nothing is to be read: the study is known, the Instance is a conflict, or
        its file was removed.
        """
        known = select(StudyIdentityRow.study_uid).where(
            StudyIdentityRow.study_uid == InstanceRow.study_instance_uid
        )
        needed = and_(
            ~known.exists(),
            ~InstanceRow.conflict,
            InstanceRow.removed_at.is_(None),
            not_a_probe(InstanceRow.study_instance_uid),
        )
        query = (
            select(InstanceRow.id, InstanceRow.study_instance_uid, InstanceRow.path, needed)
            .where(InstanceRow.id > after)
            .order_by(InstanceRow.id)
            .limit(limit)
        )
        with self._reading() as session:
            return [
                (number, uid, Path(path) if is_needed else None)
                for number, uid, path, is_needed in session.execute(query)
            ]


_NAMES: Final = (
    "patient_name",
    "patient_id",
    "issuer",
    "birth_date",
    "sex",
    "accession_number",
    "study_date",
    "description",
)


def _cut(name: str, value: str) -> str:
    return _storable(value)[: _LENGTHS.get(name, _LONGEST)]


def _storable(value: str) -> str:
    # PostgreSQL stores no NUL; a damaged header may hold one.
    return value.replace("\0", "")


def identity_of_row(row: StudyIdentityRow) -> StudyIdentity:
    """Return the record of a row."""
    values = {name: getattr(row, name) for name in _NAMES}
    return StudyIdentity(study_uid=row.study_uid, **values)
