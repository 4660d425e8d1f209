"""Which Instances of a calling AE may be read."""

from dicom.selection.image_selection import Rules
from service.settings.config import Settings
from service.settings.sections import Caller


def rules_for(settings: Settings, caller: Caller | None) -> Rules:
    """Return the rules for a calling AE's Instances; `settings.reading` is the table of its model."""
    age, children = settings.reading.minimum_age_years, settings.reading.read_children
    if caller is None:
        return Rules(minimum_age_years=age, read_children=children)
    own_age, own_children = caller.minimum_age_years, caller.read_children
    return Rules(
        minimum_age_years=age if own_age is None else own_age,
        read_children=children if own_children is None else own_children,
        stated_only=caller.stated_only,
    )
