"""Whether another site made a request."""

import pytest
from starlette.datastructures import Headers

from service.web.access.origin import is_same_origin


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil"}, True),
        ({"host": "reads:8080", "origin": "http://reads:8080"}, True),
        ({"host": "reads:8080", "origin": "http://reads"}, False),
        ({"host": "reads", "origin": "null"}, False),
        ({"host": "reads", "origin": "https://evil"}, False),
    ],
)
def test_fetch_metadata_counts_before_origin(headers, expected):
    """Programs send neither."""
    assert is_same_origin(Headers(headers)) is expected
