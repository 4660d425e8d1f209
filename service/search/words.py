"""Similarity in words: the place of an image among all that were compared."""

from typing import Final

from service.search.vector_index import Neighbor

# A share says nothing about fewer images.
_FEWEST: Final = 100
_SHARES: Final = ((0.01, "among the closest 1 %"), (0.05, "among the closest 5 %"),
                  (0.20, "among the closest 20 %"))  # fmt: skip


def similarity_words(neighbor: Neighbor, compared: int) -> str:
    """Return how close an image is, by its place among the images compared.

    The value of the cosine itself depends on the model: of some models, all chest radiographs have a
    cosine above 0.9. Its order does not.
    """
    if compared < _FEWEST:
        return f"no. {neighbor.rank} of {compared} by similarity"
    share = neighbor.rank / compared
    return next((words for most, words in _SHARES if share <= most), "not among the closest 20 %")
