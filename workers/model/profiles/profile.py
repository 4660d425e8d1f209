"""The profile of a model: one TOML file with prompts, image, sections, decoding, scores and licence.

`load.load_profile` reads it and names every fault. A profile holds no code.
"""

import hashlib
import re
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from workers.model.prompts import IMAGE, IS_NORMAL, IS_THERE, Task

FORMAT: Final = 1
ENGLISH: Final = "en"
# The type of a fault that concerns several keys; its context holds the key that must be changed.
BETWEEN_KEYS: Final = "between_keys"
# The placeholders of templates.
INDICATION: Final = "{indication}"
QUESTION: Final = "{question}"
TEXT: Final = "{text}"  # of the fragment `indication`: the indication itself
# What an author of a template may expect, and why it is refused.
PRIOR: Final = "{prior}"
NO_PRIOR: Final = (
    "Wetread gives a model no earlier report, so that each comparison in a draft is recognized as "
    "invented: remove it"
)
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")

# Patterns of texts; `allowed.allowed` states each in words.
LINE: Final = r"^[^\r\n\x00-\x1f]+$"
HEADING: Final = r"^[^\r\n:*#]+$"
ASCII: Final = r"^[\x20-\x7e]+$"
LANGUAGE: Final = r"^[a-z]{2}$"

Words = Annotated[str, Field(min_length=1, max_length=4000)]
Line = Annotated[str, Field(min_length=1, max_length=300, pattern=LINE)]
Heading = Annotated[str, Field(min_length=1, max_length=60, pattern=HEADING)]
Edge = Annotated[int, Field(ge=16, le=4096)]


class Ability(StrEnum):
    """What a model may lack; the values are words for a person."""

    SCORES = "scores"
    REGIONS = "regions"
    CHAT = "chat"
    DIFFERENTIAL = "differential"
    CHILDREN = "children"
    FOLLOW_UP = "follow-up questions"  # it was not trained on chats of several questions
    OPEN_QUESTIONS = "open questions"  # it was trained on yes-or-no questions only


