"""The table of patients and studies: the only one that holds patient attributes."""

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables import UID, Base

_LO = String(64)


class StudyIdentityRow(Base):
    """The patient and the study, of a study whose images are here; removed with them.

    Attributes:
        instance_id: Row id of the Instance whose header was read.
        search_text: Name, patient ID and accession number, folded, for searches.
    """

    __tablename__ = "study_identities"
    __table_args__ = (
        Index("ix_study_identities_patient_id", "patient_id"),
        Index("ix_study_identities_accession_number", "accession_number"),
    )

    study_uid: Mapped[str] = mapped_column(
        UID, ForeignKey("studies.study_instance_uid"), primary_key=True
    )
    instance_id: Mapped[int] = mapped_column(BigInteger, index=True)
    patient_name: Mapped[str] = mapped_column(Text)
    patient_id: Mapped[str] = mapped_column(_LO)
    issuer: Mapped[str] = mapped_column(_LO)
    birth_date: Mapped[str] = mapped_column(String(16))
    sex: Mapped[str] = mapped_column(String(16))
    accession_number: Mapped[str] = mapped_column(_LO)
    study_date: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(_LO)
    search_text: Mapped[str] = mapped_column(Text)
