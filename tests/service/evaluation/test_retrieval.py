"""Retrieval figures against direct computations by scikit-learn and plain loops."""

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score
from sklearn.neighbors import NearestNeighbors

from service.evaluation.retrieval import CUTS, image_neighbors, ranked, retrieval
from service.evaluation.values import EvaluationInputError, Undefined


def vectors(rng, count, width=16):
    """Return random vectors of length 1."""
    found = rng.standard_normal((count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture
def pairs():
    """Forty pairs, related, with repeated texts and few label sets."""
    rng = np.random.default_rng(3)
    images = vectors(rng, 40)
    images[30:] = images[:10] + 0.1 * images[10:20]
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    texts = images + 0.6 * vectors(rng, 40)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    reports = [f"text {number % 30}" for number in range(40)]
    texts[30:] = texts[:10]  # an encoder gives equal texts equal vectors
    labels = [frozenset({"edema"} if number % 3 else set()) for number in range(40)]
    return images, texts, reports, labels


def test_recall_is_that_of_scikit_learn_where_no_text_repeats(pairs):
    """Both directions, each k, and the median rank."""
    images, texts, _, labels = (each[:30] for each in pairs)
    found = retrieval(images, texts, [f"text {number}" for number in range(30)], labels)
    for direction, cosines in (
        (found.to_text, images @ texts.T),
        (found.to_image, texts @ images.T),
    ):
        for k in CUTS:
            expected = top_k_accuracy_score(range(30), cosines, k=k, labels=range(30))
            assert direction.recall[str(k)].value == pytest.approx(expected)
            assert direction.recall_equal[str(k)].value == pytest.approx(expected)
        ranks = [(row >= row[number]).sum() for number, row in enumerate(cosines)]
        assert direction.median_rank == np.median(ranks)


def test_equal_texts_count_only_where_the_figure_says_so(pairs):
    """Against a loop over the queries: strict, with equal texts, labels, chance."""
    images, texts, reports, labels = pairs
    found = retrieval(images, texts, reports, labels)
    assert found.repeated_texts == 20
    assert found.chance == {"1": 1 / 40, "5": 5 / 40, "10": 10 / 40}
    cosines = images.astype(float) @ texts.astype(float).T
    for k in CUTS:
        strict = equal = precise = 0
        for query, row in enumerate(cosines):
            first = sorted(range(40), key=lambda each, row=row: (-row[each], each))[:k]
            strict += query in first
            equal += any(reports[each] == reports[query] for each in first)
            precise += sum(labels[each] == labels[query] for each in first) / k
        assert found.to_text.recall[str(k)].value == strict / 40
        assert found.to_text.recall_equal[str(k)].value == equal / 40
        assert found.to_text.label_precision[str(k)] == pytest.approx(precise / 40)
    assert found.to_text.recall_equal["1"].value > found.to_text.recall["1"].value


def test_chance_counts_equal_texts_and_labels(pairs):
    """Against random candidates: 20 of 40 partners have a second text, labels agree by their shares."""
    images, texts, reports, labels = pairs
    found = retrieval(images, texts, reports, labels)
    assert found.chance_equal["1"] == pytest.approx(np.mean([2] * 20 + [1] * 20) / 40)
    assert found.chance_equal["5"] == pytest.approx(
        np.mean([1 - 35 / 40 * 34 / 39] * 20 + [5 / 40] * 20)
    )
    assert found.label_chance == pytest.approx((26 / 40) ** 2 + (14 / 40) ** 2)


def test_pairs_without_labels_are_no_normal_ones(pairs):
    """Labels@k is that of the other pairs alone; recall is of all."""
    images, texts, reports, labels = pairs
    known = retrieval(images[:25], texts[:25], reports[:25], labels[:25])
    found = retrieval(images, texts, reports, [*labels[:25], *[None] * 15])
    assert (found.pairs, found.labeled) == (40, 25)
    assert found.to_text.label_precision == known.to_text.label_precision
    assert found.to_image.label_precision == known.to_image.label_precision
    none = retrieval(images, texts, reports, [None] * 40)
    assert isinstance(none.to_text.label_precision["1"], Undefined)


def test_neighbors_are_those_of_scikit_learn(pairs):
    """The image itself is not compared; chance is the share of the others with the same labels."""
    images, _, _, labels = pairs
    found = image_neighbors(images, labels)
    index = NearestNeighbors(n_neighbors=11, metric="cosine").fit(images)
    near = index.kneighbors(images, return_distance=False)[:, 1:]
    for k in CUTS:
        same = [
            [labels[each] == labels[query] for each in row[:k]] for query, row in enumerate(near)
        ]
        assert found.label_precision[str(k)] == pytest.approx(np.mean(same))
    others = [sum(each == own for each in labels) - 1 for own in labels]
    assert found.chance == pytest.approx(np.mean(others) / 39)


@pytest.mark.parametrize("block", [1, 7, 40, 0])
@pytest.mark.parametrize("is_self", [False, True])
def test_ranks_by_blocks_are_those_of_the_full_matrix(pairs, block, is_self):
    """Also with equal cosines, and blocks that do not divide the number of queries."""
    images, texts, *_ = pairs
    candidates = images if is_self else texts
    cosines = np.round(images.astype(float) @ candidates.astype(float).T, 12)
    ranks = (
        np.argsort(np.argsort(-cosines, axis=1, kind="stable"), axis=1)[range(40), range(40)] + 1
    )
    if is_self:
        np.fill_diagonal(cosines, -np.inf)
    found = ranked(images, candidates, is_self=is_self, block=block)
    assert found.ranks.tolist() == ranks.tolist()
    assert (found.first == np.argsort(-cosines, axis=1, kind="stable")[:, :10]).all()


def test_memory_does_not_grow_with_the_square_of_the_pairs():
    """Four thousand pairs: the full matrices of cosines, order and equal texts would take 370 MB."""
    count = 4000
    found = vectors(np.random.default_rng(1), count, 4)
    tracemalloc.start()
    retrieval(found, found, [str(number) for number in range(count)], [frozenset()] * count)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 370e6 / 4


def test_one_pair_is_refused(pairs):
    """There is nothing to rank."""
    with pytest.raises(EvaluationInputError):
        retrieval(*(each[:1] for each in pairs))
