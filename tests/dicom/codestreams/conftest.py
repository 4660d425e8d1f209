"""The codestream of each coding, made once."""

import pytest
from pydicom.uid import JPEGExtended12Bit

from tests.dicom.codestreams.codings import CODINGS, IMAGE, extended


@pytest.fixture(scope="session")
def codestream(tmp_path_factory):
    """A function that returns transfer syntax, codestream and depth of a coding by name."""
    made = {}

    def make(name):
        if name not in made:
            if name == "extended":
                folder = tmp_path_factory.mktemp("extended")
                made[name] = (JPEGExtended12Bit, extended(IMAGE, folder), False)
            else:
                syntax, encode, eight = CODINGS[name]
                made[name] = (syntax, encode(), eight)
        return made[name]

    return make
