"""The terms by which reports name observations, and the cues of negation and uncertainty. Pure.

`OBSERVED` has the terms of each observation; `findings` evaluates the cues around a hit. Each pattern is
for reports of any author: none fits a single report only, and sentences of
tests/workers/goldens/report_sentences.txt test each one.
"""

import re
from typing import Final

from dicom.content.report import Observation

_HEART: Final = (
    r"(?:heart|cardiac|cardio-?(?:mediastinal|pericardial)(?:\s+and\s+hilar)?\s+(?:silhouettes?|contours?)|cardiothoracic\s+ratio)"
    r"(?:\s+(?:silhouette|shadow|contour|size))*"
)
_BIG: Final = r"(?:enlarged|enlargement|increased?|large|dilated)"
_BORDER: Final = (
    r"(?:borderline(?!\s+(?:cardiac\s+|heart\s+)?(?:enlarg|increase|large|cardiome))"
    r"|prominent|prominence)"
)
# "Upper limits of normal" is normal, "upper limits of normal or mildly enlarged" is enlarged.
_NORMAL: Final = (
    r"(?:(?<!above\s)(?<!beyond\s)(?<!than\s)normal(?!\s+(?:or|to)\s+(?:\w+\s+)?enlarged)|unremarkable"
    r"|(?:not\s+(?:\w+\s+){0,2}?|non-?)(?:enlarged|large))"
)
_TUBE: Final = (
    r"(?:endotracheal|nasogastric|orogastric|enteric|chest|feeding|tracheostomy|thoracostomy|dobbhoff"
    r"|ng|og|et)\s+tubes?"
)

# The terms of each observation. A match of a group `no` means absent, of a group `perhaps` uncertain,
# without any further cue.
_WORDS: Final[dict[Observation, str]] = {
    Observation.ATELECTASIS: (
        r"at[ea]lect\w+|(?:lobar|lobe|lung|partial|complete)\s+collapse|(?:lobe|lung)\s+(?:is|are|remains)\s+"
        r"(?:\w+\s+)?collapsed|collapse\s+of\s+(?:\w+\s+){0,5}?(?:lobe|lung)"
    ),
    Observation.CARDIOMEGALY: (
        rf"(?P<perhaps>{_BORDER}\s+(?:(?!enlarg)\w+\s+){{0,2}}?{_HEART}|{_HEART}[^.;,]{{0,25}}?\b{_BORDER}"
        rf"|{_HEART}[^.;,]{{0,40}}?\bnormal\s+(?:or|to)\s+borderline)"
        r"|cardiome\w{0,3}g\w{0,4}l+y"
        rf"|(?P<no>{_HEART}(?:(?!\b(?<!not\s){_BIG})[^.;]){{0,60}}?\b{_NORMAL}"
        rf"|(?:normal|unremarkable)\s+(?:sized?\s+(?:of\s+the\s+)?)?{_HEART})"
        rf"|{_BIG}\s+(?:(?:of|in)\s+(?:the\s+)?)?{_HEART}|{_HEART}(?:(?!\bnormal)[^.;,]){{0,40}}?\b{_BIG}"
        rf"|{_HEART}[^.;,]{{0,40}}?\bnormal\s+(?:or|to)\s+(?:(?!borderline)\w+\s+)?enlarged"
        rf"|{_HEART}[^.;,]{{0,25}}?\b(?:above|beyond|exceeds|(?:larger|greater)\s+than)\s+(?:\w+\s+){{0,4}}?normal"
    ),
    Observation.CONSOLIDATION: r"consolidat\w+",
    Observation.EDEMA: r"(?<!tissue\s)(?<!subcutaneous\s)(?<!marrow\s)(?<!wall\s)o?edema(?:tous)?",
    Observation.PLEURAL_EFFUSION: (
        r"(?<!pericardial\s)(?<!joint\s)eff+us+ions?(?!\s+of\s+the\s+peric)|pleural\s+fluid"
        r"|fluid\s+(?:(?:is|was)\s+)?(?:\w+\s+)?(?:with)?in\s+the\s+(?:\w+\s+){0,2}?(?:pleural|fissure)"
        r"|(?:hydro(?:pneumo)?|ha?emo(?:pneumo)?)thorax"
    ),
    Observation.PNEUMOTHORAX: r"(?:hydro|ha?emo)?p\w{2,5}moth\w{2,6}(?:x|ces)|ptx",
    Observation.PNEUMONIA: r"(?:broncho)?pneumonias?|pneumonitis|infectious\s+process",
    Observation.FRACTURE: r"fractures?(?:d)?",
    Observation.LUNG_LESION: r"nodul\w+|mass(?:es)?|neoplasm|tumou?r|granulomas?",
    Observation.LUNG_OPACITY: (
        r"opaci\w+|infiltrat\w+|air\s*-?space\s+disease|(?P<no>lungs?\s+(?:fields?\s+)?"
        r"(?:are|is|appear|remain)?\s*(?:\w+\s+)?clear|clear\s+lungs)"
    ),
    Observation.PLEURAL_OTHER: r"pleural\s+(?:thickening|scarring|plaques?|calcifications?)",
    Observation.ENLARGED_CARDIOMEDIASTINUM: (
        r"(?P<no>mediastin\w+\s+(?:is|appears)\s+not\s+(?:\w+\s+)?wide\w*)"
        r"|wid(?:e|ened|ening)\s+(?:of\s+the\s+)?mediastinum"
        r"|mediastin\w+\s+(?:(?:is|appears|remains)\s+(?:\w+\s+)?wide\w*|widening|enlargement)"
    ),
    Observation.SUPPORT_DEVICES: (
        rf"{_TUBE}(?P<no>\s+(?:has|have)\s+been\s+(?:\w+\s+)?removed)?|pacemaker|catheter|picc|ett"
        r"|central\s+(?:venous\s+)?line|port-?a-?cath|sternotomy\s+wires|icd|leads?|support\s+devices?"
    ),
}
OBSERVED: Final = {
    name: re.compile(rf"\b(?:{pattern})\b", re.I) for name, pattern in _WORDS.items()
}

