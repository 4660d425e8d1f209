"""Records of a comparison with an archive."""

from dicom.archives.archive import HeldInstance, Listing
from service.reconcile.comparison import (
    Lack,
    LackingStudy,
    by_study,
    other_classes,
    position_before,
    without,
)


def held(number, study="1.1", sop_class="CR"):
    """Return an Instance of the archive."""
    return HeldInstance(
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        sop_instance_uid=f"{study}.{number}",
        sop_class_uid=sop_class,
        sequence=number,
    )


def test_instances_by_study_in_their_order():
    """As the archive lists them."""
    found = by_study([held(1), held(2, "1.2"), held(3)])
    assert list(found) == ["1.1", "1.2"]
    assert [each.sequence for each in found["1.1"]] == [1, 3]


def test_what_is_no_more_absent():
    """The fetched Instances."""
    assert without([held(1), held(2)], [held(2)]) == ["1.1.1"]


def test_the_position_stays_before_what_is_missing():
    """The next comparison begins there; a study without its job counts as missing."""
    listing = Listing(instances=[], position=9)
    accepted = [held(3), held(5), held(7, "1.2")]
    assert position_before(listing, accepted, [], set()) == 9
    assert position_before(listing, accepted, [held(5)], set()) == 4
    assert position_before(listing, accepted, [held(5)], {"1.2"}) == 4
    assert position_before(listing, accepted, [], {"1.2"}) == 6


def test_classes_that_are_not_accepted_are_counted():
    """One that the archive does not name is not."""
    given = [held(1), held(2, sop_class="US"), held(3, sop_class="US"), held(4, sop_class="")]
    assert other_classes(given, frozenset({"CR"})) == {"US": 2}


def test_a_lacking_study_as_json():
    """For programs."""
    lacking = LackingStudy(
        study_instance_uid="1.1", lack=Lack.INSTANCES, listed=2, absent=(held(1),), refused="no"
    )
    assert lacking.to_json() == {
        "study_instance_uid": "1.1",
        "lack": "incomplete",
        "listed": 2,
        "absent": ["1.1.1"],
        "refused": "no",
    }
