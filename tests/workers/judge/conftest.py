"""A scripted judge, and the pairs that it judges."""

import re

import pytest

from service.settings.keys.judge import Judge as JudgeSettings
from workers.judge.pairs import Pair
from workers.judge.session import Session
from workers.model.servers.retrying import RetryPolicy

TEXTS = re.compile(
    r'Reference Findings: """(.*?)"""\n\nCandidate Findings: """(.*?)"""\n\nErrors:\Z', re.DOTALL
)
HEADERS = (
    "Number of clinically significant errors by type: ",
    "Number of clinically insignificant errors by type: ",
)


class JudgeScript:
    """Writes the replies of judges."""

    def texts(self, body):
        """Return the reference and the candidate of a request."""
        return TEXTS.search(body["messages"][1]["content"]).groups()

    def reply(self, significant=(0,) * 6, insignificant=(0,) * 6):
        """Return a reply in the requested layout."""
        lists = (
            "(" + ", ".join(f"({kind}, {n})" for kind, n in zip("ABCDEF", each, strict=True)) + ")"
            for each in (significant, insignificant)
        )
        return "\n".join(header + each for header, each in zip(HEADERS, lists, strict=True))

    def counting(self, body):
        """Return the reply of a judge that detects an added finding; it passes the probe."""
        reference, candidate = self.texts(body)
        found = ("cardiomegaly", "effusion is seen")
        added = sum(each in candidate and each not in reference for each in found)
        return self.reply((added, 0, 0, 0, 0, 0))

    def is_probe(self, body):
        """Return whether a request is one of the probe."""
        return "No acute bony abnormality is seen." in self.texts(body)[0]


@pytest.fixture(scope="session")
def judge_script():
    """Writes the replies of judges."""
    return JudgeScript()


@pytest.fixture
def pairs_of():
    """A function that returns `n` pairs; every third draft adds an effusion."""

    def make(n):
        added = "An effusion is seen."
        return [
            Pair(
                id=f"s{number}",
                patient=f"p{number}",
                reference=f"Study {number}. Clear lungs.",
                candidate=f"Study {number}. Clear lungs. {'' if number % 3 else added}".strip(),
            )
            for number in range(n)
        ]

    return make


@pytest.fixture
def session_of(tmp_path):
    """A function that returns a session with the server of a URL and the lines that it prints."""

    def make(url, *, allow_untested=False, folder=tmp_path / "out", **settings):
        lines = []
        values = {"url": url, "model": "judge", "request_seconds": 5} | settings
        session = Session(
            settings=JudgeSettings(**values),
            folder=folder,
            allow_untested=allow_untested,
            say=lines.append,
            retry=RetryPolicy(first_seconds=0.01),
        )
        return session, lines

    return make
