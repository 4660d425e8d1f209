"""Drafts that are withheld to measure agreement: shown nowhere, sent nowhere, and released."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dicom.content.report import Observation, Presence
from service.drift.alert import DriftAlert
from service.drift.rows import MonitorRow, RowKind
from service.drift.streams import Level, drafted_event, reported_event
from service.drift.withholding import is_chosen
from service.final_reports.report import (
    FinalLabels,
    FinalReport,
    FinalSource,
    ReportKeys,
    TakingRules,
)
from service.jobs import DraftStatus, IllegalTransition, JobState
from service.maintenance.recall import Recall, RecallOrder, WithdrawalMethod, plan
from service.store.final_reports.taking import Reading
from service.store.throughput.computing import computed
from service.throughput.hours import hour_of
from service.web.monitor.drift_view import case_links

RULES = TakingRules(late=timedelta(days=30), wait=timedelta(days=30), keep_text=False)
SENTENCE = "cardiac silhouette is enlarged"


def withhold(site, seeder, number, *, hours=24, destinations=("orthanc",)):
    """Return a job whose draft is withheld."""
    job = seeder.reading(number)
    until = site.store.now() + timedelta(hours=hours)
    report, result = seeder.draft_of(job), seeder.result_object(job)
    return site.store.draft(job.id, job.fence, report, [result], destinations, withheld_until=until)


def report_on(site, job):
    """Take a final report on the job's study."""
    labels = FinalLabels(
        labeler="test", presence={Observation.EDEMA: Presence.ABSENT}, sides={}, words=3
    )
    report = FinalReport(
        source=FinalSource.API,
        keys=ReportKeys(study_uid=job.study_instance_uid),
        text="No edema seen.",
    )
    site.store.take_final_report(report, RULES, Reading(labels=labels))


def test_a_withheld_draft_is_on_no_page_and_in_no_answer(site, seeder):
    """Queue, study, job JSON and worklist state that it is withheld; none has its text."""
    job = withhold(site, seeder, 1)
    assert (job.state, job.is_withheld) == (JobState.DRAFTED, True)
    paths = ["", "read", f"studies/{job.study_instance_uid}", f"api/jobs/{job.id}"]
    paths += [
        f"api/studies/{job.study_instance_uid}",
        f"read/{job.id}",
        f"api/jobs/{job.id}/review",
    ]
    paths += ["search?q=cardiac", f"studies/{job.study_instance_uid}?job={job.id}"]
    answers = {path: site.get(path) for path in paths}
    assert not [path for path, each in answers.items() if SENTENCE in each.text]
    assert answers[f"read/{job.id}"].status_code == 404
    for path in ("", f"studies/{job.study_instance_uid}", f"api/jobs/{job.id}"):
        assert "withheld" in answers[path].text, path
    assert "withheld for measurement" in answers["read"].text
    queue = answers[""].text
    assert "Withheld</span>" in queue
    assert SENTENCE not in queue
    assert 'class="alarmed"' not in queue
    shown = answers[f"api/jobs/{job.id}"].json()
    assert (shown["withheld"], shown["draft"], shown["state"]) == (True, None, "DRAFTED")
    assert shown["deliveries"] == []
    assert site.store.backlogs(["orthanc"])[0].waiting == 0
    assert f'id="draft-{job.id}"' not in answers["read"].text
    assert site.get(f"jobs/{job.id}/heat/cardiomegaly.png").status_code == 404


def test_it_is_released_by_a_report_the_time_limit_urgency_or_a_person(site, seeder):
    """Then it is shown, sent, and its history has the reason."""
    store = site.store
    reported, late, asked, waiting = (withhold(site, seeder, number) for number in range(1, 5))
    report_on(site, reported)
    assert store.release_withheld(store.now()) == 1
    assert store.reported_while_withheld() == {reported.id}
    assert store.job(reported.id).draft.findings_text
    (delivery,) = store.deliveries(reported.id)
    assert (delivery.destination, delivery.attempts) == ("orthanc", 0)
    assert store.events(reported.id)[-1].reason == (
        "No longer withheld (final report): sent to orthanc."
    )
    store.release_draft(asked.id, "ann")
    with pytest.raises(IllegalTransition, match="not withheld"):
        store.release_draft(asked.id, "ann")
    assert store.release_withheld(store.now()) == 0
    assert store.release_withheld(store.now() + timedelta(hours=25)) == 2
    assert store.withheld().n == 0
    for job in (reported, late, asked, waiting):
        assert SENTENCE in site.get(f"studies/{job.study_instance_uid}").text
        seeder.deliver(job)
        assert store.job(job.id).state is JobState.COMPLETED
    with store._reading() as session:
        figures = computed(session, hour_of(store.job(waiting.id).created_at))
    assert (figures.balance.made, figures.latency.n) == (4, 0)  # they waited on purpose


