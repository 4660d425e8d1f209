"""A judge over many pairs, against a server with faults: each case ends as stated."""

import json
import time

import pytest

from service.errors import ConfigurationError
from service.evaluation.chexprompt.reply import Rating, Unparsable
from service.evaluation.chexprompt.summary import summary
from workers.judge.pairs import Pair
from workers.judge.session import JudgeFailed


def total(judged):
    """Check that every pair is counted once; return the summary."""
    found = summary(judged, draws=10)
    assert found.pairs == found.parsed + sum(found.unparsable.values()) + found.no_draft
    return found


def unparsable(found):
    """Return the counts of the reasons that occurred."""
    return {reason: n for reason, n in found.unparsable.items() if n}


def test_pairs_are_judged_and_recorded(scripted_server, judge_script, session_of, pairs_of):
    """30 pairs, 10 with one added finding: the published request, the probe first, then the estimate."""
    server = scripted_server(lambda _n, body: server.chat(judge_script.counting(body)))
    session, lines = session_of(server.url)
    judged, source = session.judged(pairs_of(30))
    found = total(judged)
    assert (found.parsed, found.headline.value) == (30, pytest.approx(1 / 3))
    assert source.probe.passed
    assert len(server.requests) == 32
    assert [judge_script.is_probe(body) for body in server.bodies] == [True] * 2 + [False] * 30
    first = server.bodies[2]
    assert (first["temperature"], first["top_p"], first["max_tokens"], first["seed"]) == (
        0,
        0.9,
        128,
        0,
    )
    assert [each["role"] for each in first["messages"]] == ["system", "user"]
    assert lines[0].startswith("to send: 30 pairs, about ")
    records = [json.loads(line) for line in (session.folder / "judge.jsonl").open()]
    assert len(records) == 30
    assert {record["metric"] for record in records} == {"chexprompt-zero-shot"}
    assert sum(record["significant"]["A"] for record in records) == 10
    assert any("zero-shot" in each for each in source.statements())


def test_a_run_continues_where_it_was_interrupted(
    scripted_server, judge_script, session_of, pairs_of
):
    """401 in the middle: nothing more is sent; the next run sends the rest and a torn line again."""
    broken = True

    def script(n, body):
        if broken and n >= 7:
            return server.json({"error": "key expired"}, 401)
        return server.chat(judge_script.counting(body))

    server = scripted_server(script)
    session, _ = session_of(server.url, concurrency=1)
    with pytest.raises(JudgeFailed, match=r"401.*API key.*key expired.*the same command continues"):
        session.judged(pairs_of(12))
    assert len(server.requests) == 8
    journal = session.folder / "judge.jsonl"
    assert len(journal.read_text().splitlines()) == 5
    with journal.open("a") as file:
        file.write('{"key": "torn')
    broken = False
    server.requests.clear()
    judged, _ = session.judged(pairs_of(12))
    assert total(judged).parsed == 12
    assert len(server.requests) == 2 + 7
    assert len(journal.read_text().splitlines()) == 12
    server.requests.clear()
    again, source = session.judged(pairs_of(12))
    assert again == judged
    assert server.requests == []
    assert source.probe is None


def test_a_changed_draft_or_model_is_judged_anew(
    scripted_server, judge_script, session_of, pairs_of
):
    """The record is found by the request's content, not by the pair's id."""
    server = scripted_server(
        lambda _n, body: server.chat(judge_script.counting(body), model=body["model"])
    )
    session, _ = session_of(server.url)
    session.judged(pairs_of(4))
    changed = pairs_of(4)
    changed[1] = Pair(id="s1", patient="p1", reference="Clear.", candidate="An effusion is seen.")
    server.requests.clear()
    judged, _ = session.judged(changed)
    assert len(server.requests) == 2 + 1
    assert judged[1].outcome.significant["A"] == 1
    other, _ = session_of(server.url, model="other")
    server.requests.clear()
    other.judged(changed)
    assert len(server.requests) == 2 + 4


