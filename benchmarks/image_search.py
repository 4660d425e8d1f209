"""Measures a search by image: exact cosine over the mapped file, against scikit-learn and plain numpy.

    python benchmarks/image_search.py [--images 100000] [--dimensions 512] [--queries 20]

It writes a file of vectors and its rows into a temporary site, starts the index (rows, checksums), then
times queries through `VectorIndex.nearest`. In the same run, interleaved, scikit-learn's brute force by
cosine and a plain product of a float32 array in memory with `argsort` answer the same queries; the
answers must be equal.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sqlalchemy import insert

from service.database import schema
from service.database.engine import make_engine
from service.database.search_tables import ImageVectorRow
from service.records.search import ImageVector
from service.search.vector_file import VectorFiles
from service.search.vector_index import VectorIndex
from service.store import Store

SPACE = "benchmark"
CLOSEST = 12


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--queries", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(Path(folder), options), indent=1))


def measured(folder: Path, options: argparse.Namespace) -> dict[str, float | int]:
    """Return the figures of one run."""
    vectors = random_vectors(options.images, options.dimensions)
    store, index = site(folder, vectors)
    begun = time.perf_counter()
    index.refresh()
    started = time.perf_counter() - begun
    brute = NearestNeighbors(n_neighbors=CLOSEST, algorithm="brute", metric="cosine").fit(vectors)
    queries = random_vectors(options.queries, options.dimensions, seed=1)
    times: dict[str, list[float]] = {"wetread": [], "scikit-learn": [], "numpy": []}
    for query in queries:
        ours, spent = timed(lambda query=query: nearest(index, query))
        times["wetread"].append(spent)
        theirs, spent = timed(
            lambda query=query: brute.kneighbors(query[None], return_distance=False)[0].tolist()
        )
        times["scikit-learn"].append(spent)
        plain, spent = timed(
            lambda query=query: np.argsort(-(vectors @ query), kind="stable")[:CLOSEST].tolist()
        )
        times["numpy"].append(spent)
        if not ours == theirs == plain:
            raise SystemExit(f"different neighbors: {ours}, {theirs}, {plain}")
    store.close()
    medians = {name: float(np.median(each)) * 1000 for name, each in times.items()}
    return {
        "images": options.images,
        "dimensions": options.dimensions,
        "file_mb": round(vectors.nbytes / 1e6, 1),
        "start_s": round(started, 2),
        **{f"{name}_ms": round(value, 1) for name, value in medians.items()},
        "of_scikit_learn": round(medians["wetread"] / medians["scikit-learn"], 2),
        "of_numpy": round(medians["wetread"] / medians["numpy"], 2),
    }


def random_vectors(count: int, dimensions: int, seed: int = 0) -> np.ndarray:
    """Return float32 [count, dimensions], of length 1."""
    drawn = np.random.default_rng(seed).standard_normal((count, dimensions), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def site(folder: Path, vectors: np.ndarray) -> tuple[Store, VectorIndex]:
    """Return a store and an index with these vectors; their rows are inserted at once."""
    url = f"sqlite:///{folder / 'wetread.db'}"
    schema.upgrade(url)
    store, files = Store(url), VectorFiles(folder)
    made = [ImageVector(SPACE, each.tobytes()) for each in vectors]
    files.write(made[-1], len(made) - 1)
    with files.path(SPACE).open("r+b") as file:
        file.seek(64)
        file.write(vectors.tobytes())
    rows = [
        {
            "space": SPACE,
            "row_number": number,
            "study_uid": f"1.2.{number}",
            "image_uid": f"1.2.{number}.1",
            "crc32": vector.crc32,
            "change_number": number + 1,
        }
        for number, vector in enumerate(made)
    ]
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(ImageVectorRow), rows)
    engine.dispose()
    return store, VectorIndex(store, files, SPACE)


def nearest(index: VectorIndex, query: np.ndarray) -> list[int]:
    """Return the numbers of the closest studies; the database is queried for changes, as in a search."""
    index.refresh()
    found = index.nearest(query, limit=CLOSEST).found
    return [int(each.study_uid.rpartition(".")[2]) for each in found]


def timed(call: Callable[[], list[int]]) -> tuple[list[int], float]:
    """Return a result, and the seconds that it took."""
    begun = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begun


if __name__ == "__main__":
    main()
