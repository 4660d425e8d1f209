"""The model card of a model version in use: identity, license, gates, evaluation, limits, daily use."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from dicom.content.report import ModelIdentity
from service.quality.document import Document, DocumentKind, Facts, Section, Table, not_recorded
from service.quality.evaluation_folder import EvaluationFolder
from service.quality.evaluation_tables import evaluation_sections, evaluation_values
from service.quality.inputs import Inputs
from service.quality.performance import FIGURE_HEADER, figure_row
from service.quality.period import moment
from service.records.models import LoadedModel
from service.records.quality import ModelUse
from service.review.figures import Grouping, figures_by, figures_json
from service.settings.config import Settings
from service.settings.keys.reading import Reading

_NON_COMMERCIAL: Final = re.compile(r"\bnc\b|non-?commercial", re.IGNORECASE)
_PINNED: Final = ("model_sha256", "adapter_sha256", "base_model_sha256")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_FIXED_LIMITS: Final = (
    (
        "It drafts from one frontal chest radiograph of a study. It sees no earlier image, no "
        "lateral view, no clinical question beyond what the prompt holds, and knows no patient."
    ),
    (
        "A draft is unverified. What it does not state is not thereby absent: a radiologist reads "
        "the image."
    ),
)
_CANNOT: Final = {
    "scores": "it gives no probabilities of findings",
    "regions": "it gives no regions of findings",
    "chat": "it answers no questions about an image",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of one model version; None for what is not recorded."""

    model: str
    version: str
    use: ModelUse | None
    loaded: LoadedModel | None
    reading: Reading | None

    @property
    def identity(self) -> ModelIdentity | None:
        """What the latest draft of the period says, or else what the worker has loaded."""
        if self.use and self.use.identity:
            return self.use.identity
        if self.loaded is None:
            return None
        facts = self.loaded.facts
        return ModelIdentity(
            name=facts.own_name,
            version=facts.version,
            weights_sha256=facts.weights_sha256,
            caveat=facts.caveat,
            licence=facts.licence,
            intended_use=facts.intended_use,
            cannot=facts.cannot,
        )

    @property
    def name(self) -> str:
        """The name in its drafts, or that of its table."""
        return self.identity.name if self.identity else self.model


def model_cards(inputs: Inputs) -> list[Document]:
    """Return a card for each model version that made drafts in the period, or is loaded.

    Raises:
        StoreError: The database cannot be used.
    """
    return [_card(inputs, each) for each in _in_use(inputs)]


def _in_use(inputs: Inputs) -> list[_Known]:
    loaded: dict[tuple[str, str], LoadedModel] = {}
    for each in sorted(inputs.store.loaded_models(), key=lambda each: each.loaded_at):
        if each.loaded_at < inputs.period.end:
            loaded[(each.model, each.facts.version)] = each
    used = {(each.model, each.version): each for each in inputs.models_used}
    readings = {**inputs.settings.readings(), **inputs.settings.shadows()}
    return [
        _Known(
            model=model,
            version=version,
            use=used.get((model, version)),
            loaded=loaded.get((model, version)),
            reading=_of_version(readings.get(model), version),
        )
        for model, version in sorted({*used, *loaded})
    ]


def _of_version(reading: Reading | None, version: str) -> Reading | None:
    return reading if reading is not None and reading.model_version == version else None


def _card(inputs: Inputs, known: _Known) -> Document:
    evaluations = [each for each in inputs.evaluations if _is_of(each, known)]
    return Document(
        kind=DocumentKind.MODEL_CARD,
        name=_file_name(known),
        title=f"Model card: {known.name}, version {known.version}",
        facts=(
            ("Period", inputs.period.words),
            ("Model in the settings", f"{known.model}, version {known.version}"),
        ),
        sections=(
            _identity(known),
            _intended_use(known),
            _gates(inputs, known),
            *_evaluations(evaluations),
            _limits(inputs.settings, known),
            _daily_use(inputs, known),
        ),
        values={
            "model": known.model,
            "version": known.version,
            "identity": known.identity,
            "evaluations": [evaluation_values(each) for each in evaluations],
            "drafts": known.use.drafts if known.use else 0,
            "decisions": [figures_json(each) for each in _decisions(inputs, known)],
        },
    )


def _file_name(known: _Known) -> str:
    parts = (_UNSAFE.sub("-", part).strip(".-") for part in (known.model, known.version))
    return "-".join((DocumentKind.MODEL_CARD.value, *filter(None, parts)))


def _is_of(folder: EvaluationFolder, known: _Known) -> bool:
    weights = known.identity.weights_sha256 if known.identity else ""
    return folder.is_of(known.name, known.version, weights)


