"""Records of the DICOM network: calling AEs, and the associations that ended."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAssociations:
    """The associations of one calling AE that ended since the last write.

    Attributes:
        address: The IP address of the latest.
        at: When the latest ended.
        count: How many ended.
    """

    address: str
    at: datetime
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallingAe:
    """What one calling AE has sent, as far as the database records it.

    Attributes:
        address: The IP address of the latest association; "" if none ended so far.
        associated_at: When the latest association ended; None if none did.
        arrived_at: When its latest Instance arrived; None for never.
        instances: Number of different Instances that it sent.
        studies: Number of Studies of which it sent the first Instance.
        day_instances: Number of Instances of today, in the time zone of the site.
        day_studies: Number of Studies of today.
    """

    ae_title: str
    address: str = ""
    associated_at: datetime | None = None
    associations: int = 0
    arrived_at: datetime | None = None
    instances: int = 0
    studies: int = 0
    day_instances: int = 0
    day_studies: int = 0

    @property
    def seen_at(self) -> datetime | None:
        """When it last associated or sent an Instance; None for never."""
        known = [each for each in (self.associated_at, self.arrived_at) if each is not None]
        return max(known, default=None)
