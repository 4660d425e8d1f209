"""The change log: what changed, when and by whom; what is not recorded is named."""

from service.quality.change_log import change_log


def test_changes_are_in_order_with_time_and_person(inputs):
    """Reasons that people typed are left out; a change without a person says so."""
    found = change_log(inputs)
    lines = [(each["what"], each["by"]) for each in found.values]
    assert lines[0][1] is None
    assert [what for what, _ in lines] == [
        "model loaded",
        "settings",
        "version of Wetread",
        "reference period accepted",
        "drafting stopped",
        "drafting started",
        "drafts withdrawn",
        "model for new studies",
        "version of Wetread",
    ]
    by = dict(lines)
    assert by["drafting stopped"] == by["drafting started"] == "kim (web page)"
    assert by["drafts withdrawn"] == "lee (command line)"
    detail = {each["what"]: each["detail"] for each in found.values}
    assert detail["model loaded"] == "demo 1 aaaaaaaa"
    assert detail["drafts withdrawn"].startswith("1 of demo 1, until 2026-03-01")
    assert detail["settings"] == "digest one"
    assert any("person who made the change" in each for each in found.not_recorded)
    in_force = {row[0]: row[1:] for row in found.sections[0].tables[0].rows}
    assert in_force["version of Wetread"] == ("–", "Wetread 1.0")