# A colon ends a clause, unless an answer follows it ("Pleural effusion: none").
CLAUSE_END: Final = re.compile(
    r";|:(?!\s*(?:none|no|absent|negative|not|normal|unremarkable|(?:\w+ly\s+)?enlarged)\b)"
    r"|\bbut\b|\bhowever\b|\balthough\b|\bthough\b|\bexcept\b|\baside\s+from\b|\bapart\s+from\b|\bother\s+than\b"
    r"|\bwhile\b|\bwhich\b|\bthere(?<!if\sthere)(?<!whether\sthere)(?<!that\sthere)\s+(?:is|are)\b"
    r"|,\s*(?:and\s+(?:there|the)|with)\b",
    re.I,
)
NEGATION_BEFORE: Final = re.compile(
    r"\b(?:no|without|w/o|negative\s+for|free\s+of|clear\s+of|absence\s+of|nor|neither|rather\s+than|instead\s+of"
    r"|(?:do|does|did|is|are|was|were)\s+not|not\s+(?:seen|identified|any)|none|resol(?:ved|ution\s+of)"
    r"|no\s+longer|exclude[sd]?)\b",
    re.I,
)
# After a negation, a size or "only" begins a present finding: "no pneumothorax, small effusion".
REOPENED: Final = re.compile(
    r"(?:,|\bwith)\s+(?:(?:left|right|bilateral|bibasilar)\s+)?(?:only|small|tiny|trace|minimal|mild|moderate|stable"
    r"|unchanged|persistent|probable|likely|possible)\b",
    re.I,
)
_SEEN: Final = r"(?:seen|identified|visuali[sz]ed|evident|noted|demonstrated|appreciated|detected)"
NEGATION_BEHIND: Final = re.compile(
    r"^\s*:\s*(?:none|absent|negative|no\s*(?:$|[.,]|evidence))"
    rf"|\b(?:(?:is|are|was|were)\s+not\s+(?:\w+\s+)?(?:present|{_SEEN})|not\s+(?:seen|identified|evident)"
    r"|(?:is|are)\s+absent"
    r"|(?:(?:has|have)\s+(?:(?!not\b|nearly\b|almost\b|partially\b)\w+\s+)?|now\s+)(?:resolved|cleared)"
    rf"|no\s+longer\s+(?:present|visible|{_SEEN})|(?:is|are)\s+unlikely)\b",
    re.I,
)
_CANNOT: Final = r"(?:cannot|can\s+not|can['\u2019]t|could\s+not|not)"
DOUBT_BEFORE: Final = re.compile(
    r"\b(?:possibl[ey]|possibility|may|maybe|might|could"
    r"|suggest(?<!most\ssuggest)(?<!strongly\ssuggest)\w*|suspicio\w+|suspect\w*|concern\w*|worrisome"
    rf"|favor\w*|questionabl\w+|question|unclear|considerations?|{_CANNOT}\s+(?:be\s+)?(?:\w+ly\s+)?exclude"
    rf"|{_CANNOT}\s+rule\s+out|(?:difficult|hard)\s+to\s+exclude|potential\w*|differential|versus|vs|equivocal|either"
    r"|evaluat\w+\s+(?:for|of)|look(?:ing)?\s+for|correlat\w+\s+(?:\w+\s+)?for|rule\s+out"
    r"|(?:appropriate|right|proper|correct)\s+clinical\s+(?:setting|context))\b",
    re.I,
)
DOUBT_BEHIND: Final = re.compile(
    r"^(?:(?!\bwith\b|,\s+(?!versus|vs))[^;])*?\b(?:versus|vs)\b"
    rf"|\b(?:{_CANNOT}\s+(?:be\s+)?(?:\w+ly\s+)?(?:excluded|ruled)"
    r"|(?:difficult|hard|impossible)\s+to\s+(?:\w+\s+)?exclude|suspected|if\s+(?:any|present)"
    r"|(?:could|may|might)\s+(?:also\s+)?(?:have|give|be\s+(?:present|missed|considered))"
    r"|(?:is|are)\s+(?:possible|also\s+possible|questioned|questionable|not\s+excluded))\b",
    re.I,
)
# Not negations, although they contain a negation ("no change", "not only"). A negated doubt
# ("no convincing ...") is a negation and not part of this pattern.
FALSE_NEGATION: Final = re.compile(
    r"\b(?:no|without)\s+(?:\w+\s+){0,2}?(?:change|increase|improvement)\b"
    r"|\b(?:(?:is|are|has|have)\s+)?not\s+(?:only|necessarily|\w*\s*exclude\w*|\w*\s*rule\w*"
    r"|(?:\w+ly\s+)?(?:changed|improved|increased|worsened|resolved|cleared))\b|\b(?:partially|incompletely|nearly|almost)\s+resolved\b"
    r"|\b(?:near(?:ly)?|partial|incomplete)(?:[\s-]+complete)?\s+resolution\b"
    rf"|\b(?:{_CANNOT}|(?:difficult|hard|impossible)\s+to)\s+(?:be\s+)?(?:\w+ly\s+)?(?:exclude|rule)\w*",
    re.I,
)
# The patient's history; the pattern must end where the term begins.
HISTORICAL: Final = re.compile(
    r"\b(?:history|hx)\s+of\s+(?:\w+\s+){0,4}$|\bh/o\s+(?:\w+\s+){0,4}$", re.I
)
# A report does not join a present effusion and a present pneumothorax by "or": the "no" was lost, for
# example by de-identification.
LOST_NEGATION: Final = re.compile(
    r"\beffusions?\s*(?:,\s*)?or\s+(?:\w+\s+)?pneumothora\w+|\b(?:consolidations?,\s+)?pneumothora\w+"
    r"(?:,(?:(?!\bno\b|\bwithout\b)[^,.;]){1,40}){0,3},?\s+or\s+(?:\w+\s+)?(?:pleural\s+)?effusions?\b",
    re.I,
)
