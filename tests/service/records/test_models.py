"""Records of the models in use."""

from datetime import UTC, datetime

from service.records.models import DraftingStop, ModelFacts

FACTS = ModelFacts(
    kind="openai",
    version="1",
    own_name="M",
    device="",
    dtype="",
    weights_sha256="",
    cannot=("scores",),
)


def test_facts_come_back_from_json():
    """Also those of an older or a newer version."""
    assert ModelFacts.from_json(FACTS.to_json()) == FACTS
    older = ModelFacts.from_json({"kind": "openai", "added": 1})
    assert (older.kind, older.version, older.cannot) == ("openai", "", ())


def test_a_stop_as_a_sentence():
    """With one full stop."""
    stop = DraftingStop(
        id=1, stopped_at=datetime(2026, 3, 1, tzinfo=UTC), stopped_by="kim", reason="It errs."
    )
    assert stop.sentence == "Drafting was stopped by kim: It errs."
