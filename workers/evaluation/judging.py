"""`wetread evaluate --judge`: the drafts of a run against their reference texts, by a language model."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from service.assessment.judged import JudgeFigures, NotJudged
from service.assessment.study_rows import StudyRow, scored
from service.assessment.texts import Part, TextPair
from service.errors import ConfigurationError
from service.evaluation.chexprompt.summary import summary
from workers.evaluation.faults import raise_if_any
from workers.evaluation.run import JudgeOrder
from workers.evaluation.safe_names import safe_name
from workers.evaluation.truth import Truth
from workers.judge.pairs import Pairs, pairs_of
from workers.judge.session import JudgeFailed, Say, Session, judge_of, server_of
from workers.model.servers.retrying import RetryPolicy

_NO_REFERENCE: Final = "no scored study has a reference report with findings."
STOPPED: Final = NotJudged(
    "the run was interrupted. The same command continues with the recorded replies."
)


def check_judge(order: JudgeOrder, truths: Mapping[str, Truth]) -> None:
    """Check, before any study is read, that there is a judge and something to compare.

    Raises:
        InputFaults: There is not; all faults are listed.
    """
    faults = []
    try:
        judge_of(order.settings)
        server_of(order.settings, RetryPolicy())
    except ConfigurationError as error:
        faults.append(f"--judge: {error}")
    if not any(truth.text for truth in truths.values()):
        faults.append("--judge: the truth holds no report text to compare the drafts with")
    raise_if_any(faults)


def judged(
    order: JudgeOrder,
    folder: Path,
    rows: Sequence[StudyRow],
    pairs: Mapping[str, TextPair],
    *,
    seed: int,
    say: Say,
) -> JudgeFigures | NotJudged:
    """Return what the judge counts in the scored drafts; a failure does not end the evaluation.

    Replies are recorded in the folder as `wetread judge` records them, and not requested again.

    Args:
        order: The judge.
        folder: The run's.
        rows: All studies.
        pairs: Reference and draft by study id.
        seed: Of the resampling.
        say: Called with each line for the terminal.
    """
    used = [(row.id, pairs[row.id]) for row in scored(rows) if row.id in pairs]
    try:
        chosen = _judge_pairs(used, folder)
        if not chosen.pairs:
            return NotJudged(_NO_REFERENCE)
        session = Session(
            settings=order.settings,
            folder=folder,
            allow_untested=order.allow_untested,
            say=say,
            retry=RetryPolicy(),
        )
        outcomes, source = session.judged(chosen.pairs)
    except (JudgeFailed, ConfigurationError) as error:
        say(str(error))
        return NotJudged(f"{error}.")
    return JudgeFigures(
        metric=source.judge.prompt.metric,
        source=source.as_json(),
        statements=tuple(source.statements()),
        figures=summary(outcomes, seed=seed),
        without_reference=chosen.without_reference,
    )


def _judge_pairs(used: Sequence[tuple[str, TextPair]], folder: Path) -> Pairs:
    rows = list(_rows(used))
    if not any(row["reference"] for row in rows):
        return Pairs((), len(rows))
    return pairs_of(rows, str(folder))


def _rows(used: Sequence[tuple[str, TextPair]]) -> Iterator[dict[str, str]]:
    for identifier, pair in sorted(used):
        yield {
            "id": safe_name(identifier),
            "patient": pair.patient,
            "reference": pair.reference[Part.FINDINGS],
            "candidate": pair.draft[Part.FINDINGS],
        }
