"""Label report text: rules with scopes of negation and uncertainty, similar to NegEx. Pure.

A sentence is split into clauses. Each clause is searched for the terms of every observation, and each
hit is classified by the cues around it (`lexicon`). A cue before the hit reaches forward over the
clause, a negation only up to a term that begins a new statement. A cue after the hit reaches back over
the clause. Over all sentences of a report the strongest presence wins: present, uncertain, absent.
benchmarks/labeler.py measures the accuracy.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from dicom.content.report import STATED, Finding, Observation, Presence, Side
from workers.labeller.lexicon import (
    CLAUSE_END,
    DOUBT_BEFORE,
    DOUBT_BEHIND,
    FALSE_NEGATION,
    HISTORICAL,
    LOST_NEGATION,
    NEGATION_BEFORE,
    NEGATION_BEHIND,
    OBSERVED,
    REOPENED,
)
from workers.labeller.sentences import clean, sentences, without_history_sections

_SIDES: Final = (
    (
        Side.BILATERAL,
        re.compile(
            r"\b(?:bilateral(?:ly)?|bibasilar|bibasal|both|biapical|right\s+and\s+left|left\s+and\s+right)\b",
            re.I,
        ),
    ),
    (Side.LEFT, re.compile(r"\bleft\b", re.I)),
    (Side.RIGHT, re.compile(r"\bright\b", re.I)),
)
_SIDED: Final = frozenset(Observation) - {
    Observation.CARDIOMEGALY,
    Observation.ENLARGED_CARDIOMEDIASTINUM,
    Observation.NO_FINDING,
    Observation.SUPPORT_DEVICES,
}
_SITE = re.compile(
    r"\b(?:(?:upper|middle|lower)\s+lobes?|lingula|(?:upper|mid|lower)\s+(?:lung\s+)?zones?|mid\s*-?lung"
    r"|(?:lung\s+)?bas(?:e|es)|bibasilar|bibasal|basilar|basal|retrocardiac|apex|apices|apical|perihilar|hilar"
    r"|costophrenic\s+(?:angle|sulcus)|lateral|subpulmonic)\b",
    re.I,
)
_REACH: Final = 240  # characters that a cue reaches; bounds the run time on text without full stops
_STRENGTH: Final = (Presence.NOT_MENTIONED, Presence.ABSENT, Presence.UNCERTAIN, Presence.PRESENT)


@dataclass(frozen=True, slots=True)
class Mention:
    """One hit of an observation's terms in a sentence."""

    observation: Observation
    presence: Presence
    clause: str
    sentence: str


def label(text: str) -> tuple[Finding, ...]:
    """Return one Finding for each of the fourteen observations, in their order.

    Args:
        text: A report, or a part of one, with or without headings.
    """
    return label_sentences(sentences(without_history_sections(clean(text))))


def label_sentences(lines: Iterable[str]) -> tuple[Finding, ...]:
    """Return one Finding for each of the fourteen observations, from sentences."""
    strongest: dict[Observation, Mention] = {}
    for line in lines:
        for mention in mentions(line):
            known = strongest.get(mention.observation)
            if known is None or _strength(mention.presence) > _strength(known.presence):
                strongest[mention.observation] = mention
    return tuple(_finding(observation, strongest) for observation in Observation)


def not_coded(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return the findings unchanged, or all as NOT_CODED if none is present, absent or uncertain.

    A text without a term of the rules may describe any of the findings in other words.
    """
    if any(finding.presence in STATED for finding in findings):
        return findings
    return tuple(dataclasses.replace(each, presence=Presence.NOT_CODED) for each in findings)


def mentions(sentence: str) -> Iterator[Mention]:
    """Yield each hit of an observation's terms in one sentence, except in the patient's history."""
    for clause in _clauses(sentence):
        for observation, pattern in OBSERVED.items():
            for hit in pattern.finditer(clause):
                if not HISTORICAL.search(clause[max(0, hit.start() - _REACH) : hit.start()]):
                    yield Mention(observation, _judge(clause, hit), clause, sentence)


def _clauses(sentence: str) -> Iterator[str]:
    yield from (part for part in CLAUSE_END.split(sentence) if part.strip())


def _judge(clause: str, hit: re.Match[str]) -> Presence:
    before = clause[max(0, hit.start() - _REACH) : hit.start()]
    behind = clause[hit.end() : hit.end() + _REACH]
    named = hit.groupdict()
    if named.get("no") or _denied(before, behind):
        return Presence.ABSENT
    doubted = DOUBT_BEFORE.search(before + hit.group()) or DOUBT_BEHIND.search(behind)
    if named.get("perhaps") or doubted:
        return Presence.UNCERTAIN
    return Presence.ABSENT if _lost(before, hit.group() + behind) else Presence.PRESENT


def _denied(before: str, behind: str) -> bool:
    if NEGATION_BEHIND.search(behind):
        return True
    if not NEGATION_BEFORE.search(before):
        return False
    reach = REOPENED.split(FALSE_NEGATION.sub(" ", before))[-1]
    return NEGATION_BEFORE.search(reach) is not None


def _lost(before: str, rest: str) -> bool:
    # Whether the hit, at the start of `rest`, belongs to a list whose "no" is missing.
    found = LOST_NEGATION.finditer(before + rest)
    return any(one.start() <= len(before) < one.end() for one in found)


def _strength(presence: Presence) -> int:
    return _STRENGTH.index(presence)


def _finding(observation: Observation, strongest: dict[Observation, Mention]) -> Finding:
    if observation is Observation.NO_FINDING:
        return _no_finding(strongest)
    mention = strongest.get(observation)
    if mention is None:
        return Finding(observation=observation, presence=Presence.NOT_MENTIONED)
    placed = mention.presence is not Presence.ABSENT and observation in _SIDED
    return Finding(
        observation=observation,
        presence=mention.presence,
        side=side_of(mention.clause) if placed else None,
        site=site_of(mention.clause) if placed else None,
        sentence=mention.sentence,
    )


def site_of(clause: str) -> str | None:
    """Return the first site in the chest that a clause names, in lower case, or None."""
    site = _SITE.search(clause)
    return site.group().lower() if site else None


def side_of(clause: str) -> Side | None:
    """Return the side that a clause names, BILATERAL if it names both, or None."""
    sides = [side for side, pattern in _SIDES if pattern.search(clause)]
    if not sides:
        return None
    return sides[0] if len(sides) == 1 or Side.BILATERAL in sides else Side.BILATERAL


def _no_finding(strongest: dict[Observation, Mention]) -> Finding:
    # As in CheXpert: nothing is present or uncertain; support devices do not count.
    stated = [m for name, m in strongest.items() if name is not Observation.SUPPORT_DEVICES]
    doubt = any(_strength(mention.presence) > _strength(Presence.ABSENT) for mention in stated)
    if not stated:
        return Finding(observation=Observation.NO_FINDING, presence=Presence.NOT_MENTIONED)
    presence = Presence.ABSENT if doubt else Presence.PRESENT
    return Finding(observation=Observation.NO_FINDING, presence=presence)
