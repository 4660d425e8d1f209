"""Every module has a test: a file of its name in the mirrored folder, or one that is known to run it.

`service/store/doubts.py` is tested by `tests/service/store/test_doubts.py`. A module without such a file
must be imported by a test file, or stand in `TESTED_THROUGH`.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("dicom", "service", "workers")

# By module or folder (that of the longest name counts): the test file that runs what no test imports.
# It must import these modules, by itself or through others, or name the module: a subcommand is run by
# its name.
TESTED_THROUGH = {
    "dicom.archives": "service/reconcile/test_reconciliation.py",
    "dicom.decoding": "dicom/decoding/test_pool.py",
    "dicom.phantom": "dicom/phantom/test_phantom.py",
    "dicom.scp": "dicom/scp/test_storage_scp.py",
    "dicom.scp.fast_path": "dicom/scp/fast_path/test_fast_association.py",
    "service.assessment.judged": "workers/evaluation/test_judging.py",
    "service.checks": "service/commands/test_check.py",
    "service.commands": "end_to_end/test_commands.py",
    "service.commands.audit": "service/web/test_audit_page.py",
    "service.commands.processes": "end_to_end/conftest.py",
    "service.commands.reconcile": "end_to_end/test_reconcile.py",
    "service.database": "service/database/test_schema.py",
    "service.evaluation": "service/web/monitor/test_pages.py",
    "service.hl7": "service/hl7/test_connection.py",
    "service.final_reports.oru_text": "service/final_reports/test_oru.py",
    "service.monitoring": "service/web/test_server.py",
    "service.quality": "service/quality/test_files.py",
    "service.queue": "service/queue/test_job_queue.py",
    "service.reconcile": "service/reconcile/test_reconciliation.py",
    "service.records": "service/web/test_pages.py",
    "service.review": "service/store/review/test_decisions.py",
    "service.settings": "service/settings/test_error_messages.py",
    "service.settings.digests": "service/quality/test_configuration.py",
    "service.settings.keys": "service/settings/test_reference.py",
    "service.store": "service/store/test_queries.py",
    "service.store.review": "service/store/review/test_decisions.py",
    "service.store.statements": "service/store/statements/test_compiled.py",
    "service.support": "service/commands/test_support_bundle.py",
    "service.sweeper": "service/sweeper/test_drift.py",
    "service.system": "service/commands/test_check.py",
    "service.web": "service/web/test_pages.py",
    "workers.commands": "end_to_end/test_commands.py",
    "workers.commands.worker": "end_to_end/test_signals.py",
    "workers.delivery": "workers/delivery/test_delivering.py",
    "workers.evaluation": "workers/evaluation/test_evaluate.py",
    "workers.judge": "workers/commands/test_judge.py",
    "workers.labeller": "workers/labeller/test_report_sentences.py",
    "workers.model": "workers/model/test_placement.py",
    "workers.model.automodel": "workers/model/automodel/test_batches.py",
    "workers.model.checkpoints": "workers/model/checkpoints/test_registry.py",
    "workers.model.engine": "workers/model/engine/test_engine.py",
    "workers.model.golden": "workers/model/golden/test_parity.py",
    "workers.model.networks.resnet": "workers/model/checkpoints/test_cxr_llava_v1.py",
    "workers.model.networks": "workers/model/golden/test_parity.py",
    "workers.model.profiles": "workers/model/profiles/test_profile.py",
    "workers.model.servers": "workers/model/servers/test_served_model.py",
    "workers.reading": "workers/reading/test_vectors.py",
    "workers.training": "workers/training/test_stages.py",
}


def module_name(path: Path) -> str:
    """Return the name of the module in a file; a package has that of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def files() -> dict[str, Path]:
    """Return every module of the packages and of the tests, by its name."""
    found = (path for top in (*PACKAGES, "tests") for path in (ROOT / top).rglob("*.py"))
    return {module_name(path): path for path in found}


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the modules of ours that a file imports anywhere, or names whole to import them late."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value.partition(":")[0])
    return frozenset(names & files().keys())


@cache
def reached(test: Path) -> frozenset[str]:
    """Return the modules that a test file and its conftests import, by themselves or through others."""
    conftests = (folder / "conftest.py" for folder in test.parents if folder.is_relative_to(ROOT))
    waiting = [name for each in (test, *conftests) if each.exists() for name in imports(each)]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imports(files()[name])
    return frozenset(found)


def modules() -> list[str]:
    """Return every module that needs a test."""
    return sorted(
        name
        for name, path in files().items()
        if name.partition(".")[0] in PACKAGES and path.name not in {"__init__.py", "__main__.py"}
    )


def has_own_test(module: str) -> bool:
    """Return whether the mirrored folder has a test file of the module's name."""
    path = files()[module].relative_to(ROOT)
    return (ROOT / "tests" / path.parent / f"test_{path.stem.lstrip('_')}.py").exists()


def entry(module: str) -> str:
    """Return the test file that runs a module by the table, or ""."""
    parts = module.split(".")
    places = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    return next((TESTED_THROUGH[place] for place in places if place in TESTED_THROUGH), "")


def is_run_by(module: str, test: Path) -> bool:
    """Return whether a test file imports the module, or names it as a subcommand."""
    command = module.rpartition(".")[2].replace("_", "-")
    return module in reached(test) or f'"{command}"' in test.read_text()


def test_every_module_has_a_test():
    """One of its own, one that imports it, or one in the table."""
    tests = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    imported = {name for path in tests for name in imports(path)}
    without = [
        module
        for module in modules()
        if not has_own_test(module)
        and module not in imported
        and not (entry(module) and is_run_by(module, ROOT / "tests" / entry(module)))
    ]
    assert not without, (
        "no test is known to run these modules: add tests/…/test_<module>.py, or name the test file "
        f"that runs them in TESTED_THROUGH of tests/test_mirror.py: {without}"
    )


@pytest.mark.parametrize("place", sorted(TESTED_THROUGH))
def test_the_table_names_what_exists(place):
    """A module or a folder, and a test file."""
    path = ROOT.joinpath(*place.split("."))
    assert path.is_dir() or path.with_suffix(".py").exists()
    assert (ROOT / "tests" / TESTED_THROUGH[place]).exists()


def test_most_modules_have_a_test_of_their_name():
    """Three of five at least; the others are small, or run as a part of a whole."""
    own = [module for module in modules() if has_own_test(module)]
    assert len(own) >= 0.55 * len(modules())