def test_unparsable_replies_are_asked_for_again_and_counted_by_reason(
    scripted_server, judge_script, session_of, pairs_of
):
    """The second request has another temperature; the raw texts are kept; above 5 % no figure."""
    replies = {
        "Study 1.": {"text": "I cannot judge medical texts."},
        "Study 2.": {"text": "{'significant': 1}"},
        "Study 3.": {"text": "Number of clinically", "finish": "length"},
        "Study 4.": {"text": ""},
        "Study 5.": {"text": judge_script.reply().replace("(A, 0)", "(A, many)")},
        "Study 6.": {"text": "<think>The heart</think>\n" + judge_script.reply()},
        "Study 7.": {"text": "", "refusal": "no"},
    }

    def script(_n, body):
        reference = judge_script.texts(body)[0]
        for start, reply in replies.items():
            if reference.startswith(start):
                return server.chat(**reply)
        return server.chat(judge_script.counting(body))

    server = scripted_server(script)
    session, _ = session_of(server.url)
    judged, _ = session.judged(pairs_of(8))
    found = total(judged)
    assert unparsable(found) == {
        Unparsable.REFUSAL: 2, Unparsable.NO_HEADER: 1, Unparsable.CUT: 1, Unparsable.EMPTY: 1,
        Unparsable.BAD_LIST: 1,
    }  # fmt: skip
    assert found.headline is None
    assert isinstance(judged[6].outcome, Rating)
    of_one = [body for body in server.bodies if judge_script.texts(body)[0].startswith("Study 1.")]
    assert [(body["temperature"], body["top_p"]) for body in of_one] == [(0, 0.9), (0.4, 0.95)]
    records = {
        each["id"]: each for each in map(json.loads, (session.folder / "judge.jsonl").open())
    }
    assert records["s1"]["reply"] == records["s1"]["first_reply"] == "I cannot judge medical texts."
    assert (records["s1"]["tries"], records["s6"]["tries"]) == (2, 1)
    assert records["s1"]["unparsable"] == "refusal"


def test_the_second_reply_counts(scripted_server, judge_script, session_of, pairs_of):
    """An unparsable first reply and a good second one."""

    def script(_n, body):
        greedy = body["temperature"] == 0 and not judge_script.is_probe(body)
        return server.chat("Well." if greedy else judge_script.counting(body))

    server = scripted_server(script)
    judged, _ = session_of(server.url)[0].judged(pairs_of(3))
    assert total(judged).parsed == 3


def test_a_draft_that_is_empty_or_too_long_is_not_sent(
    scripted_server, judge_script, session_of, pairs_of
):
    """No draft is no error count; too long a prompt would be cut by the server."""
    server = scripted_server(lambda _n, body: server.chat(judge_script.counting(body)))
    session, _ = session_of(server.url, context_tokens=2048)
    pairs = [
        *pairs_of(1),
        Pair(id="none", patient="", reference="Clear.", candidate=""),
        Pair(id="long", patient="", reference="Clear.", candidate="Clear lungs. " * 800),
    ]
    judged, _ = session.judged(pairs)
    found = total(judged)
    assert (found.parsed, found.no_draft) == (1, 1)
    assert unparsable(found) == {Unparsable.TOO_LONG: 1}
    assert len(server.requests) == 3


def test_a_judge_that_fails_the_probe_is_not_used(
    scripted_server, judge_script, session_of, pairs_of
):
    """It counts errors in equal texts; with the option it runs, and the results state it."""
    server = scripted_server(lambda _n, _body: server.chat(judge_script.reply((0, 1, 0, 0, 0, 0))))
    session, lines = session_of(server.url)
    with pytest.raises(JudgeFailed, match=r"failed the probe.*--allow-untested-judge"):
        session.judged(pairs_of(3))
    assert len(server.requests) == 2
    assert "equal texts: significant B=1" in lines[1]
    allowed, _ = session_of(server.url, allow_untested=True)
    _, source = allowed.judged(pairs_of(3))
    assert not source.probe.passed
    assert "The judge failed the probe: its counts are untested." in source.statements()


