"""Patients and studies: recorded once, searched, removed with the images."""

from service.study_identity import StudyIdentity
from tests.service.store.records import STUDY, arrive, image


def identity(study=STUDY, **changes):
    """Return an identity."""
    values = {"patient_name": "Müller^Jörg", "patient_id": "P_1", "accession_number": "A%1"}
    return StudyIdentity(study_uid=study, **{**values, **changes})


def test_the_first_identity_stays(store):
    """A later image does not change it."""
    arrive(store)
    store.record_identity(identity(), 1)
    store.record_identity(identity(patient_name="Other"), 2)
    assert store.identity_of(STUDY) == identity()
    assert store.identities([STUDY, "9.9"]) == {STUDY: identity()}
    assert store.identity_of("9.9") is None


def test_values_of_damaged_headers_fit(store):
    """NUL is left out, and what is too long is cut."""
    arrive(store)
    store.record_identity(identity(patient_id="P\0" + "1" * 100, patient_name="N" * 900), 1)
    found = store.identity_of(STUDY)
    assert found.patient_id == "P" + "1" * 63
    assert len(found.patient_name) == 400


def test_search_is_by_words_in_any_case(store):
    """Every word must occur; the wildcards of LIKE are literal; the latest comes first."""
    arrive(store, study="1.1")
    arrive(store, study="1.2")
    store.record_identity(identity("1.1"), 1)
    store.record_identity(identity("1.2", accession_number="B2"), 2)

    def found(text):
        return [each.study_uid for each in store.search_identities(text)]

    assert found("MÜLLER jörg") == ["1.2", "1.1"]
    assert found("p_1 a%1") == ["1.1"]
    assert found("p%1") == []
    assert found("jörg nobody") == []


def test_an_identity_stays_while_an_image_is_kept(store):
    """It is removed with the last one."""
    arrive(store)
    store.record_identity(identity(), 1)
    store.remove_identity(STUDY)
    assert store.identity_of(STUDY) is not None
    store.mark_instance_removed(store.spooled(STUDY)[0])
    store.remove_identity(STUDY)
    assert store.identity_of(STUDY) is None


def test_instances_whose_header_is_to_be_read(store):
    """Not those of a known study, conflicts, or removed ones; all move the position on."""
    arrive(store, study="1.1")
    arrive(store, study="1.1", sha="b")
    arrive(store, study="1.2")
    first, conflict, other = store.instances_to_identify(0, 9)
    assert (first[1], first[2]) == ("1.1", image(study="1.1").path)
    assert conflict[2] is None
    assert other[2] is not None
    store.record_identity(identity("1.2"), other[0])
    assert store.newest_identified() == other[0]
    assert [each[2] for each in store.instances_to_identify(conflict[0], 9)] == [None]