def test_what_ends_otherwise_is_not_sent(site, seeder):
    """Canceled: nothing is sent; without a destination: complete after the release."""
    store = site.store
    canceled, alone = withhold(site, seeder, 1), withhold(site, seeder, 2, destinations=())
    store.cancel(canceled.id, "ann")
    assert store.release_withheld(store.now() + timedelta(hours=25)) == 2
    assert store.deliveries(canceled.id) == []
    assert store.job(canceled.id).state is JobState.CANCELED
    assert store.job(alone.id).state is JobState.COMPLETED


def hidden_everywhere(site, job):
    """Return whether no page and no answer about a job holds its text, its overlay or its objects."""
    study = job.study_instance_uid
    paths = [f"studies/{study}?job={job.id}", f"api/jobs/{job.id}", f"live/studies/{study}.json"]
    paths += [f"api/studies/{study}", "search?q=cardiac", f"studies/{study}/similar"]
    texts = [site.get(path).text for path in paths]
    shown = site.get(f"api/jobs/{job.id}").json()
    refused = {site.get(f"{path}").status_code for path in (f"read/{job.id}",)}
    is_out = (shown["draft"], shown["objects"], shown["withheld"]) == (None, [], True)
    return is_out and refused == {404} and not any(SENTENCE in text for text in texts)


def test_a_draft_that_was_canceled_while_withheld_stays_hidden(site, seeder):
    """By a person, and by a later draft of the study, which is withheld itself."""
    store = site.store
    canceled, first = withhold(site, seeder, 1), withhold(site, seeder, 2)
    store.cancel(canceled.id, "ann", "No longer needed.")
    with pytest.raises(IllegalTransition, match="not withheld"):
        store.release_draft(canceled.id, "ann")
    seeder.image(9, study=2)
    again = store.schedule(
        first.study_instance_uid,
        model=first.model_name,
        version=first.model_version,
        actor="intake",
        reason="A later image arrived.",
    )
    held = seeder.claim(again)
    until = store.now() + timedelta(hours=24)
    report, result = seeder.draft_of(held), seeder.result_object(held)
    second = store.draft(held.id, held.fence, report, [result], ("orthanc",), withheld_until=until)
    assert second.is_withheld
    assert store.release_withheld(store.now()) == 2
    for job in (canceled, first):
        assert store.job(job.id).state is JobState.CANCELED
        assert hidden_everywhere(site, job)
    assert hidden_everywhere(site, second)
    page = site.get(f"studies/{canceled.study_instance_uid}").text
    assert "canceled before its draft was shown" in page
    store.retry(canceled.id, "ann")  # a person asks for it
    assert SENTENCE in site.get(f"studies/{canceled.study_instance_uid}").text


def test_a_draft_that_was_recalled_while_withheld_stays_hidden(site, seeder):
    """Also after the time limit; the pages state that it was withdrawn. One that was sent is shown."""
    store = site.store
    recalled, sent = withhold(site, seeder, 1), withhold(site, seeder, 2)
    alone = withhold(site, seeder, 3, destinations=())
    store.release_draft(sent.id, "ann")
    order = RecallOrder(model=None, since=None, version=None, reason="It errs.", actor="ann")
    steps = plan(store, site.here.settings, order)
    methods = {step.job.id: (step.destination, step.method) for step in steps}
    assert methods == {
        recalled.id: ("", WithdrawalMethod.HERE),
        sent.id: ("orthanc", WithdrawalMethod.CANCEL),
        alone.id: ("", WithdrawalMethod.HERE),
    }
    done = list(Recall(store, site.here.settings, {}, lambda: None, order).run(steps))
    assert [step.failed for step in done] == [False, False, False]
    assert plan(store, site.here.settings, order) == []
    for _ in range(2):
        for job in (recalled, alone):
            assert hidden_everywhere(site, job)
            assert store.job(job.id).draft_status is DraftStatus.WITHDRAWN
            assert store.deliveries(job.id) == []
            page = site.get(f"studies/{job.study_instance_uid}").text
            assert "It errs. Do not use this draft." in page
            assert "withdrawn while it was withheld" in page
            answer = site.get(f"api/jobs/{job.id}/review")
            assert "withdrawn while it was withheld" in answer.json()["error"]
            overlay = site.get(f"jobs/{job.id}/film.png?withdrawn=1")
            assert overlay.content == site.get(f"jobs/{job.id}/film.png?source=1").content
        store.release_withheld(store.now() + timedelta(hours=25))
    with pytest.raises(IllegalTransition, match="withdrawn"):
        store.retry(recalled.id, "ann")
    (listed,) = (each for each in store.jobs() if each.id == recalled.id)
    assert listed.hides_draft
    assert SENTENCE in site.get(f"studies/{sent.study_instance_uid}").text


