"""How the drafts of two models differ."""

import json
from dataclasses import replace

from dicom.content.report import Finding, Observation, Presence, Side
from service.records.shadow import ShadowComparison, compare

EDEMA, EFFUSION = Observation.EDEMA, Observation.PLEURAL_EFFUSION


def found(observation, side=None, presence=Presence.PRESENT):
    """Return a finding."""
    return Finding(observation=observation, presence=presence, side=side)


def test_findings_are_compared_one_by_one(reviewing):
    """Present and uncertain are stated; an absent one is not."""
    ours = reviewing.draft(
        findings=(found(EDEMA), found(EFFUSION, Side.LEFT)), timings_ms={"model": 1500.0}
    )
    theirs = reviewing.draft(
        findings=(
            found(EFFUSION, Side.BILATERAL, Presence.UNCERTAIN),
            found(EDEMA, presence=Presence.ABSENT),
            found(Observation.PNEUMOTHORAX),
        )
    )
    result = compare(ours, theirs)
    assert result.both == ("pleural effusion",)
    assert (result.only_in_use, result.only_shadow) == (("edema",), ("pneumothorax",))
    assert result.sides_differ == ("pleural effusion",)
    assert (result.seconds_in_use, result.seconds_shadow) == (1.5, None)


def test_a_side_that_one_does_not_name_is_no_difference(reviewing):
    """Left and right of two findings are bilateral."""
    both = (found(EFFUSION, Side.LEFT), found(EFFUSION, Side.RIGHT))
    one = (found(EFFUSION, Side.BILATERAL),)
    none = (found(EFFUSION),)
    for first, second in ((both, one), (one, none)):
        result = compare(reviewing.draft(findings=first), reviewing.draft(findings=second))
        assert result.sides_differ == ()


def test_drafts_about_two_images_are_not_compared(reviewing):
    """Lengths are."""
    ours = reviewing.draft()
    theirs = replace(ours, source=replace(ours.source, sop_instance_uid="9.9"))
    result = compare(ours, theirs)
    assert (result.same_image, result.both) == (False, ())
    assert result.characters_in_use == result.characters_shadow > 0


def test_a_comparison_comes_back_from_json():
    """What another version added is left out."""
    made = ShadowComparison(same_image=True, both=("edema",), seconds_shadow=2.0)
    data = {**json.loads(json.dumps(made.to_json())), "added": 1}
    assert ShadowComparison.from_json(data) == made