class Table(BaseModel):
    """A table of the file: unknown keys are faults, values are not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Card(Table):
    """The model in words, for pages, reports and the model card.

    Attributes:
        source: Where the weights were published.
        licence: The licence of the weights.
        intended_use: What its authors allow or intend.
        tried_with_real_weights: Whether this profile has read images with the published weights.
        tried: What was tried, and when.
        caveat: A sentence that must accompany every answer, or "".
        random_weights: The weights are random, for tests: the text is shown and never coded, and
            images of patients are not read unless the site enables it.
        phantoms_only: It was trained on synthetic images only: images of patients are not read either.
        languages: ISO 639-1 codes of the languages that its reports may be in.
    """

    source: Line
    licence: Line
    intended_use: Line
    tried_with_real_weights: bool
    tried: Line
    caveat: Annotated[str, Field(max_length=300)] = ""
    random_weights: bool = False
    phantoms_only: bool = False
    languages: Annotated[
        tuple[Annotated[str, Field(pattern=LANGUAGE)], ...], Field(min_length=1)
    ] = (ENGLISH,)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for key in ("random_weights", "phantoms_only"):
            if getattr(self, key) and not self.caveat:
                raise fault("caveat", f"is required with {key}: say that the text is meaningless")
        if ENGLISH not in self.languages:
            raise fault(
                "languages", f'must contain "{ENGLISH}": reports are checked and coded in English'
            )
        return self


class Image(Table):
    """The image as it is sent.

    Attributes:
        mode: Pillow mode: "L" is gray, "RGB" three equal channels.
        width: Columns in pixels; without a size the image keeps its own, up to `longest_edge`.
        height: Rows in pixels.
        fit: How an image of another shape gets the size: "pad" adds `background` around it, "crop" keeps
            the central part, "stretch" changes the ratio of its edges.
        resample: Pillow's filter.
        background: Gray value of the padding.
        longest_edge: Without a size, a larger image is reduced to this edge in pixels.
    """

    mode: Literal["L", "RGB"] = "RGB"
    width: Edge | None = None
    height: Edge | None = None
    fit: Literal["pad", "crop", "stretch"] = "pad"
    resample: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"
    background: Annotated[int, Field(ge=0, le=255)] = 0
    longest_edge: Edge = 2048

    @model_validator(mode="after")
    def _whole_size(self) -> Self:
        if (self.width is None) != (self.height is None):
            key = "width" if self.width is None else "height"
            raise fault(key, "is required beside the other edge: give both, or neither")
        if self.width is None:
            for key in {"fit", "background"} & self.model_fields_set:
                raise fault(key, "has no effect without width and height: add them, or remove it")
        return self

    @property
    def size(self) -> tuple[int, int] | None:
        """Columns and rows in pixels, or None: the image keeps its own size."""
        return None if self.width is None or self.height is None else (self.width, self.height)


class Prompts(Table):
    """The turns of a chat as templates.

    `<image>` stands where the image does. `{indication}` is replaced by the fragment of this name if the
    order has an indication, otherwise by `no_indication`. `{text}` in the fragment is the indication.
    `prior` is a known key only to be refused with its reason.
    """

    system: Annotated[str, Field(max_length=4000)] = ""
    report: Words
    paediatric: Words | None = None
    differential: Words | None = None
    question: Words | None = None
    indication: Words | None = None
    no_indication: Annotated[str, Field(max_length=300)] = ""
    prior: str | None = Field(None, exclude=True)

    @model_validator(mode="after")
    def _templates(self) -> Self:
        if self.prior is not None:
            raise fault("prior", f"is not supported: {NO_PRIOR}, and {PRIOR} in the prompts")
        for key in TASK_KEYS.values():
            self._check_template(key, getattr(self, key))
        self._check_indication()
        if IMAGE in self.system:
            raise fault("system", f"must not contain {IMAGE}: the image stands in the user's turn")
        return self

    def _check_template(self, key: str, template: str | None) -> None:
        if template is None:
            return
        if template.count(IMAGE) != 1:
            raise fault(key, f"must contain {IMAGE} once: it is replaced by the image")
        if (template.count(QUESTION) == 1) != (key == TASK_KEYS[Task.QUESTION]):
            needed = "must contain" if key == TASK_KEYS[Task.QUESTION] else "must not contain"
            raise fault(key, f"{needed} {QUESTION}, which is replaced by the question")
        self._check_placeholders(key, template)

    def _check_placeholders(self, key: str, template: str) -> None:
        """Refuse a placeholder that would reach the model as it stands."""
        if PRIOR in template:
            raise fault(key, f"contains {PRIOR}: {NO_PRIOR}")
        known = {INDICATION, QUESTION} if key == TASK_KEYS[Task.QUESTION] else {INDICATION}
        for mark in _PLACEHOLDER.findall(template):
            if mark not in known:
                words = f"contains {mark}, which is replaced by nothing"
                raise fault(key, f"{words}; allowed here: {', '.join(sorted(known))}")

    def _check_indication(self) -> None:
        fragment = self.indication
        users = [key for key in TASK_KEYS.values() if INDICATION in (getattr(self, key) or "")]
        if fragment is None and users:
            raise fault("indication", f"is required, because {users[0]} contains {INDICATION}")
        if fragment is not None and fragment.count(TEXT) != 1:
            raise fault(
                "indication", f"must contain {TEXT} once: it is replaced by the indication itself"
            )
        for key in ("indication", "no_indication"):
            if getattr(self, key) and not users:
                words = f"has no effect: no prompt contains {INDICATION}; add it to prompts.report"
                raise fault(key, words)


TASK_KEYS: Final = {
    Task.REPORT: "report",
    Task.PAEDIATRIC_REPORT: "paediatric",
    Task.DIFFERENTIAL: "differential",
    Task.QUESTION: "question",
}


class AnswerForm(Table):
    """How an answer is read.

    Attributes:
        stop: Words before which the answer ends; they are not part of it.
        begins_after: The answer begins after the last of these words, such as the end of a passage in
            which the model thinks; all of it counts if they do not occur.
        findings: Headings of sections that are findings, in any case.
        impression: Headings of sections that are the impression.
        left_out: Headings of sections that are not part of the report.
        only_sections: Leave out text before the first heading, such as "Here is the report:".
    """

    stop: Annotated[tuple[Line, ...], Field(max_length=16)] = ()
    begins_after: str = ""
    findings: tuple[Heading, ...] = ("findings",)
    impression: tuple[Heading, ...] = ("impression", "conclusion")
    left_out: tuple[Heading, ...] = ()
    only_sections: bool = False

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        meanings: dict[str, str] = {}
        for key in ("findings", "impression", "left_out"):
            for heading in getattr(self, key):
                other = meanings.setdefault(heading.casefold(), key)
                if other != key:
                    raise fault(
                        key, f"contains {heading!r}, which {other} has too: keep one of them"
                    )
        return self


class DecodingDefaults(Table):
    """How tokens are chosen where the site's settings say nothing else."""

    max_new_tokens: Annotated[int, Field(ge=1, le=2048)] = 512
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.8
    top_k: Annotated[int, Field(ge=0)] = 50