def test_no_alert_of_drift_leads_to_a_withheld_draft(site, seeder):
    """It is a case because of what it states; the others keep their numbers."""
    hidden, shown = withhold(site, seeder, 1), seeder.drafted(2)
    now = site.store.now()
    alert = DriftAlert(
        chart="edema-rise",
        title="Edema",
        level=Level.NOTICE,
        words="More often.",
        first=now,
        last=now,
        n=2,
        subgroup="",
        changes=(),
        cases=(hidden.id, shown.id),
        opened_at=now,
    )
    assert case_links(site.store, alert) == [(f"jobs/{shown.id}", "case 2")]


def test_a_withheld_draft_takes_no_decision(site, seeder):
    """The obstacle names the cause."""
    job = withhold(site, seeder, 1)
    answer = site.get(f"api/jobs/{job.id}/review")
    assert answer.status_code == 404
    assert "withheld" in answer.json()["error"]


def test_acceptability_shows_both_groups(make_site, seeder_of):
    """Agreement where the draft was withheld beside agreement where it could be seen, with numbers."""
    site = make_site(monitor={"withhold": 0.05})
    seeder = seeder_of(site)
    assert "Drafts of 5 % of the studies" in site.get("monitor/acceptability").text
    hidden, seen = withhold(site, seeder, 1), seeder.completed(2)
    report_on(site, hidden)
    site.store.release_withheld(site.store.now())
    urgent = seeder.completed(3)  # never withheld, and so in neither group
    for job, agrees in ((hidden, False), (seen, True), (urgent, True)):
        events = {drafted_event(Observation.EDEMA): True, reported_event(Observation.EDEMA): agrees}
        events |= {drafted_event(Observation.PNEUMOTHORAX): job is urgent}
        now = site.store.now()
        site.store.record_monitor_rows(
            [
                MonitorRow(
                    kind=RowKind.FINAL,
                    source_id=job.id,
                    job_id=job.id,
                    study_uid=job.study_instance_uid,
                    at=now,
                    day=f"{now.astimezone():%Y-%m-%d}",
                    events=events,
                )
            ]
        )
    page = site.get("monitor/acceptability").text
    assert "Draft was withheld" in page
    row = page[page.index("Draft was withheld") :]
    row = row[row.index("edema") :].partition("</tr>")[0]
    assert row.index("0.00") < row.index("1.00")
    assert row.count("n = 1") == 2


def test_a_report_on_a_draft_that_is_still_withheld_is_compared_with_it(site, seeder):
    """The row of the report is made once, often before the sweeper releases the draft."""
    job = withhold(site, seeder, 1)
    assert [each.job.draft is None for each in site.store.readings_to_record()] == [False]
    report_on(site, job)
    assert site.store.record_final_reports(lambda at: f"{at:%Y-%m-%d}") == 1
    (row,) = site.store.monitor_rows("2000-01-01")
    assert reported_event(Observation.EDEMA) in row.events


def test_the_share_is_chosen_by_key_and_stays_for_a_study(site):
    """Of 20,000 studies 5 % within chance; another key selects others; each again the same."""
    uids = [f"1.2.{number}" for number in range(20_000)]
    key = site.store.withholding_key()
    assert key == site.store.withholding_key()
    assert len(key) == 32
    chosen = {uid for uid in uids if is_chosen(uid, key, 0.05)}
    assert abs(len(chosen) - 1000) < 4 * (20_000 * 0.05 * 0.95) ** 0.5
    assert chosen == {uid for uid in uids if is_chosen(uid, key, 0.05)}
    assert chosen < {uid for uid in uids if is_chosen(uid, key, 0.1)}
    other = {uid for uid in uids if is_chosen(uid, b"other", 0.05)}
    assert len(chosen & other) < 100
    assert not any(is_chosen(uid, key, 0.0) for uid in uids[:100])


def test_canceled_and_tried_again_it_is_sent_to_all_its_destinations(site, seeder):
    """Before the sweeper saw the cancellation, and after; without a destination it is complete."""
    store, names = site.store, ("orthanc", "archive")
    early, late = (withhold(site, seeder, number, destinations=names) for number in (1, 2))
    alone = withhold(site, seeder, 3, destinations=())
    for job in (early, late, alone):
        store.cancel(job.id, "ann")
    store.retry(early.id, "ann")
    assert store.release_withheld(store.now()) == 3
    store.retry(late.id, "ann")
    store.retry(alone.id, "ann")
    for job in (early, late):
        assert {each.destination for each in store.deliveries(job.id)} == set(names)
    assert store.job(alone.id).state is JobState.COMPLETED


