"""Levels over HTTP: made once, kept beside the image, and a message for images that cannot be shown."""

import gzip
import threading

import pytest

from dicom.spool.levels_file import levels_path, open_index


@pytest.fixture
def image(seeder):
    """An image in the spool."""
    return seeder.image(1)


def base(image) -> str:
    """The base address of an image."""
    return f"studies/{image.study_instance_uid}/films/{image.sop_instance_uid}/"


def test_an_image_that_was_not_read_is_prepared_on_demand_and_kept(site, image):
    """The first request makes the file beside the image; no client may store the level."""
    described = site.get(f"{base(image)}voi.json")
    assert described.json()["levels"] == [{"rows": n, "columns": n} for n in (96, 48, 24)]
    made = levels_path(image.path).stat().st_mtime_ns
    for number, side in enumerate((96, 48, 24)):
        answer = site.get(f"{base(image)}levels/{number}")
        assert len(answer.content) == 2 * side * side
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-encoding"] == "gzip"
    assert levels_path(image.path).stat().st_mtime_ns == made


def test_damaged_levels_are_made_again(site, image):
    """A truncated file, or older than its image, counts as missing."""
    site.get(f"{base(image)}voi.json")
    path = levels_path(image.path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert len(site.get(f"{base(image)}levels/2").content) == 2 * 24 * 24
    assert path.read_bytes() == whole


def test_many_requests_for_one_image_decode_it_once(site, image, monkeypatch):
    """All of them wait for the same work."""
    renderer = site.here.images.renderer()
    really, calls = renderer.levels, []
    monkeypatch.setattr(
        type(renderer), "levels", lambda _, path: (calls.append(path), really(path))[1]
    )
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(site.get(f"{base(image)}levels/1")))
        for _ in range(6)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.status_code for each in answers] == [200] * 6
    assert calls == [image.path]


def test_a_spool_that_cannot_be_written_is_served_from_memory(make_site, seeder_of):
    """A disk without room for levels still shows the image, and gets no file."""
    given = {"min_free_bytes": 2**62, "callers": [{"ae_title": "MODALITY"}]}
    site = make_site(receiver=given)
    image = seeder_of(site).image(1)
    assert site.get(f"{base(image)}voi.json").status_code == 200
    assert len(site.get(f"{base(image)}levels/0").content) == 2 * 96 * 96
    assert not levels_path(image.path).exists()


def test_what_cannot_be_shown_states_why(site, image):
    """An image that cannot be decoded, one that was removed, and levels that do not exist."""
    image.path.write_bytes(image.path.read_bytes()[:-5000])
    for name in ("voi.json", "levels/2"):
        answer = site.get(base(image) + name, headers={"Accept": "application/json"})
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("This image cannot be shown: ")
    image.path.unlink()
    answer = site.get(f"{base(image)}voi.json", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (404, "The image is no longer stored.")


@pytest.mark.parametrize("number", ["3", "-1", "x", "99999999999999999999"])
def test_there_are_three_levels(site, image, number):
    """Another number is 404."""
    assert site.get(f"{base(image)}levels/{number}").status_code == 404


def test_levels_of_another_study_are_not_found(site, image):
    """Both UIDs have to belong together; malformed ones are 404, too."""
    for address in (
        f"studies/1.2.3/films/{image.sop_instance_uid}/voi.json",
        f"studies/{image.study_instance_uid}/films/1.2.3/levels/0",
        f"studies/{image.study_instance_uid}/films/..%2F..%2Fetc/levels/0",
    ):
        assert site.get(address).status_code == 404
    assert site.get(f"{base(image)}levels/0", as_="", follow_redirects=False).status_code in {
        303,
        401,
    }


def test_levels_on_the_disk_are_what_is_sent(site, image):
    """The bytes are those of the file: nothing is compressed at a request."""
    body = site.get(f"{base(image)}levels/0").content
    path = levels_path(image.path)
    offset, length = open_index(path).parts[0]
    assert gzip.decompress(path.read_bytes()[offset : offset + length]) == body
