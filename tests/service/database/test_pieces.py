"""The values of an IN condition are divided: none is lost, and no statement has too many."""

from service.database.pieces import VALUES_AT_ONCE, pieces


def test_all_values_are_kept_in_their_order():
    """Also of an iterator, and where the last piece is full."""
    for count in (0, 1, VALUES_AT_ONCE, VALUES_AT_ONCE + 1, 3 * VALUES_AT_ONCE):
        found = list(pieces(iter(range(count))))
        assert [value for piece in found for value in piece] == list(range(count))
        assert all(0 < len(piece) <= VALUES_AT_ONCE for piece in found)
