"""The pages of drift and acceptability."""

import re
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from dicom.content.report import CODED_OBSERVATIONS, Observation
from service.accounts import Role
from service.drift.agreement import agreement_of, shown_kappa
from service.drift.rows import Category, MonitorRow, RowKind
from service.drift.streams import (
    WORDS,
    disagreement_stream,
    drafted_event,
    finding_stream,
    reported_event,
)
from service.records.hl7 import MessageResult
from service.sweeper.drift import DriftMonitor, local_day

EDEMA = finding_stream(Observation.EDEMA)


def rows_of(first: date, days: int, rate: float, seed: int) -> list[MonitorRow]:
    """Return readings and final reports of this many days, 40 a day."""
    generator, rows = np.random.default_rng(seed), []
    for number in range(days):
        day = first + timedelta(days=number)
        for place, event in enumerate(generator.random(40) < rate):
            identifier = f"{seed:02d}{day:%m%d}{place:04d}"
            at = datetime(day.year, day.month, day.day, 8, tzinfo=UTC) + timedelta(minutes=place)
            common = {
                "job_id": identifier,
                "study_uid": "1.2.3",
                "day": day.isoformat(),
                "categories": {Category.DEVICE: "ACME <DR>", Category.MODEL: "demo 1"},
            }
            reported = bool(event) is (generator.random() < 0.9)
            rows += [
                MonitorRow(
                    kind=RowKind.READING,
                    source_id=identifier,
                    at=at,
                    events={EDEMA: bool(event)},
                    numbers={WORDS: float(generator.normal(50, 9))},
                    **common,
                ),
                MonitorRow(
                    kind=RowKind.FINAL,
                    source_id=f"f{identifier}",
                    at=at,
                    events={
                        drafted_event(Observation.EDEMA): bool(event),
                        reported_event(Observation.EDEMA): reported,
                        disagreement_stream(Observation.EDEMA): bool(event) != reported,
                    },
                    **common,
                ),
            ]
    return rows


@pytest.fixture
def filled(site):
    """Return a site with 40 days of rows, and first and last day of a reference."""
    today = date.fromisoformat(local_day(site.store.now()))
    begin = today - timedelta(days=39)
    changed = begin + timedelta(days=30)
    site.store.record_monitor_rows(rows_of(begin, 30, 0.1, 1) + rows_of(changed, 9, 0.6, 2))
    DriftMonitor(site.store).compute_due()
    return site, begin.isoformat(), (begin + timedelta(days=19)).isoformat()


def test_from_no_reference_to_an_acknowledged_alert(filled, make_site):
    """A person accepts and acknowledges; both are audited; the radiologist can only read."""
    del make_site
    site, first, last = filled
    page = site.get("/monitor").text
    assert "No reference period accepted yet" in page
    assert "<svg" in page
    assert "ACME <DR>" not in page
    refused = site.post("/monitor/reference", data={"first": first, "last": first})
    assert (refused.status_code, "500 are needed" in refused.text) == (400, True)
    for form in ({"first": "x", "last": last}, {"first": last, "last": first}):
        assert site.post("/monitor/reference", data=form).status_code == 400
    accepted = site.post("/monitor/reference", data={"first": first, "last": last})
    assert accepted.status_code == 303
    DriftMonitor(site.store).compute_due()
    page = site.get("/monitor").text
    assert "No reference period accepted yet" not in page
    assert "Drafts with edema: more often" in page
    alert = next(each for each in site.store.drift_alerts() if each.chart == f"{EDEMA}-rise")
    for case in alert.cases:
        assert f'href="./jobs/{case}"' in page
    assert "wetread_monitor_alerts{" in site.get("/metrics").text
    assert "Drafts with edema: more often" in site.get("/").text
    done = site.post(f"/monitor/alerts/{alert.id}/acknowledge", data={"note": "<b>new</b> ward"})
    assert done.status_code == 303
    page = site.get("/monitor").text
    assert "&lt;b&gt;new&lt;/b&gt; ward" in page
    assert site.post("/monitor/alerts/99/acknowledge").status_code == 404
    assert site.post("/monitor/alerts/x/acknowledge").status_code == 404
    actions = [record.event.action.value for record in site.store.whole_audit()]
    assert "accepted a reference period" in actions
    assert "acknowledged an alert" in actions


def test_hl7_messages_are_counted_by_result(site):
    """Results are told apart although one has a comma; a refusal states when the last one was."""
    assert "HL7 messages" not in site.get("/monitor").text
    site.store.add_hl7_messages(
        {MessageResult.TAKEN: 1234, MessageResult.PRELIMINARY: 40, MessageResult.REFUSED: 2}
    )
    html = site.get("/monitor").text
    (line,) = re.findall(r'<p[^>]* id="hl7">(.*?)</p>', html)
    shown = re.sub(r"<time[^>]*>[^<]*</time>", "TIME", line)
    assert shown == (
        "HL7 messages: 1,234 taken; 40 preliminary, not used; 2 refused (the last one TIME). "
        "The last message came TIME."
    )


def test_agreement_with_final_reports(filled):
    """Counts, kappa with its interval, AC1; an empty finding has no figure."""
    site, first, _ = filled
    page = site.get("/monitor/acceptability", params={"since": first}).text
    assert "No draft was rated in this period." in page
    found = {each.observation: each for each in agreement_of(site.store.monitor_rows(first))}
    edema = found[Observation.EDEMA]
    assert sum(edema.table) == 39 * 40
    assert edema.interval.low < edema.kappa < edema.interval.high
    assert shown_kappa(edema) in page
    empty = found[CODED_OBSERVATIONS[0]]
    assert empty.observed.n == 0
    assert "undefined" in shown_kappa(empty)


def test_readers_are_shown_only_where_it_is_allowed(make_site, cookie_of):
    """Admins by configuration; a radiologist the own figures; others have no page."""
    for show in (False, True):
        site = make_site(monitor={"show_readers": show})
        cookies = {role: cookie_of(site.store, role, login=role.value) for role in Role}

        def asked(role, cookies=cookies, site=site):
            answer = site.get("/monitor/acceptability?by=reader", as_=cookies[role])
            return answer.status_code, "your own decisions" in answer.text

        assert asked(Role.ADMIN) == ((200, False) if show else (403, False))
        assert asked(Role.RADIOLOGIST) == (200, True)
        assert asked(Role.VIEWER)[0] == 403
        assert site.get("/monitor", as_=cookies[Role.VIEWER]).status_code == 403
        assert site.post("/monitor/reference", as_=cookies[Role.RADIOLOGIST]).status_code == 403
