"""The page of evaluations: figures with n, files in a sandbox, and nothing outside the folders."""

import json

import pytest

from service.accounts import Role
from service.assessment.metrics import metrics_of
from service.assessment.study_rows import rows_csv
from service.evaluation.metrics_json import metrics_json
from tests.service.assessment.rows import make_rows

PROBE = "<html><body>report<script>parent.document.title='read'</script></body></html>"


@pytest.fixture(scope="module")
def filled(make_module_site, tmp_path_factory):
    """A site whose two folders hold an evaluation, one without figures, and a document."""
    tmp_path = tmp_path_factory.mktemp("folders")
    evaluations, papers = tmp_path / "evaluations", tmp_path / "papers"
    spring = evaluations / "spring <2026>"
    spring.mkdir(parents=True)
    rows = make_rows(1, n=40, wrong=0.05)
    metrics = metrics_of(rows, {}, seed=0, truth_without_study=0, draws=50)
    (spring / "per_study.csv").write_text(rows_csv(rows))
    (spring / "metrics.json").write_text(metrics_json(metrics))
    manifest = {"model": {"name": "Tiny", "version": "7"}, "started": "2026-03-05T10:00:00+00:00"}
    (spring / "manifest.json").write_text(json.dumps(manifest))
    (spring / "report.html").write_text(PROBE)
    (evaluations / "broken").mkdir()
    (evaluations / "secret.txt").write_text("secret")
    (evaluations / "link").symlink_to(tmp_path)
    march = papers / "2026-03"
    march.mkdir(parents=True)
    (march / "surveillance.html").write_text(PROBE)
    (march / "surveillance.json").write_text("{}")
    (tmp_path / "outside.html").write_text("secret")
    (march / "outside.html").symlink_to(tmp_path / "outside.html")
    return make_module_site(monitor={"evaluations": evaluations, "quality_documents": papers})


def test_evaluations_are_listed_with_flow_figures_and_n(filled):
    """One that cannot be read states why; documents are linked."""
    html = filled.get("evaluations").text
    assert "spring &lt;2026&gt;" in html
    assert "received 40 → readable 40" in html
    assert "n = 40" in html
    assert "Tiny 7" in html
    assert "No figures: manifest.json: No such file or directory" in html
    assert 'quality-documents/2026-03/surveillance"' in html
    assert "outside" not in html
    assert "secret" not in html
    assert ">link<" not in html


def test_files_are_served_in_a_sandbox_without_script_and_audited(filled):
    """The policy of our pages, which permits our scripts, does not apply to them."""
    for path in (
        "evaluations/spring%20%3C2026%3E/report",
        "quality-documents/2026-03/surveillance",
    ):
        answer = filled.get(path)
        assert (answer.status_code, answer.text) == (200, PROBE)
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox; default-src 'none';")
        assert "script-src" not in policy
        assert "allow-scripts" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    details = [record.event.detail for record in filled.store.whole_audit()]
    assert "evaluation spring <2026>" in details
    assert "quality document 2026-03 surveillance" in details
    assert "script-src 'self'" in filled.get("evaluations").headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "evaluations/broken/report",
        "evaluations/link/report",
        "evaluations/..%2Fpapers/report",
        "evaluations/%2e%2e/report",
        "evaluations/secret.txt/report",
        "quality-documents/2026-03/outside",
        "quality-documents/2026-03/..%2F..%2Foutside",
        "quality-documents/..%2Fevaluations/report",
        "quality-documents/2026-03/surveillance.json",
    ],
)
def test_nothing_else_is_served(filled, path):
    """No other file, no other folder, no link."""
    answer = filled.get(path)
    assert answer.status_code in (400, 404)
    assert "secret" not in answer.text


def test_without_folders_the_page_says_which_settings_to_set(site):
    """An empty page would not tell."""
    html = site.get("evaluations").text
    assert "monitor.evaluations" in html
    assert "monitor.quality_documents" in html


def test_only_admins_see_the_page_and_its_tab(filled, cookie_of):
    """A radiologist neither."""
    assert 'href="../evaluations"' in filled.get("monitor/acceptability").text
    cookie = cookie_of(filled.store, Role.RADIOLOGIST, login="ray")
    assert filled.get("evaluations", as_=cookie).status_code == 403
    assert "evaluations" not in filled.get("monitor/acceptability", as_=cookie).text
