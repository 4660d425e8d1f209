"""Drafts to be reviewed, and decisions on them."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom.content.codes import Code
from dicom.content.report import (
    Doubt,
    DoubtfulSentence,
    DraftReport,
    Finding,
    ModelIdentity,
    Observation,
    Presence,
    Side,
    SourceImage,
)
from dicom.identifiers import derived_uid
from dicom.study import Instance
from service.audit import AuditAction, AuditEvent
from service.records import ResultObject
from service.review.content import ReviewContent
from service.review.decision import DecisionRequest, Reviewer, Seconds
from service.review.draft_sentences import draft_sentences
from service.review.words import Acceptability, Rejection, Verdict


class Reviewing:
    """Drafts, decisions and the people who make them."""

    heart = "The heart is enlarged."
    effusion = "There is a left pleural effusion."
    pneumothorax = "There is a small right apical pneumothorax."
    stable = "The tube is unchanged."
    clear = "The lungs are clear."
    roentgen = Reviewer(
        id="u1",
        name="Röntgen^Wilhelm",
        organization="Klinikum Süd",
        identifier=Code("4711", "99KLINIKUM", "Wilhelm Röntgen"),
    )
    curie = Reviewer(id="u2", name="Curie^Marie", organization="Klinikum Süd")
    audit = AuditEvent(action=AuditAction.DECIDED, actor="Wilhelm Röntgen (web page)")

    def findings(self) -> tuple[Finding, ...]:
        """Return findings: sure, unsure, urgent and contradicted by its score, not mentioned."""
        return (
            Finding(
                observation=Observation.CARDIOMEGALY,
                presence=Presence.PRESENT,
                sentence=self.heart,
            ),
            Finding(
                observation=Observation.PLEURAL_EFFUSION,
                presence=Presence.UNCERTAIN,
                side=Side.LEFT,
                sentence=self.effusion,
            ),
            Finding(
                observation=Observation.PNEUMOTHORAX,
                presence=Presence.PRESENT,
                side=Side.RIGHT,
                sentence=self.pneumothorax,
                score=0.1,
            ),
            Finding(observation=Observation.EDEMA, presence=Presence.NOT_MENTIONED),
        )

    def draft(self, **changes) -> DraftReport:
        """Return a draft with a sentence for each reason for an answer, and one that requires none."""
        values = {
            "study_instance_uid": "1.2.3",
            "source": SourceImage(
                sop_instance_uid="1.2.3.1",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
                series_instance_uid="1.2.3.2",
                rows=300,
                columns=200,
            ),
            "revision": 1,
            "produced_at": datetime(2026, 3, 1, 9, 0, tzinfo=UTC),
            "findings_text": (self.heart, self.effusion, self.pneumothorax, self.stable),
            "impression_text": (self.clear,),
            "findings": self.findings(),
            "doubts": (
                DoubtfulSentence(sentence=self.clear, doubt=Doubt.CONTRADICTED),
                DoubtfulSentence(sentence=self.stable, doubt=Doubt.COMPARES),
            ),
            "model": ModelIdentity(name="Tiny", version="1", weights_sha256="0" * 64),
        }
        return DraftReport(**{**values, **changes})

    def content(self, draft=None, *, texts=None, answers=None, findings=()) -> ReviewContent:
        """Return a draft's content with `texts` and `answers` by sentence id; all agreed if None."""
        content = ReviewContent.of_draft(draft_sentences(draft or self.draft())).to_json()
        for each in content["sentences"]:
            each["text"] = (texts or {}).get(each["id"], each["text"])
            each["answer"] = "agree" if answers is None else answers.get(each["id"], "")
        return ReviewContent.from_json({**content, "findings": list(findings)})

    def request(self, draft=None, *, verdict=Verdict.ACCEPT, **changes) -> DecisionRequest:
        """Return a decision on a draft; further keywords as for `content` or DecisionRequest."""
        about = {
            key: changes.pop(key) for key in ("texts", "answers", "findings") if key in changes
        }
        values = {
            "verdict": verdict,
            "content": self.content(draft, **about),
            "base_version": 0,
            "seconds": Seconds(total=12.5, image=11.0),
            "acceptability": Acceptability.NO_REVISION,
        }
        return DecisionRequest(**{**values, **changes})

    def edit(self, draft=None, **changes) -> DecisionRequest:
        """Return a decision that edits the first sentence."""
        given = {"texts": {"f1": "The heart is not enlarged."}, **changes}
        return self.request(draft, verdict=Verdict.EDIT, **given)

    def rejection(self, draft=None, **changes) -> DecisionRequest:
        """Return a rejection."""
        given = {"rejection": Rejection.WRONG_SIDE, "answers": {}, **changes}
        return self.request(draft, verdict=Verdict.REJECT, **given)

    def drafted(self, store, study="1.2.3", destinations=("pacs",), number=1, **changes):
        """Return a DRAFTED job of a study with a draft about its image."""
        image = f"{study}.{number}"
        store.add_instance(
            Instance(
                sop_instance_uid=image,
                sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
                series_instance_uid=f"{study}.200",
                study_instance_uid=study,
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                path=Path("/spool") / image,
                digest=f"{number:064x}",
                size=1,
            ),
            calling_ae="CR1",
            association_id="a",
            eligible=True,
        )
        job = store.schedule(study, model="demo", version="1", actor="t", reason="Released.")
        job = store.claim_reading(job.id, "reader", 60)
        draft = self.draft(study_instance_uid=study, revision=job.revision, **changes)
        draft = replace(draft, source=replace(draft.source, sop_instance_uid=image))
        report = ResultObject(
            kind="draft-report",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
            sop_instance_uid=derived_uid("draft", job.id),
            series_instance_uid=derived_uid("series", job.id),
            study_instance_uid=study,
            path=Path("/outbox") / job.id,
            sha256="0" * 64,
        )
        return store.draft(job.id, job.fence, draft, [report], destinations)


@pytest.fixture(scope="session")
def reviewing() -> Reviewing:
    """Makes drafts and decisions."""
    return Reviewing()
