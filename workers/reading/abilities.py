"""States what a model cannot do, in its drafts and to the selection of images."""

from typing import Final

from dicom.reasons import Reason
from workers.model.profiles.profile import Ability, Profile
from workers.model.vlm import Checkpoint

# What a reader of a draft would otherwise look for in vain.
_MISSED: Final = {Ability.SCORES: "gives no scores", Ability.REGIONS: "shows no regions"}


def limits(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the note of a draft that states what this model does not show, or ()."""
    missed = [limit for ability, limit in _MISSED.items() if ability in checkpoint.cannot]
    if not missed:
        return ()
    return (
        f"This model {' and '.join(missed)}. Their absence here is no statement about findings.",
    )


def refuses_patients(profile: Profile | None) -> str:
    """Return the sentence for a patient's study that a model for synthetic images does not read.

    Args:
        profile: The model's profile, whose key is named; None: it is built in.
    """
    if profile is None:
        return Reason.NO_MODEL_FOR_PATIENTS.sentence
    key = "phantoms_only" if profile.card.phantoms_only else "random_weights"
    return (
        f"The image was not read: no model for patients is configured. The model {profile.name} reads "
        f"synthetic images only ({key} = true in [card] of its profile)."
    )


def lacks(checkpoint: Checkpoint, ability: Ability) -> bool:
    """Return whether a model lacks an ability."""
    return ability in checkpoint.cannot
