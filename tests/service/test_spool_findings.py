"""Findings of a check of the spool."""

from pathlib import Path

from service.spool_findings import Kind, SpoolFinding, Tally


def test_every_kind_has_a_sentence_of_its_own():
    """For a person."""
    sentences = [kind.sentence for kind in Kind]
    assert len(set(sentences)) == len(Kind)
    assert all(each.endswith(".") for each in sentences)


def test_a_finding_as_json():
    """Values for programs; an absent path is an empty text."""
    found = SpoolFinding(
        kind=Kind.LOST_IMAGE, study_uid="1.2", sop_uid="1.2.3", detail="It is gone"
    )
    assert found.to_json() == {
        "kind": "lost_film",
        "path": "",
        "study_instance_uid": "1.2",
        "sop_instance_uid": "1.2.3",
        "meaning": "An acknowledged image that is not on the disk.",
        "detail": "It is gone",
        "repaired": "",
    }
    assert SpoolFinding(kind=Kind.LEFTOVER, path=Path("/spool/x")).to_json()["path"] == "/spool/x"


def test_repaired_findings_are_not_left():
    """They are still counted."""
    tally = Tally()
    tally.count(SpoolFinding(kind=Kind.LEFTOVER, repaired="removed"))
    tally.count(SpoolFinding(kind=Kind.LEFTOVER))
    tally.count(SpoolFinding(kind=Kind.LOST_IMAGE))
    assert (tally.found, tally.repaired, tally.left) == (
        {Kind.LEFTOVER: 2, Kind.LOST_IMAGE: 1},
        1,
        2,
    )