def _identity(known: _Known) -> Section:
    identity, facts = known.identity, known.loaded.facts if known.loaded else None
    found = Facts()
    found.add("Name in the drafts", identity.name if identity else "")
    found.add("Version", known.version)
    found.add("Weights, SHA-256", identity.weights_sha256 if identity else "",
              missing="digest of the weights")  # fmt: skip
    found.add("Kind", facts.kind if facts else "", missing="kind of the model")
    found.add("Runs on", f"{facts.device}, {facts.dtype}" if facts else "", missing="device")
    found.add("Decoding and libraries", identity.decoding if identity else "", missing="decoding")
    found.add("Prompt", identity.prompt if identity else "", missing="prompt of the latest draft")
    found.add("Loaded", moment(known.loaded.loaded_at) if known.loaded else "",
              missing="when it was loaded last")  # fmt: skip
    found.add("License of the weights", identity.licence if identity else "", missing="license")
    warnings: tuple[str, ...] = ()
    if identity and _NON_COMMERCIAL.search(identity.licence):
        warnings = (
            "The license excludes commercial use: the site states why its use is permitted.",
        )
    return Section(title="Identity and license", facts=found.all(), warnings=warnings)


def _intended_use(known: _Known) -> Section:
    stated = known.identity.intended_use if known.identity else ""
    facts = Facts()
    facts.add("Stated by the authors of the model", stated, missing="intended use by its authors")
    facts.add("Intended purpose at this site", "", missing="intended purpose at this site")
    facts.add("Training data", "", missing="training data and their population")
    return Section(
        title="Intended use",
        sentences=(
            (
                "Wetread claims no intended use for this model and is not a medical device. Its "
                "drafts are never a diagnosis."
            ),
        ),
        facts=facts.all(),
    )


def _gates(inputs: Inputs, known: _Known) -> Section:
    checks = inputs.store.probe_outcomes(inputs.period.begin, inputs.period.end)
    facts = Facts()
    tried = known.loaded.facts.tried if known.loaded else ""
    facts.add("Weights pinned by a digest in the settings", _pinned(known.reading),
              missing="settings of this version")  # fmt: skip
    facts.add("Profile tried with the real weights", tried, missing="trial of the model's profile")
    facts.add(
        "End-to-end checks of the service in the period",
        ", ".join(f"{n} {name}" for name, n in sorted(checks.items())),
        missing="end-to-end checks in this period (kept for 30 days)",
    )
    accepted = [
        f"{each.first_day} to {each.last_day}, by {each.accepted_by}"
        for each in inputs.store.references_accepted(inputs.period.end)
        if any(known.version in model.split() for model in each.models)
    ]
    facts.add(
        "Reference period of the drift charts",
        "; ".join(accepted),
        missing="reference period with this version",
    )
    facts.add("Acceptance by the site before first use", "", missing="acceptance by a person")
    return Section(
        title="Validation gates",
        sentences=(
            (
                "Always in force: only files with the recorded digests are loaded where they are "
                "pinned; an image that is not an upright frontal chest radiograph of a person is "
                "not read; text that is no report language is no draft; each result object is "
                "validated before it is sent."
            ),
        ),
        facts=facts.all(),
    )


def _pinned(reading: Reading | None) -> str:
    if reading is None:
        return ""
    names = [name for name in _PINNED if getattr(reading, name, None)]
    return f"yes ({', '.join(names)})" if names else "no"


def _evaluations(folders: Iterable[EvaluationFolder]) -> Iterator[Section]:
    found = [section for each in folders for section in evaluation_sections(each)]
    if not found:
        missing = not_recorded(
            "an evaluation of this model version on the site's studies (`wetread evaluate`, then "
            "--evaluation DIR)"
        )
        yield Section(title="Evaluation", sentences=(missing,))
    yield from found


def _limits(settings: Settings, known: _Known) -> Section:
    reading, identity = known.reading or settings.reading, known.identity
    children = "are read" if reading.read_children else "are not read"
    sentences = [
        *_FIXED_LIMITS,
        f"Images of patients below {reading.minimum_age_years} years {children}.",
    ]
    if identity and identity.cannot:
        words = [_CANNOT.get(each, each) for each in identity.cannot]
        sentences.append(f"By its profile: {'; '.join(words)}.")
    facts = Facts().add("Known failures and risks", "", missing="risk assessment of the site")
    return Section(
        title="Limits",
        sentences=tuple(sentences),
        warnings=(identity.caveat,) if identity and identity.caveat else (),
        facts=facts.all(),
    )


def _decisions(inputs: Inputs, known: _Known) -> list[Any]:
    facts = inputs.store.decision_facts(since=inputs.period.begin, until=inputs.period.end)
    names = {f"{known.model} {known.version}", f"{known.name} {known.version}"}
    return figures_by([each for each in facts if each.model in names], Grouping.ALL)


def _daily_use(inputs: Inputs, known: _Known) -> Section:
    facts = Facts()
    facts.add("Drafts made in the period", str(known.use.drafts if known.use else 0))
    facts.add(
        "First and last",
        f"{moment(known.use.first_at)}; {moment(known.use.last_at)}" if known.use else "",
        missing="drafts of this version in the period",
    )
    decided = _decisions(inputs, known)
    if not decided:
        facts.add("Decisions of radiologists", "", missing="decisions on drafts of this version")
    rows = tuple(figure_row(each) for each in decided)
    tables = (Table(FIGURE_HEADER, rows, "Decisions in the period"),) if rows else ()
    return Section(title="Use at this site", facts=facts.all(), tables=tables)
