"""The images of a study that are in the spool: received, and not removed since."""

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from service.database.tables import InstanceRow


def spooled_images(study_uid: Any) -> Select[int]:  # noqa: ANN401 - a UID, or a column of any table
    """Return the query for the ids of a study's Instances in the spool, conflicts included.

    Args:
        study_uid: Study Instance UID, or the column of an enclosing statement that holds it.
    """
    return select(InstanceRow.id).where(
        InstanceRow.study_instance_uid == study_uid, InstanceRow.removed_at.is_(None)
    )


def has_images(session: Session, study_uid: str) -> bool:
    """Return whether an Instance of a study is in the spool."""
    return session.scalar(spooled_images(study_uid).limit(1)) is not None
