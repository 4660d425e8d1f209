"""Versions of libraries whose internal parts are used."""

from importlib import metadata

from dicom.library import Library

PYDICOM = metadata.version("pydicom")


def test_a_tested_version_has_no_warning():
    """No warning about a tested version."""
    library = Library(name="pydicom", tested=("1.0", PYDICOM), consequence="nothing works")
    assert library.is_tested
    assert library.warning == ""


def test_another_version_is_named_with_what_is_different():
    """The warning has both versions and the consequence."""
    library = Library(name="pydicom", tested=("1.0", "1.1"), consequence="it is slower")
    assert not library.is_tested
    assert library.warning == f"pydicom {PYDICOM} is installed; tested: 1.0, 1.1; it is slower"


def test_a_library_that_is_not_installed():
    """It has no version, and was not tested."""
    library = Library(name="no-such-distribution", tested=("1",), consequence="x")
    assert (library.installed, library.is_tested) == ("none", False)
