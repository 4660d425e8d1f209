"""Similar studies: exact neighbors, their data, and vectors that cannot be used."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from dicom.content.report import Observation, Presence, Side
from service.records.search import TextSource, WantedFinding
from service.search import described
from service.search.query import TextQuery
from service.search.similar import NoResult
from service.search.vector_index import Neighbor, VectorIndex
from service.search.words import similarity_words
from service.study_identity import StudyIdentity
from tests.service.search.conftest import SPACE, unit_vectors


def identify(store, number, patient):
    """Record the patient of a study."""
    identity = StudyIdentity(study_uid=f"1.2.{number}", patient_id=patient, study_date="20260301")
    store.record_identity(identity, number)


def test_the_neighbors_are_those_of_scikit_learn(vectors):
    """In order, with their cosines, without the study itself; the patient's other study is marked."""
    values = unit_vectors(9)
    for number, each in enumerate(values):
        vectors.draft(number)
        assert vectors.keep(number, each)
    identify(vectors.store, 0, "P1")
    identify(vectors.store, 4, "P1")
    identify(vectors.store, 5, "P2")
    found = vectors.searching.similar_to("1.2.0", limit=20)
    cosines = cosine_similarity(values[:1], values)[0]
    expected = sorted(range(1, 9), key=lambda each: -cosines[each])
    assert [each.study_uid for each in found.studies] == [f"1.2.{each}" for each in expected]
    np.testing.assert_allclose(
        [each.neighbor.cosine for each in found.studies], cosines[expected], atol=1e-6
    )
    assert [each.study_uid for each in found.studies if each.same_patient] == ["1.2.4"]
    assert (found.compared, found.missing) == (8, 0)
    first = found.studies[0]
    assert described.findings_words(first) == [
        "cardiomegaly", "possible left pleural effusion", "right pneumothorax",
    ]  # fmt: skip
    assert described.decision_words(first) == "no decision"


def test_a_removed_vector_is_zeros_and_its_row_is_used_again(vectors):
    """The search sees both at once, without a new start."""
    values = unit_vectors(4)
    for number in (0, 1, 2):
        vectors.draft(number)
        vectors.keep(number, values[number])
    assert vectors.searching.similar_to("1.2.0").compared == 2
    assert vectors.store.drop_vectors("1.2.1.1", vectors.files.clear) == 1
    assert values[1].tobytes() not in vectors.files.path(SPACE).read_bytes()
    assert vectors.searching.similar_to("1.2.1").nothing is NoResult.NO_VECTOR
    vectors.draft(3)
    vectors.keep(3, values[3])
    rows = {row.image_uid: row.row for row in vectors.store.vector_changes(SPACE)}
    assert rows == {"1.2.0.1": 0, "1.2.3.1": 1, "1.2.2.1": 2}
    found = vectors.searching.similar_to("1.2.0")
    assert {each.study_uid for each in found.studies} == {"1.2.2", "1.2.3"}


def test_no_vector_of_an_image_that_is_not_here(vectors):
    """A reading that ends after the images were removed leaves none."""
    assert not vectors.keep(7, unit_vectors(1)[0])
    assert not vectors.files.path(SPACE).exists()


def test_a_damaged_or_lost_vector_is_not_compared(vectors):
    """A flipped bit, a file cut short, a file that is gone: counted, never a wrong neighbor."""
    values = unit_vectors(3)
    for number, each in enumerate(values):
        vectors.draft(number)
        vectors.keep(number, each)
    path = vectors.files.path(SPACE)
    content = bytearray(path.read_bytes())
    content[64 + 32 + 3] ^= 1
    path.unlink()  # a new file: the others keep theirs mapped
    path.write_bytes(content)
    found = vectors.searching.similar_to("1.2.0")
    assert ([each.study_uid for each in found.studies], found.missing) == (["1.2.2"], 1)
    path.unlink()
    path.write_bytes(content[: 64 + 32])
    found = vectors.searching.similar_to("1.2.0")
    assert (found.nothing, found.missing) == (NoResult.ALONE, 2)
    path.unlink()
    assert vectors.searching.similar_to("1.2.0").nothing is NoResult.DAMAGED


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from service.records.search import ImageVector
from service.search.vector_file import VectorFiles
from service.store import Store

url, folder, moment = sys.argv[1:]
files = VectorFiles(Path(folder))
vector = ImageVector("{space}", np.ones(8, "<f4").tobytes())

def write(space, row):
    if moment == "before the file":
        os.kill(os.getpid(), signal.SIGKILL)
    files.write(vector, row)
    if moment == "before the row":
        os.kill(os.getpid(), signal.SIGKILL)

