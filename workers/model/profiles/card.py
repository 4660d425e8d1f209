"""The model card of a profile: what a site should know of a model before it reads with it."""

from collections.abc import Iterator

from workers.model.profiles.profile import ENGLISH, Profile
from workers.model.vlm import Checkpoint


def model_card(profile: Profile, checkpoint: Checkpoint) -> str:
    """Return a model card in Markdown.

    Args:
        profile: The model's profile.
        checkpoint: The weights as they were loaded.
    """
    return "\n".join(_lines(profile, checkpoint)) + "\n"


def _lines(profile: Profile, checkpoint: Checkpoint) -> Iterator[str]:
    card, scores = profile.card, profile.scores
    yield f"# {profile.name}"
    yield ""
    yield "Drafts of this model are not verified and need a radiologist. It is not a medical device."
    yield ""
    yield f"- **Source**: {card.source}"
    yield f"- **License**: {card.licence}"
    yield f"- **Intended use**: {card.intended_use}"
    others = "" if card.languages == (ENGLISH,) else "; Wetread accepts reports in English only"
    yield f"- **Languages**: {', '.join(card.languages)}{others}"
    yield f"- **Not available**: {', '.join(checkpoint.cannot) or 'nothing'}"
    real = "yes" if card.tried_with_real_weights else "no"
    yield f"- **Profile tried with real weights**: {real} ({card.tried})"
    if card.caveat:
        yield f"- **Caveat**: {card.caveat}"
    if scores is not None:
        yield f"- **Scores measured**: {'yes' if scores.measured else 'no'}"
    yield f"- **Weights**: SHA-256 {checkpoint.weights_sha256 or 'not known'}, {checkpoint.revision}"
    yield f"- **Runs as**: {checkpoint.dtype} on {checkpoint.device}, {checkpoint.libraries}"
    yield ""
    yield "## Prompt of a report"
    yield ""
    if profile.prompts.system:
        yield from _quoted(f"system: {profile.prompts.system}")
    yield from _quoted(f"user: {profile.prompts.report}")


def _quoted(text: str) -> Iterator[str]:
    yield from (f"> {line}" for line in text.splitlines())
    yield ""
