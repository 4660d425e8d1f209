"""The version of the labeler is that of its rules."""

import re

from workers.labeller.version import labeler_version


def test_the_version_is_a_digest():
    """The same each time."""
    assert re.fullmatch(r"[0-9a-f]{12}", labeler_version())
    assert labeler_version() == labeler_version()
