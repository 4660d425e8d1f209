"""Replies of a judge: what is parsed, and the reasons why a reply is not."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.evaluation.chexprompt.reply import Form, Rating, Unparsable, parsed

GOLDEN = Path(__file__).resolve().parents[4].parent / (
    "shared/reference/goldens/metrics/metrics_golden.json"
)
SIGNIFICANT = "Number of clinically significant errors by type: "
INSIGNIFICANT = "Number of clinically insignificant errors by type: "
ZERO = "((A, 0), (B, 0), (C, 0), (D, 0), (E, 0), (F, 0))"
SOME = "((A, 1), (B, 0), (C, 0), (D, 2), (E, 0), (F, 0))"
REPLY = f"{SIGNIFICANT}{SOME}\n{INSIGNIFICANT}{ZERO}"


def counts(reply):
    """Return the two lists of counts, or the reason."""
    if isinstance(reply, Unparsable):
        return reply
    return [*reply.significant.values()], [*reply.insignificant.values()]


SOME_COUNTS = ([1, 0, 0, 2, 0, 0], [0] * 6)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (REPLY, Form.STRICT),
        (f"Errors: {REPLY}", Form.STRICT),
        (REPLY.replace("((", "[(").replace("))", ")]"), Form.STRICT),
        (REPLY.replace("\n", "\n\n"), Form.STRICT),
        (f"{REPLY}\nExplanation: (A, 9) is no count here.", Form.STRICT),
        (f"<think>{SIGNIFICANT}((A, 7))\n{INSIGNIFICANT}((A, 7))</think>\n{REPLY}", Form.STRICT),
        (REPLY.replace("type: ", "type:"), Form.TOLERANT),
        (f"{REPLY}\nThe candidate (see A, B) matches.", Form.TOLERANT),
        (REPLY.replace("(B, 0), (C, 0), ", ""), Form.TOLERANT),
        (REPLY.replace("type: ", "type:\n"), Form.TOLERANT),
        (REPLY.replace("((", "(").replace("))", ")"), Form.TOLERANT),
        (f"**{SIGNIFICANT.strip()}** {SOME}\n**{INSIGNIFICANT.strip()}** {ZERO}", Form.TOLERANT),
        (REPLY.replace("(A, 1)", "(A: 1)"), Form.TOLERANT),
        (REPLY.replace("((", "(").replace("))", ")").replace("), (", ")\n("), Form.TOLERANT),
        (f"{SIGNIFICANT}\nA: 1\nD: 2\n\n{INSIGNIFICANT}\nA: 0\n\nEnd of the list.", Form.TOLERANT),
        (f'{SIGNIFICANT}{{"A": 1, "D": 2}}\n{INSIGNIFICANT}{{"A": 0}}', Form.TOLERANT),
        (REPLY.replace("Number of clinically", "number of CLINICALLY"), Form.TOLERANT),
    ],
)  # fmt: skip
def test_a_reply_is_parsed(text, form):
    """The same counts in each layout that judges write; deviations are noted."""
    found = parsed(text)
    assert counts(found) == SOME_COUNTS
    assert found.form is form


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Unparsable.EMPTY),
        (" \n", Unparsable.EMPTY),
        ("<think>so long that it never ends", Unparsable.EMPTY),
        ('{"significant": {"A": 1}}', Unparsable.NO_HEADER),
        ("The candidate is fine.", Unparsable.NO_HEADER),
        (f"{SIGNIFICANT}{SOME}", Unparsable.NO_HEADER),
        (f"{INSIGNIFICANT}{ZERO}\n{SIGNIFICANT}{SOME}", Unparsable.NO_HEADER),
        (f"{REPLY}\n{REPLY}", Unparsable.NO_HEADER),
        (f"{SIGNIFICANT}none\n{INSIGNIFICANT}{ZERO}", Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "(A, one)"), Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "(A, n_A)"), Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "(A, -1)"), Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "(A, 1.5)"), Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "(A, 21)"), Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "(A, 999999999999999)"), Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "(G, 1)"), Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "(B, 1)"), Unparsable.BAD_LIST),
        (REPLY.replace("(A, 1)", "A"), Unparsable.BAD_LIST),
        (REPLY[:-4], Unparsable.BAD_LIST),
        (f"{SIGNIFICANT}((A, 1)); and (D, 2)\n{INSIGNIFICANT}{ZERO}", Unparsable.BAD_LIST),
        (f"{SIGNIFICANT}A: 1\n\nD: 2\n{INSIGNIFICANT}{ZERO}", Unparsable.BAD_LIST),
        (f"{SIGNIFICANT}{SOME}\n{INSIGNIFICANT}", Unparsable.BAD_LIST),
        ("I'm sorry, but I can't help with medical reports.", Unparsable.REFUSAL),
        ("Invalid Request: Prompt was filtered", Unparsable.REFUSAL),
    ],
)
def test_a_reply_is_not_parsed(text, reason):
    """No count is guessed; each reason has a name of its own."""
    assert parsed(text) is reason


def test_what_the_server_states_decides_the_reason():
    """A cut list is cut, a marked refusal as refusal; a complete list counts if cut behind."""
    assert parsed(REPLY[:-4], finish_reason="length") is Unparsable.CUT
    assert parsed("<think>too long", finish_reason="length") is Unparsable.CUT
    assert parsed("", finish_reason="content_filter") is Unparsable.REFUSAL
    assert parsed("", refusal=True) is Unparsable.REFUSAL
    assert isinstance(parsed(f"{REPLY}\nExplanation: th", finish_reason="length"), Rating)


def test_golden_replies():
    """Replies that the published parser reads give equal counts; the others are read or refused."""
    if not GOLDEN.exists():
        pytest.skip("the golden values (../shared/reference/goldens) are not on this machine")
    cases = json.loads(GOLDEN.read_text())["chexprompt"]["cases"]
    ours_differ = {
        "no_space_after_colon",
        "trailing_text",
        "fewer_types",
        "unknown_letter",
        "not_an_int",
    }
    for name, case in cases.items():
        expected = case["parsed"]
        found = parsed(case["completion"])
        if expected["significant"] is None or name in ours_differ:
            continue
        assert counts(found) == tuple([*half.values()] for half in expected.values()), name
    found = {name: counts(parsed(cases[name]["completion"])) for name in ours_differ}
    assert found == {
        "no_space_after_colon": ([1, 0, 0, 0, 0, 0], [0] * 6),
        "trailing_text": ([0] * 6, [0] * 6),
        "fewer_types": ([1, 2, 0, 0, 0, 0], [0] * 6),
        "unknown_letter": Unparsable.BAD_LIST,
        "not_an_int": Unparsable.BAD_LIST,
    }


@given(st.text(alphabet="AFG019,:()[]{}=*'\"\n -x", max_size=200), st.text(max_size=20))
def test_any_text_behind_the_headers_gives_valid_counts_or_a_reason(first, second):
    """No error, no count out of range, always six types."""
    found = parsed(f"{SIGNIFICANT}{first}\n{INSIGNIFICANT}{second}{ZERO}")
    if isinstance(found, Rating):
        for half in (found.significant, found.insignificant):
            assert "".join(half) == "ABCDEF"
            assert all(0 <= number <= 20 for number in half.values())


def test_a_long_reply_takes_no_long_time():
    """A server that sends text without end must not block the run."""
    begun = time.process_time()
    for filling in ("A" * 2**22, "(A," * 2**20, "<think>" * 2**18, "(" * 2**20):
        assert isinstance(parsed(f"{SIGNIFICANT}{filling}\n{INSIGNIFICANT}{filling}"), Unparsable)
    assert time.process_time() - begun < 20
