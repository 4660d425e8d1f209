"""Nothing that a reader can observe depends on the arm of a text, except the text itself."""

import re

import pytest
from sqlalchemy import event

from service.reader_study.words import Arm

# What differs between any two items, in any arm.
OWN = re.compile(r"[0-9a-f]{32}|Item \d+ of|value=\"\d+\"")
HEADERS = re.compile(r"^(date|content-length)$")
WORDS = re.compile(r"\btiny\b|\bdemo\b|caveat|weights|score|\barm\b|reference", re.IGNORECASE)


@pytest.fixture
def statements(make_study):
    """A study, and a function that returns the SQL statements since its last call."""
    study, made = make_study(cases=6, readers=("kim",)), []
    engine = study.store._engine

    @event.listens_for(engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, *_rest):
        made.append(statement)

    def since():
        found, made[:] = list(made), []
        return found

    yield study, since
    event.remove(engine, "before_cursor_execute", note)


def observed(study, since):
    """Do one item as a reader; return all that could be observed, without the text."""
    item, seen = study.current(), []
    study.page("/read")
    study.page(f"/items/{item.id}/film/voi.json")  # both may write: the observations follow
    since()
    for path in ("/read", f"/items/{item.id}/film/voi.json", f"/items/{item.id}/film/levels/1"):
        answer = study.page(path)
        seen.append((path, answer.status_code, answer.headers.multi_items(), answer.text))
    body = {"rating": "A", "errors": [], "image_seconds": 1, "text_seconds": 1}
    sent = (
        ("author", {"author": "software"}),  # an error: it was not rated yet
        ("text", {}),
        ("rating", {**body, "errors": [7]}),  # an error of the request
        ("rating", body),
        ("rating", {**body, "rating": "D"}),  # an error: it has another class
        ("author", {"author": "cannot tell"}),
    )
    for name, content in sent:
        answer = study.send(item.id, name, content)
        said = "" if name == "text" else answer.text
        seen.append((name, answer.status_code, answer.headers.multi_items(), said))
    # Without those of the live pages and of the login, which run beside.
    used = [each for each in since() if "reader_stud" in each or "FROM instances" in each]
    return item.id, [plain(each) for each in seen], used


def plain(seen):
    """Return an answer without what differs between any two items."""
    path, status, headers, said = seen
    kept = sorted((name, value) for name, value in headers if not HEADERS.match(name))
    if "levels" in path or "voi" in path:
        said = ""  # the image: the same for both texts of a case
    return OWN.sub("#", path), status, kept, OWN.sub("#", said)


def test_answers_errors_headers_and_statements_are_the_same_for_both_arms(statements):
    """All items of a reader; the key of the arms is in no statement, so it takes no time either."""
    study, since = statements
    found = [observed(study, since) for _ in range(study.current().items)]
    assert study.current() is None
    arms = {}
    study.store.close_reader_study(study.study_id, "ann", None)
    for number, each in enumerate(study.store.reader_study_results(study.study_id)):
        arms.setdefault(each.arm, []).append(found[number])
    assert set(arms) == set(Arm)
    answers = [seen for _, seen, _ in found]
    assert all(each == answers[0] for each in answers[:-1])
    used = [sql for _, _, sql in found]
    assert len(used[0]) > 10
    assert all(each == used[0] for each in used)
    assert not any("reader_study_keys" in each for each in used[0])
    page = answers[0][0][3]
    assert WORDS.findall(re.sub(r"<[^>]+>", " ", page)) == []


def test_texts_have_one_form_and_ids_are_random(make_study):
    """No marks, headings or model names in the texts; the ids repeat in no other study."""
    study = make_study(cases=4, readers=("kim",))
    items, texts = [], []
    for _ in range(study.current().items):
        items.append(study.current().id)
        texts.append(study.rate())
    for text in texts:
        assert re.fullmatch(r"([A-Z][^\n]*[.?!]\n?)+", text)
        assert not WORDS.search(text)
        assert "disagree on consolidation" not in text  # a note of the draft
    assert len(set(items)) == len(items)
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in items)
    assert sorted(items) != items


def test_the_audit_trail_and_the_logs_of_reading_name_no_arm(make_study, capfd):
    """Only the view of the study's image."""
    study = make_study(cases=2, readers=("kim",))
    before = sum(1 for _ in study.store.whole_audit())
    for _ in range(study.current().items):
        study.page(f"/items/{study.current().id}/film/voi.json")
        study.rate()
    events = [each.event for each in study.store.whole_audit()][before:]
    assert {(each.action, each.detail, each.job_id) for each in events} == {("viewed", "", "")}
    logged = "".join(capfd.readouterr())
    assert not re.search(r"\barm\b|reference", logged)
