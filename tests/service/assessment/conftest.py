"""Random rows of studies."""

import pytest

from tests.service.assessment.rows import make_rows


@pytest.fixture(scope="session")
def rows_of():
    """A function that returns random rows."""
    return make_rows
