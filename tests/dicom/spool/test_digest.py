import hashlib

from dicom.spool.digest import hasher_like, new_hasher

# BLAKE3's published test vector for no input; any shorter output is the beginning of a longer one.
_OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_a_images_digest_is_the_beginning_of_its_blake3():
    """Its 56 digits cannot be taken for the 64 of a SHA-256."""
    assert new_hasher().hexdigest() == _OF_NOTHING[:56]


def test_pieces_are_hashed_as_the_whole():
    """For pieces of any length and type."""
    whole, pieces = new_hasher(), new_hasher()
    content = bytes(range(256)) * 900
    whole.update(content)
    for start in range(0, len(content), 7001):
        pieces.update(memoryview(content)[start : start + 7001])
    assert pieces.hexdigest() == whole.hexdigest()


def test_what_is_compared_is_hashed_by_the_same_algorithm():
    """A digest of 64 digits asks for SHA-256."""
    for known in (hashlib.sha256(b"film").hexdigest(), _of(b"film")):
        hasher = hasher_like(known)
        hasher.update(b"film")
        assert hasher.hexdigest() == known


def _of(content):
    hasher = new_hasher()
    hasher.update(content)
    return hasher.hexdigest()