def test_a_pair_without_an_answer_does_not_stop_the_others(
    scripted_server, judge_script, session_of, pairs_of
):
    """It is counted, not recorded, and sent again by the next run."""
    failing = True

    def script(_n, body):
        if failing and judge_script.texts(body)[0].startswith("Study 5."):
            return server.whole(500)
        return server.chat(judge_script.counting(body))

    server = scripted_server(script)
    session, _ = session_of(server.url)
    judged, _ = session.judged(pairs_of(9))
    assert unparsable(total(judged)) == {Unparsable.NO_ANSWER: 1}
    assert len(server.requests) == 2 + 8 + 6
    failing = False
    judged, _ = session.judged(pairs_of(9))
    assert total(judged).parsed == 9


def test_a_server_that_is_away_ends_the_run(scripted_server, judge_script, session_of, pairs_of):
    """After three pairs in a row without an answer, each after all its tries."""

    def script(n, body):
        return server.chat(judge_script.counting(body)) if n < 4 else server.silence()

    server = scripted_server(script)
    session, _ = session_of(server.url, concurrency=1, request_seconds=0.5)
    begun = time.monotonic()
    with pytest.raises(
        JudgeFailed, match=r"no whole answer within 0\.5 s.*the same command continues"
    ):
        session.judged(pairs_of(50))
    assert len(server.requests) == 4 + 3 * 6
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refusal_ends_the_run_at_the_first_request(scripted_server, session_of, pairs_of, status):
    """One request, and a message with the server's own message."""
    server = scripted_server(lambda _n, _body: server.json({"error": "unknown model"}, status))
    session, _ = session_of(server.url)
    with pytest.raises(JudgeFailed, match=f"answered {status}.*unknown model"):
        session.judged(pairs_of(3))
    assert len(server.requests) == 1


def test_another_models_answer_ends_the_run(scripted_server, judge_script, session_of, pairs_of):
    """Counts under a wrong name would be published under a wrong name."""
    server = scripted_server(
        lambda _n, body: server.chat(judge_script.counting(body), model="llama")
    )
    with pytest.raises(JudgeFailed, match="answered as model 'llama', not 'judge'"):
        session_of(server.url)[0].judged(pairs_of(3))


def test_a_remote_server_is_named_in_the_results(
    scripted_server, judge_script, session_of, pairs_of
):
    """Where allow_remote is set, each result states where texts were sent."""
    server = scripted_server(lambda _n, body: server.chat(judge_script.counting(body)))
    _, source = session_of(server.url, allow_remote=True)[0].judged(pairs_of(1))
    host = f"127.0.0.1:{server.server_address[1]}"
    assert any(host in each and "outside the site" in each for each in source.statements())


def test_two_runs_in_one_folder_are_refused(scripted_server, judge_script, session_of, pairs_of):
    """The second would write the same pairs twice."""
    from workers.judge.journal import Journal  # noqa: PLC0415 - holds the lock as another process does

    server = scripted_server(lambda _n, body: server.chat(judge_script.counting(body)))
    session, _ = session_of(server.url)
    with Journal.opened(session.folder), pytest.raises(ConfigurationError, match="another"):
        session.judged(pairs_of(1))


def test_a_line_that_is_no_record_is_named(scripted_server, session_of, pairs_of):
    """A file of another program is not appended to."""
    server = scripted_server(lambda _n, _body: b"")
    session, _ = session_of(server.url)
    session.folder.mkdir()
    (session.folder / "judge.jsonl").write_text('{"key": "k"}\n')
    with pytest.raises(ConfigurationError, match=r"judge\.jsonl, line 1: not a record"):
        session.judged(pairs_of(1))
