"""Only a response that the client already has is 304."""


def test_an_unchanged_job_is_304(site, seeder):
    """By its ETag; after a change it is sent again with another ETag."""
    job = seeder.completed(1)
    path = f"/api/jobs/{job.id}"
    etag = site.get(path).headers["etag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}'):
        same = site.get(path, headers={"If-None-Match": given})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert site.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    site.post(f"{path}/resend", json={})
    changed = site.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_a_review_is_never_304(site, seeder):
    """Its ETag is the version of the text; an obstacle may have appeared with the same text."""
    job = seeder.drafted(1)
    path = f"/api/jobs/{job.id}/review"
    etag = site.get(path).headers["etag"]
    assert etag == '"0"'
    assert site.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_an_error_has_no_etag(site):
    """A 404 is not stored by a client."""
    assert "etag" not in site.get("/api/jobs/ffff").headers
