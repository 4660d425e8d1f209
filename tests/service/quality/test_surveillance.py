"""The surveillance report: volume, performance, drift, incidents, acknowledgments, actions."""

from dataclasses import replace
from datetime import date

from service.quality.period import Period
from service.quality.surveillance import surveillance


def rows_of(document, caption):
    """Return the rows of the table with this caption."""
    (table,) = [
        table
        for section in document.sections
        for table in section.tables
        if table.caption == caption
    ]
    return table.rows


def test_figures_have_their_number_and_interval(inputs):
    """Three studies, two decisions, two final reports of which one disagrees."""
    found = surveillance(inputs)
    values = found.values
    assert values["volume"]["studies_received"] == 3
    assert values["volume"]["studies"] == {"drafted": 2, "withdrawn": 1}
    # All hours but the one of the readings: the sweeper of this site was not running.
    assert any(each.startswith("not recorded: figures of 73") for each in found.not_recorded)
    (decided,) = values["performance"]["decisions"]["all"]
    assert (decided["n"], decided["acceptable"]["n"]) == (2, 2)
    (row,) = rows_of(found, "All decisions that stand")
    assert "(0.34 to 1.00)" in row[2].replace("\N{NO-BREAK SPACE}", " ")
    edema = next(row for row in rows_of(found, "Drafts against final reports") if row[0] == "edema")
    assert edema[1:5] == ("0", "1", "0", "1")
    assert edema[6] == "1 of 2"
    assert values["performance"]["final_reports_compared"] == 2


def test_alerts_state_who_acknowledged_them_and_when(inputs):
    """Of incidents and of drift; the note that a person typed is not shown."""
    found = surveillance(inputs)
    ((title, _, _, words, acknowledged, note),) = rows_of(found, "Drift alerts open in the period")
    assert (title, words) == ("Share of edema", "It rose from 2 % to 9 %. The settings changed.")
    assert acknowledged.startswith("lee (web page), 2026-03-01")
    assert note.startswith("recorded, not included")
    ((name, about, level, _, count, by, ended),) = rows_of(found, "Alerts open in the period")
    assert (name, about, level, count, ended) == (
        "Results do not reach a destination", "archive", "alarm", "1", "–",
    )  # fmt: skip
    assert by.startswith("lee (web page), 2026-03-01")
    assert found.values["incidents"] == {"destination_away": 1}
    done = {(each["action"], each["by"]): each["count"] for each in found.values["actions"]}
    assert done[("stopped drafting", "kim (web page)")] == 1
    assert done[("recalled", "kim (web page)")] == 1
    assert ("viewed", "kim (web page)") not in done


def test_a_month_without_anything_states_what_is_not_recorded(inputs):
    """No empty cell stands for an unknown value."""
    found = surveillance(replace(inputs, period=Period(date(2026, 1, 1), date(2026, 1, 31))))
    assert found.values["volume"]["studies_received"] == 0
    missing = " ".join(found.not_recorded)
    for words in ("decisions of radiologists", "final reports", "reference period", "end-to-end"):
        assert words in missing


def test_figures_of_whole_hours_are_stated_where_the_day_begins_within_one(inputs, in_zone):
    """India: the day begins at 18:30 UTC, and hours are counted from 19:00."""
    assert "Figures of whole hours (UTC)" not in dict(surveillance(inputs).sections[0].facts)
    in_zone("Asia/Kolkata")
    stated = dict(surveillance(inputs).sections[0].facts)["Figures of whole hours (UTC)"]
    assert stated == "2026-03-01 00:30 +0530 to 2026-04-01 00:30 +0530"


def test_checks_of_an_older_period_are_no_count_of_it(inputs, monkeypatch):
    """Their records are kept for 30 days: in April some of March are gone."""
    monkeypatch.setattr(type(inputs.store), "probe_outcomes", lambda *_: {"passed": 3})
    (sentence,) = incident_section(inputs).sentences
    assert sentence.startswith("End-to-end checks whose records are still here: 3 passed.")
    assert "no count of the whole period" in sentence
    recent = replace(inputs, period=Period(date(2026, 3, 20), date(2026, 3, 31)))
    assert incident_section(recent).sentences == ("End-to-end checks: 3 passed.",)


def incident_section(inputs):
    """Return the section on incidents."""
    return next(each for each in surveillance(inputs).sections if "Incidents" in each.title)