class Questions(Table):
    """The yes-or-no question about each finding, and whether the image is normal."""

    atelectasis: Line
    cardiomegaly: Line
    consolidation: Line
    edema: Line
    pleural_effusion: Line
    pneumothorax: Line
    normal: Line

    def by_general(self) -> dict[str, str]:
        """Return each question in this model's words by the general one (`prompts.IS_THERE`)."""
        named = {IS_THERE[name]: name.replace(" ", "_") for name in IS_THERE}
        return {general: getattr(self, key) for general, key in named.items()} | {
            IS_NORMAL: self.normal
        }


class Scores(Table):
    """Yes-or-no questions for scores.

    Attributes:
        measured: Whether it was measured what the scores are worth; otherwise they are asked for only if
            `reading.scores` is "on".
        yes: How the model begins a positive answer; the probabilities of all of them count together.
        no: How it begins a negative answer.
    """

    measured: bool = False
    yes: Annotated[tuple[Line, ...], Field(min_length=1)] = ("Yes", "yes")
    no: Annotated[tuple[Line, ...], Field(min_length=1)] = ("No", "no")
    questions: Questions

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if set(self.yes) & set(self.no):
            raise fault("no", "shares a word with yes: each word may stand in one list only")
        return self


class Profile(Table):
    """All of a profile.

    Attributes:
        format: Version of this file's format.
        name: Name of the model, for people; it stands in every draft.
        cannot: What the model cannot do; pages and reports say so.
        chat_template: The chat layout as a Jinja template, for checkpoints that bring none or a wrong
            one; "" uses the checkpoint's.
    """

    format: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=64, pattern=ASCII)]
    cannot: tuple[Ability, ...] = ()
    chat_template: Annotated[str, Field(max_length=20_000)] = ""
    card: Card
    image: Image = Image()
    prompts: Prompts
    answer: AnswerForm = AnswerForm()
    decoding: DecodingDefaults = DecodingDefaults()
    scores: Scores | None = None

    @model_validator(mode="after")
    def _says_what_it_cannot(self) -> Self:
        there = {
            Ability.SCORES: ("scores", self.scores),
            Ability.CHAT: ("prompts.question", self.prompts.question),
            Ability.DIFFERENTIAL: ("prompts.differential", self.prompts.differential),
            Ability.CHILDREN: ("prompts.paediatric", self.prompts.paediatric),
        }
        for ability, (key, value) in there.items():
            if value is None and ability not in self.cannot:
                raise fault("cannot", f'must contain "{ability}", or add {key}')
            if value is not None and ability in self.cannot:
                raise fault(
                    "cannot", f'contains "{ability}", but {key} is given: remove one of them'
                )
        return self

    @property
    def sha256(self) -> str:
        """The digest of the content; comments and the order of keys do not count."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def takes_indication(self) -> bool:
        """Whether the report's prompt has a place for the indication."""
        return INDICATION in self.prompts.report


def fault(key: str, message: str) -> PydanticCustomError:
    """Return the error of one key of a table; `message` says what is wrong and what to do."""
    return PydanticCustomError(BETWEEN_KEYS, "{message}", {"key": key, "message": message})
