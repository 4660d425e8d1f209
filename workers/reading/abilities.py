"""Says what a model cannot do, in its drafts and to the selection of images."""

from typing import Final

from workers.model.profiles.profile import Ability
from workers.model.vlm import Checkpoint

# What a reader of a draft would otherwise look for in vain.
_MISSED: Final = {Ability.SCORES: "gives no scores", Ability.REGIONS: "shows no regions"}


def limits(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the note of a draft that says what this model does not show, or ()."""
    missed = [limit for ability, limit in _MISSED.items() if ability in checkpoint.cannot]
    if not missed:
        return ()
    return (
        f"This model {' and '.join(missed)}. That none stand here says nothing about findings.",
    )


def lacks(checkpoint: Checkpoint, ability: Ability) -> bool:
    """Return whether a model says that it cannot do something."""
    return ability in checkpoint.cannot