Store(url).keep_vector(vector, study_uid="1.2.1", image_uid="1.2.1.1", write=write)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("moment", "found"), [("before the file", 0), ("before the row", 0), ("after both", 1)]
)
def test_a_killed_process_leaves_no_half_of_a_vector(
    vectors, database_url, tmp_path, moment, found
):
    """SIGKILL between file and row: no row without its vector; the next reading writes both."""
    values = unit_vectors(2)
    vectors.draft(0)
    vectors.keep(0, values[0])
    vectors.draft(1)
    script = KILLED.format(space=SPACE)
    arguments = [sys.executable, "-c", script, database_url, str(tmp_path / "data"), moment]
    killed = subprocess.run(arguments, env={**os.environ}, check=False, timeout=60)
    assert killed.returncode == -9
    assert vectors.searching.similar_to("1.2.0").compared == found
    assert vectors.keep(1, values[1])
    again = vectors.searching.similar_to("1.2.0")
    assert (again.compared, again.missing) == (1, 0)
    assert again.studies[0].neighbor.cosine == pytest.approx(values[0] @ values[1], abs=1e-6)


def test_a_second_index_sees_what_another_process_writes(vectors):
    """Each search takes over the changes since the last, and verifies them."""
    index = VectorIndex(vectors.store, vectors.files, SPACE)
    index.refresh()
    values = unit_vectors(30)
    for number, each in enumerate(values):
        vectors.draft(number)
        vectors.keep(number, each)
        index.refresh()
        assert index.vector(number).tolist() == each.tolist()
    assert index.damaged == []


def test_similarity_is_the_place_among_all_images():
    """The cosine of two models is not on one scale; with few images only the place is stated."""
    near = Neighbor("1", "2", 0.99, 3)
    assert similarity_words(near, 50) == "no. 3 of 50 by similarity"
    assert similarity_words(near, 300) == "among the closest 1 %"
    assert similarity_words(near, 100) == "among the closest 5 %"
    assert similarity_words(Neighbor("1", "2", 0.2, 90), 100) == "not among the closest 20 %"


def test_a_query_is_read_by_the_labeler():
    """Findings with presence and side, and the words without stop words."""
    query = TextQuery.of("No pneumothorax. Large left pleural effusion")
    assert set(query.findings) == {
        WantedFinding(observation=Observation.PNEUMOTHORAX, presence=Presence.ABSENT),
        WantedFinding(
            observation=Observation.PLEURAL_EFFUSION, presence=Presence.PRESENT, side=Side.LEFT
        ),
    }
    assert query.words == ("pneumothorax", "large", "left", "pleural", "effusion")
    assert TextQuery.of('\' OR "a*" NEAR(x) <b>; --').words == ("near",)
    assert TextQuery.of(" \n ").words == ()
    possible = TextQuery.of("possible edema, no effusion").findings
    assert {(each.observation, each.presence) for each in possible} == {
        (Observation.EDEMA, Presence.PRESENT),
        (Observation.PLEURAL_EFFUSION, Presence.ABSENT),
    }


def test_texts_are_found_by_findings_and_ranked_by_words(vectors, monkeypatch):
    """A side that is not stated finds none of the other; a withdrawn draft is not found."""
    effusion = vectors.draft(1)  # cardiomegaly, possible left effusion, right pneumothorax
    vectors.draft(2, findings=(), findings_text=("A granuloma in the left upper lobe.",))
    vectors.draft(3, findings=(), findings_text=("Granuloma, granuloma.", "Unchanged."))

    def found(text):
        return [each.study_uid for each in vectors.searching.with_text(TextQuery.of(text)).studies]

    assert found("left pleural effusion") == ["1.2.1"]
    assert found("cardiomegaly with right pneumothorax") == ["1.2.1"]
    assert found("granuloma") == ["1.2.3", "1.2.2"]
    assert found("granulomas in the upper lobe") == ["1.2.2", "1.2.3"]
    by_words = vectors.searching.with_text(TextQuery.of("right pleural effusion"))
    assert by_words.only_by_words
    assert found("nothing of this kind is") == []
    assert found("the") == []
    with monkeypatch.context() as patched:
        # A large site: only the newest matching texts are ranked.
        patched.setattr("service.store.search.texts._MOST_RANKED", 1)
        assert found("granuloma") == ["1.2.3"]
    vectors.store.remove_search_texts("1.2.3")
    assert found("granuloma") == ["1.2.2"]
    [hit] = vectors.store.search_texts(TextQuery.of("cardiomegaly").findings, (), limit=5)
    assert (hit.source, hit.job_id) == (TextSource.DRAFT, effusion.id)