def test_sent_to_one_destination_by_a_person_it_is_released_to_all(site, seeder):
    """None of its destinations may lack the draft once it is shown."""
    store, names = site.store, ("orthanc", "archive")
    job = withhold(site, seeder, 1, destinations=names)
    store.resend(job.id, "ann", to=["orthanc"])
    assert {each.destination for each in store.deliveries(job.id)} == set(names)
    assert store.release_withheld(store.now()) == 1
    assert len(store.deliveries(job.id)) == 2


def test_a_doubt_that_came_meanwhile_is_announced_after_the_release(site, seeder):
    """The conflict is compared again, so that the destinations get the notice behind the draft."""
    store = site.store
    job = withhold(site, seeder, 1)
    [image] = store.spooled(job.study_instance_uid)
    other = replace(image, digest="f" * 64, path=image.path.with_name("other.dcm"))
    other.path.write_bytes(b"other")
    store.add_instance(other, calling_ae="M", association_id="B", eligible=True)
    [conflict] = store.conflicts_to_compare()
    assert [each.id for each in store.compared(conflict, "Patient ID")] == [job.id]
    assert store.notices(job.id) == []
    store.release_draft(job.id, "ann")
    [again] = store.conflicts_to_compare()
    store.compared(again, "Patient ID")
    assert [each.destination for each in store.notices(job.id)] == ["orthanc"]


def test_a_later_revision_knows_the_withheld_draft_and_extends_no_time_limit(site, seeder):
    """The worker sees what was read; what replaces a withheld draft is released no later."""
    store = site.store
    first = withhold(site, seeder, 1)
    later = store.schedule(
        first.study_instance_uid,
        model=first.model_name,
        version=first.model_version,
        actor="t",
        reason="New.",
        force=True,
    )
    assert store.previous_draft(later.id).draft is not None
    held, until = seeder.claim(later), store.now() + timedelta(hours=48)
    report, result = seeder.draft_of(held), seeder.result_object(held)
    drafted = store.draft(held.id, held.fence, report, [result], ["orthanc"], until)
    assert drafted.is_withheld
    assert store.release_withheld(store.now() + timedelta(hours=25)) == 2
    assert not store.job(later.id).is_withheld
    assert store.job(first.id).state is JobState.CANCELED


def test_many_that_are_not_due_delay_no_other(site, seeder):
    """An urgent one behind more than the limit is released by the next call."""
    store = site.store
    *_, last = [withhold(site, seeder, number) for number in range(1, 4)]
    store.make_urgent(last.id, "ann")
    assert store.release_withheld(store.now(), limit=1) == 1
    assert not store.job(last.id).is_withheld


def test_a_draft_that_was_shown_after_its_cancellation_and_then_recalled_stays_visible(
    site, seeder
):
    """Without a destination, too: a person saw it, so the page must tell that it was withdrawn."""
    store = site.store
    jobs = [withhold(site, seeder, number, destinations=()) for number in (1, 2)]
    for job in jobs:
        store.cancel(job.id, "ann")
    store.retry(jobs[0].id, "ann")  # before the sweeper has seen the cancellation, and after
    assert store.release_withheld(store.now()) == 2
    store.retry(jobs[1].id, "ann")
    for job in jobs:
        assert SENTENCE in site.get(f"studies/{job.study_instance_uid}").text
        store.withdraw(job.id, "ann", "It errs.")
        found = store.job(job.id)
        assert (found.draft_status, found.never_shown) == (DraftStatus.WITHDRAWN, False)
        assert found.draft.findings_text
        (listed,) = store.jobs(study=job.study_instance_uid)
        assert not listed.hides_draft


@pytest.mark.parametrize("destinations", [(), ("orthanc",)])
def test_what_is_read_after_a_withdrawn_withheld_draft_is_withheld_too(site, seeder, destinations):
    """Nobody has seen a draft of the study, whether the reading began before the withdrawal or after."""
    store = site.store
    first, second = (withhold(site, seeder, number, destinations=destinations) for number in (1, 2))

    def begun(job):
        again = {"model": job.model_name, "version": job.model_version, "force": True}
        later = store.schedule(job.study_instance_uid, actor="t", reason="New.", **again)
        return seeder.claim(later)

    before = begun(first)
    for job in (first, second):
        store.withdraw(job.id, "ann", "It errs.")
    for held in (before, begun(second)):
        until = store.now() + timedelta(hours=24)
        report, result = seeder.draft_of(held), seeder.result_object(held)
        drafted = store.draft(held.id, held.fence, report, [result], destinations, until)
        assert drafted.is_withheld
        assert drafted.supersedes is None
