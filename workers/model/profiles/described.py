"""The record of a model whose properties a profile states."""

from collections.abc import Iterable

from workers.model.profiles.profile import Ability, Profile
from workers.model.vlm import Checkpoint


def checkpoint(profile: Profile, *, cannot: Iterable[Ability] = ()) -> Checkpoint:
    """Return the record of a profile's model, without its weights and device.

    Args:
        profile: The profile.
        cannot: What the kind of model cannot do, beside what the profile says.
    """
    scores = profile.scores
    return Checkpoint(
        name=profile.name,
        caveat=profile.card.caveat,
        synthetic_caveat=profile.card.caveat if profile.card.phantoms_only else "",
        meaningless=profile.card.random_weights,
        scores_measured=scores is not None and scores.measured,
        takes_indication=profile.takes_indication,
        profile_sha256=profile.sha256,
        licence=profile.card.licence,
        intended_use=profile.card.intended_use,
        cannot=tuple(dict.fromkeys(one.value for one in (*profile.cannot, *cannot))),
    )
