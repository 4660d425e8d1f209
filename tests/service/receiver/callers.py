"""Settings with known calling AEs, and their associations."""

from pathlib import Path

from dicom.spool.ingest import IncomingAssociation
from service.settings.config import Settings


def settings_for(folder: Path, **receiver) -> Settings:
    """Return settings with one known modality, CR1, at 127.0.0.1."""
    callers = ({"ae_title": "CR1", "address": "127.0.0.1"}, {"ae_title": "ANYWHERE"})
    return Settings(data_dir=folder, receiver={"callers": callers, "min_free_bytes": 0} | receiver)


def peer(**changes) -> IncomingAssociation:
    """Return an association of the known modality, with changes."""
    values = {"id": "1", "calling_ae": "CR1", "called_ae": "WETREAD", "address": "127.0.0.1"}
    return IncomingAssociation(**(values | changes))
