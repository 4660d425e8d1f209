"""Report text to Findings: small rules with scopes of negation and doubt, in the manner of NegEx. Pure.

A sentence is cut into clauses; in each clause the words for an observation are looked up, and every
hit is judged by the cues around it: a cue before it reaches forward to the next terminating word, a
cue behind it reaches back over the whole clause. Over the sentences of a report the strongest word
wins: present, then uncertain, then absent. benchmarks/labeler.py measures it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from dicom.report import Finding, Observation, Presence, Side
from workers.sentences import clean, sentences

_HEART: Final = (
    r"(?:heart|cardiac|cardio-?(?:mediastinal|pericardial)\s+(?:silhouette|contours?))"
    r"(?:\s+(?:silhouette|shadow|contour|size))*"
)
_BIG: Final = r"(?:enlarged|enlargement|increased|large)"
_BORDER: Final = r"(?:borderline|prominent|prominence)"
_NORMAL: Final = r"(?:normal|unremarkable|not\s+(?:\w+\s+)?(?:enlarged|large))"

# What a report calls each observation. A group named `no` says by itself that it is absent, a group
# named `perhaps` that it is uncertain.
_WORDS: Final[dict[Observation, str]] = {
    Observation.ATELECTASIS: (
        r"at[ea]lect\w+|(?:lobar|lobe|lung|partial|complete)\s+collapse"
        r"|collapse\s+of\s+(?:\w+\s+){0,5}?(?:lobe|lung)"
    ),
    Observation.CARDIOMEGALY: (
        rf"(?P<perhaps>{_BORDER}\s+(?:\w+\s+){{0,2}}?{_HEART}|borderline\s+(?:\w+\s+)?cardiomegaly"
        rf"|{_HEART}[^.;,]{{0,25}}?\b{_BORDER})|cardiomegaly"
        rf"|(?P<no>{_HEART}(?:(?!\b(?<!not\s){_BIG})[^.;]){{0,60}}?\b{_NORMAL})"
        rf"|{_BIG}\s+(?:of\s+the\s+)?{_HEART}|{_HEART}(?:(?!\bnormal)[^.;,]){{0,40}}?\b{_BIG}"
    ),
    Observation.CONSOLIDATION: r"consolidat\w+",
    Observation.EDEMA: r"(?<!tissue\s)(?<!subcutaneous\s)o?edema(?:tous)?",
    Observation.PLEURAL_EFFUSION: (
        r"(?<!pericardial\s)(?<!joint\s)effusions?|pleural\s+fluid|hydro(?:pneumo)?thorax|hemothorax"
    ),
    Observation.PNEUMOTHORAX: r"(?:hydro)?pneumothora(?:x|ces)",
    Observation.PNEUMONIA: r"(?:broncho)?pneumonias?|infectious\s+process",
    Observation.FRACTURE: r"fractures?(?:d)?",
    Observation.LUNG_LESION: r"nodul\w+|mass(?:es)?|neoplasm|tumou?r|granulomas?",
    Observation.LUNG_OPACITY: (
        r"opaci\w+|infiltrat\w+|air\s*-?space\s+disease|(?P<no>lungs?\s+(?:fields?\s+)?"
        r"(?:are|is|appear|remain)?\s*(?:\w+\s+)?clear)"
    ),
    Observation.PLEURAL_OTHER: r"pleural\s+(?:thickening|scarring|plaques?|calcifications?)",
    Observation.ENLARGED_CARDIOMEDIASTINUM: (
        r"(?:wid(?:e|ened|ening)\s+(?:of\s+the\s+)?mediastinum|mediastin\w+\s+(?:is\s+|widening|"
        r"enlargement)(?:wide\w*)?)"
    ),
    Observation.SUPPORT_DEVICES: (
        r"pacemaker|catheter|picc|(?:endotracheal|nasogastric|enteric|chest|feeding|tracheostomy)\s+tube"
        r"|central\s+(?:venous\s+)?line|port-?a-?cath|sternotomy\s+wires|icd|leads?"
    ),
}
_HITS: Final = {name: re.compile(rf"\b(?:{words})\b", re.I) for name, words in _WORDS.items()}

_CLAUSE_END = re.compile(
    r";|:|\bbut\b|\bhowever\b|\balthough\b|\bthough\b|\bexcept\b|\baside\s+from\b|\bapart\s+from\b"
    r"|\bwhile\b|\bwhich\b|,\s*(?:there\s+(?:is|are)|and\s+(?:there|the)\b)|,\s*with\b",
    re.I,
)
_NEGATION_BEFORE = re.compile(
    r"\b(?:no|without|negative\s+for|free\s+of|clear\s+of|absence\s+of|nor|neither|rather\s+than"
    r"|(?:do|does|did|is|are|was|were)\s+not|not\s+(?:seen|identified|any)|none|resol(?:ved|ution\s+of)"
    r"|no\s+longer|exclude[sd]?)\b",
    re.I,
)
_NEGATION_BEHIND = re.compile(
    r"\b(?:(?:is|are|was|were)\s+not\s+(?:\w+\s+)?(?:seen|identified|present|visuali[sz]ed|evident|noted"
    r"|demonstrated|appreciated|detected)|not\s+(?:seen|identified|evident)|(?:is|are)\s+absent"
    r"|(?:has|have)\s+(?:\w+\s+)?(?:resolved|cleared)|no\s+longer\s+(?:seen|present|visible)"
    r"|(?:is|are)\s+unlikely)\b",
    re.I,
)
_DOUBT_BEFORE = re.compile(
    r"\b(?:possibl[ey]|may|maybe|might|could|suggest\w*|suspicio\w+|suspect\w*|concern\w*|favor\w*"
    r"|questionabl\w+|question|unclear|considerations?|cannot\s+(?:be\s+)?(?:completely\s+)?exclude|cannot\s+rule\s+out"
    r"|potential\w*|differential|versus|vs|equivocal|either|evaluat\w+\s+(?:for|of)|rule\s+out)\b",
    re.I,
)
_DOUBT_BEHIND = re.compile(
    r"\b(?:versus|vs|(?:cannot|can\s*not|not)\s+(?:be\s+)?(?:entirely\s+|completely\s+)?(?:excluded|ruled)"
    r"|(?:difficult|hard|impossible)\s+to\s+(?:\w+\s+)?exclude|suspected|(?:is|are)\s+(?:possible|also\s+possible|questioned|questionable|not\s+excluded))\b",
    re.I,
)
# A doubt that is negated ("no convincing ...") stays a negation; this is no negation at all.
_FALSE_NEGATION = re.compile(
    r"\b(?:no|without)\s+(?:significant\s+|interval\s+|definite\s+)*(?:change|increase|improvement)\b"
    r"|\bnot\s+(?:only|necessarily|\w*\s*exclude\w*|\w*\s*rule\w*)\b|\bcannot\s+(?:be\s+)?(?:completely\s+)?(?:exclude|rule)\w*",
    re.I,
)

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
_REACH: Final = 240  # characters that a cue reaches; bounds the work on a text without full stops
_STRENGTH: Final = (Presence.NOT_MENTIONED, Presence.ABSENT, Presence.UNCERTAIN, Presence.PRESENT)


@dataclass(frozen=True, slots=True)
class Mention:
    """One place where a sentence speaks of an observation."""

    observation: Observation
    presence: Presence
    clause: str
    sentence: str


def label(text: str) -> tuple[Finding, ...]:
    """Return one Finding for each of the fourteen observations, in their order.

    Args:
        text: A report, or any part of one.
    """
    return label_sentences(sentences(clean(text)))


def label_sentences(lines: Iterable[str]) -> tuple[Finding, ...]:
    """Return one Finding for each of the fourteen observations, from sentences already split."""
    strongest: dict[Observation, Mention] = {}
    for line in lines:
        for mention in mentions(line):
            known = strongest.get(mention.observation)
            if known is None or _strength(mention.presence) > _strength(known.presence):
                strongest[mention.observation] = mention
    return tuple(_finding(observation, strongest) for observation in Observation)


def mentions(sentence: str) -> Iterator[Mention]:
    """Yield what one sentence says of each observation, once for each clause that speaks of it."""
    for clause in _clauses(sentence):
        for observation, words in _HITS.items():
            for hit in words.finditer(clause):
                presence = _judge(clause, hit)
                yield Mention(observation, presence, clause, sentence)


def _clauses(sentence: str) -> Iterator[str]:
    yield from (part for part in _CLAUSE_END.split(sentence) if part.strip())


def _judge(clause: str, hit: re.Match[str]) -> Presence:
    before = clause[max(0, hit.start() - _REACH) : hit.start()]
    behind = clause[hit.end() : hit.end() + _REACH]
    if "no" in hit.re.groupindex and hit.group("no"):
        return Presence.ABSENT
    perhaps = "perhaps" in hit.re.groupindex and hit.group("perhaps")
    if _NEGATION_BEFORE.search(_FALSE_NEGATION.sub(" ", before)) or _NEGATION_BEHIND.search(behind):
        return Presence.ABSENT
    if perhaps or _DOUBT_BEFORE.search(before) or _DOUBT_BEHIND.search(behind):
        return Presence.UNCERTAIN
    return Presence.PRESENT


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
    """Return the place in the chest that a clause names, or None."""
    site = _SITE.search(clause)
    return site.group().lower() if site else None


def side_of(clause: str) -> Side | None:
    """Return the side that a clause names, or None."""
    sides = [side for side, words in _SIDES if words.search(clause)]
    if not sides:
        return None
    return sides[0] if len(sides) == 1 or Side.BILATERAL in sides else Side.BILATERAL


def _no_finding(strongest: dict[Observation, Mention]) -> Finding:
    # As CheXpert: nothing is there and nothing is in doubt; devices do not count.
    said = [m for name, m in strongest.items() if name is not Observation.SUPPORT_DEVICES]
    doubt = any(_strength(mention.presence) > _strength(Presence.ABSENT) for mention in said)
    if not said:
        return Finding(observation=Observation.NO_FINDING, presence=Presence.NOT_MENTIONED)
    presence = Presence.ABSENT if doubt else Presence.PRESENT
    return Finding(observation=Observation.NO_FINDING, presence=presence)
