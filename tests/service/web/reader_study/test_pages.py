"""Pages and JSON API of reader studies: access rights, each entry once, closing, results."""

import csv
import io

RATING = {"rating": "B", "errors": [], "image_seconds": 1, "text_seconds": 2}


def test_only_the_readers_see_a_study_and_only_their_current_item(make_study):
    """Other radiologists get 404, an admin the overview; no later, earlier or foreign item is open."""
    study = make_study()
    current, other = study.current("kim"), study.current("lee")
    assert "Spring reading" in study.page("").text
    assert study.page("", "out").status_code == 404
    assert study.page("/read", "out").status_code == 404
    assert study.page("/read", "ann").status_code == 403
    assert study.site.get("/reader-studies", as_=study.cookies["out"]).text.count("Spring") == 0
    image = f"/items/{current.id}/film/voi.json"
    assert study.page(image, "kim").json()["rows"] == 96
    assert study.page(f"/items/{current.id}/film/levels/1").status_code == 200
    assert study.page(image, "lee").status_code == 404
    assert study.send(current.id, "text", {}, "lee").status_code == 404
    assert study.send(other.id, "text", {}, "out").status_code == 404
    study.rate("kim")
    assert study.page(image, "kim").status_code == 404
    later = study.current("kim")
    assert later.id != current.id
    assert study.send(later.id, "rating", RATING).status_code == 409  # its text was not shown yet


def test_an_entry_counts_once_and_the_first_one_stays(make_study):
    """A double click is answered alike; another class or guess is refused, and there is no way back."""
    study = make_study()
    item = study.current()
    assert study.send(item.id, "author", {"author": "software"}).status_code == 409
    text = study.send(item.id, "text", {}).json()["text"]
    assert text == study.send(item.id, "text", {}).json()["text"]
    assert study.send(item.id, "author", {"author": "software"}).status_code == 409
    assert study.send(item.id, "rating", {**RATING, "rating": "E"}).status_code == 400
    assert study.send(item.id, "rating", RATING).status_code == 200
    assert study.send(item.id, "rating", {**RATING, "text_seconds": 3}).status_code == 200
    assert study.send(item.id, "rating", {**RATING, "rating": "A"}).status_code == 409
    assert study.send(item.id, "author", {"author": "software"}).status_code == 200
    assert study.send(item.id, "author", {"author": "software"}).status_code == 200
    assert study.send(item.id, "author", {"author": "radiologist"}).status_code == 409
    assert study.send(item.id, "rating", RATING).status_code == 200
    assert study.send(item.id, "text", {}).status_code == 409
    study.store.close_reader_study(study.study_id, "ann", None)
    (rated,) = [each for each in study.store.reader_study_results(study.study_id) if each.rating]
    assert (rated.rating.rating, rated.author, rated.rating.text_seconds) == ("B", "software", 2)
    assert study.send(item.id, "rating", RATING).status_code == 200


def test_closing_is_an_admins_final_and_audited_act_and_only_then_arms_are_shown(make_study):
    """Readers cannot close; results and CSV answer 409 before; nothing is recorded after."""
    study = make_study(cases=2, readers=("kim",))
    url = f"/reader-studies/{study.study_id}/close"
    assert study.site.post(url, as_=study.cookies["kim"]).status_code == 403
    assert study.page("/results.csv", "ann").status_code == 409
    assert study.site.post(url).status_code == 409
    texts = [study.rate(grade="A" if n % 2 else "D", author="software") for n in range(4)]
    left = study.current()
    assert left is not None
    answer = study.site.post(url, data={"incomplete": "yes"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"../{study.study_id}")
    assert study.send(left.id, "text", {}).status_code == 409
    assert study.site.post(url, data={"incomplete": "yes"}).status_code == 409
    shown = study.page("").text
    for words in ("AI drafts", "Non-inferiority", "72.7", "guessed right", "What differs"):
        assert words in shown
    rows = list(csv.DictReader(io.StringIO(study.page("/results.csv", "ann").text)))
    assert len(rows) == 5  # 2 cases with 2 arms each, one repeated
    assert sum(bool(row["rating"]) for row in rows) == len(texts) == 4
    assert {row["arm"] for row in rows} == {"draft", "reference"}
    actions = [(each.event.action, each.event.detail) for each in study.store.whole_audit()]
    closed = [detail for action, detail in actions if action == "closed a reader study"]
    assert closed == [f"Spring reading ({study.study_id})"]


def test_images_of_an_open_study_are_kept(make_study, clock):
    """Retention takes them only after the study is closed."""
    study = make_study(cases=1, readers=("kim",))
    later = clock.move(0).replace(year=2100)
    uid = study.current().study_uid
    assert not study.store.is_removable(uid, later)
    assert uid not in study.store.removable(later)
    study.store.close_reader_study(study.study_id, "ann", None)
    assert study.store.is_removable(uid, later)
