import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import pytest
import yaml

from dicom.destinations.orthanc import OrthancDestination
from service.cli import wetread
from service.settings.config import Settings, load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SECRETS = {
    name: f"secret-{name.lower()}"
    for name in ("POSTGRES_PASSWORD", "ORTHANC_PASSWORD", "WEB_PASSWORD")
}


def _dockerfile() -> list[str]:
    """Return the instructions, continuation lines joined, comments left out."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _stages() -> dict[str, tuple[str, list[str]]]:
    """Return (parent, instructions) of each build stage."""
    stages: dict[str, tuple[str, list[str]]] = {}
    current: list[str] = []
    for line in _dockerfile():
        start = re.fullmatch(r"FROM (\S+) AS (\S+)", line)
        if start:
            current = []
            stages[start[2]] = (start[1], current)
        else:
            current.append(line)
    return stages


def _lineage(target: str) -> list[str]:
    """Return every instruction that a target is made of, its parents' first."""
    stages = _stages()
    parent, own = stages[target]
    return [*(_lineage(parent) if parent in stages else []), *own]


def _compose() -> dict:
    """Return compose.yaml with its variables filled in as compose would."""
    text = (DEPLOY / "compose.yaml").read_text()

    def value(match: re.Match) -> str:
        name, default = match["name"], match["default"]
        return default if default is not None else SECRETS[name]

    filled = re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*)|:\?[^}]*)\}", value, text)
    assert "$" not in filled
    return yaml.safe_load(filled)


def _ours() -> dict[str, dict]:
    services = _compose()["services"]
    return {name: each for name, each in services.items() if each["image"].startswith("wetread")}


def _parsed(arguments: list[str]) -> str:
    """Return the subcommand that `wetread WORDS` runs; fail unless it takes these options and values."""
    command: click.Command = wetread
    rest = list(arguments)
    while isinstance(command, click.Group):
        _, found, rest = command.resolve_command(click.Context(command), rest)
        assert found is not None
        command = found
    command.make_context("wetread", rest)
    assert command.name is not None
    return command.name


@pytest.mark.parametrize("name", list(_ours()))
def test_each_service_runs_a_real_subcommand(name):
    """What compose starts is a subcommand with options that exist."""
    command = _ours()[name]["command"]
    assert _parsed(command) in command


def test_the_services_are_all_parts_of_the_machine():
    """Nothing that `wetread up` would run is left out."""
    commands = {tuple(each["command"]) for each in _ours().values()}
    assert commands == {
        ("db", "upgrade"),
        ("receive",),
        ("receive-web",),
        ("receive-hl7",),
        ("sweep",),
        ("web",),
        ("reconcile", "--watch"),
        ("worker", "--queues", "reading"),
        ("worker", "--queues", "delivery"),
    }


@pytest.mark.parametrize("name", list(_ours()))
def test_each_service_has_settings_that_are_valid(name, monkeypatch):
    """The environment of each service and the example file together are valid settings."""
    for variable in [name for name in os.environ if name.startswith("WETREAD_")]:
        monkeypatch.delenv(variable)
    image = {
        key: word
        for line in _lineage(_ours()[name]["build"]["target"])
        if line.startswith("ENV ")
        for key, _, word in (part.partition("=") for part in line.removeprefix("ENV ").split())
        if key.startswith("WETREAD_")
    }
    environment = {**image, **_ours()[name]["environment"]}
    assert environment.pop("WETREAD_CONFIG") == "/etc/wetread/wetread.toml"
    for key, word in environment.items():
        monkeypatch.setenv(key, word)
    settings = load_settings(DEPLOY / "wetread.example.toml")
    assert settings.database_url.startswith(
        "postgresql+psycopg://wetread:secret-postgres_password@"
    )
    assert [each.kind for each in settings.destinations] == ["orthanc"]
    assert str(settings.data_dir) == "/var/lib/wetread"
    assert settings.web.password.get_secret_value() == SECRETS["WEB_PASSWORD"]


def test_the_health_check_of_the_receiver_may_send():
    """The AE title of the health check within the container is a configured calling AE."""
    settings = load_settings(DEPLOY / "wetread.example.toml")
    own = settings.caller(settings.receiver.ae_title)
    assert own is not None
    assert own.may_come_from("127.0.0.1")
    (peer,) = [word for word in _ours()["receive"]["healthcheck"]["test"] if "@" in word]
    assert peer == f"{settings.receiver.ae_title}@127.0.0.1:{settings.receiver.port}"
    assert _ours()["receive"]["ports"] == [f"{settings.receiver.port}:{settings.receiver.port}"]


def test_the_token_endpoint_is_where_compose_states():
    """STOW-RS comes up by its profile only, on the port that its settings and its probe name."""
    endpoint = _ours()["receive-web"]
    port = endpoint["environment"]["WETREAD_STOW__PORT"]
    assert endpoint["profiles"] == ["stow"]
    assert endpoint["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f":{port}/healthz" in endpoint["healthcheck"]["test"][-1]
    assert [name for name, each in _ours().items() if "profiles" in each] == [
        "receive-web",
        "receive-hl7",
        "reconcile",
    ]


def test_no_service_needs_more_than_it_must():
    """Each of ours runs without capabilities, on a read-only root, and holds no secret in the file."""
    for each in _ours().values():
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]
    example = (DEPLOY / "wetread.env.example").read_text()
    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == set(SECRETS)


def test_each_target_of_compose_is_in_the_dockerfile():
    """The targets that compose and the example environment name are stages of an unprivileged user."""
    named = {each["build"]["target"] for each in _ours().values()} | {"worker-cuda"}
    assert named == {"front", "worker-cpu", "worker-cuda"}
    for target in named:
        lines = _lineage(target)
        assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
        assert any(line.startswith("HEALTHCHECK") for line in lines)
        assert 'ENTRYPOINT ["wetread"]' in lines


def test_the_user_of_the_images_owns_the_data_folder():
    """User, group and owner of the data folder are the same numbers, not names."""
    lines = _lineage("front")
    (made,) = [line for line in lines if "useradd" in line]
    assert re.findall(r"--[ug]id (\d+)", made) == ["10001", "10001", "10001"]
    (folder,) = [line for line in lines if "install --directory" in line]
    assert "--owner 10001 --group 10001" in folder


def test_the_front_target_has_no_torch():
    """The front installs no extra, and no dependency of the base brings torch."""
    (install,) = [line for line in _lineage("front") if "pip install" in line]
    assert "[" not in install
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    packages = {re.split(r"[\[<>=! ]", each)[0] for each in project["dependencies"]}
    assert not packages & {"torch", "transformers", "safetensors", "sentencepiece"}
    names = {re.split(r"[\[<>=! ]", each)[0] for each in project["optional-dependencies"]["worker"]}
    assert "torch" in names


def test_what_the_front_runs_starts_without_torch():
    """The delivery worker and the destinations load nothing that the front image lacks."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'safetensors']));"
        "import workers.commands.worker, workers.delivery.delivering, "
        "service.settings.destination_factory"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_image_can_join_letters():
    """Both images that draw names have FriBiDi, without it Arabic names become a sentence."""
    for target in {each["build"]["target"] for each in _ours().values()}:
        assert any("apt-get install" in line and "libfribidi0" in line for line in _lineage(target))


def test_every_installation_is_held_to_the_constraints():
    """No image is built from versions that were never tested."""
    for line in _dockerfile():
        if "pip install" in line:
            assert "--constraint constraints.txt" in line


def test_the_commands_of_the_images_exist():
    """CMD and HEALTHCHECK name subcommands that exist."""
    lines = [
        json.loads(command) for command in re.findall(r"CMD (\[.*\])", "\n".join(_dockerfile()))
    ]
    commands = [[word for word in line if word not in ("wetread", "--help")] for line in lines]
    assert {_parsed(command) for command in commands if command} == {"current", "worker"}


@pytest.mark.slow
def test_what_the_image_is_built_from_is_the_whole_package(tmp_path):
    """The files that the Dockerfile copies make a wheel that holds every module and every asset."""
    pytest.importorskip("setuptools")
    copied = [line.split()[1:-1] for line in _lineage("front") if line.startswith("COPY")]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    tree = tmp_path / "tree"
    tree.mkdir()
    for source in (name for names in copied for name in names):
        assert f"!{source}" in ignored, f".dockerignore keeps {source} from the build"
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, tree / source, ignore=ignore)
        else:
            shutil.copy(ROOT / source, tree / source)
    wheel = _wheel(tree, tmp_path / "wheel")
    packed = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "dicom", "service", "workers", "migrations"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert {name for name in tracked if (ROOT / name).exists()} - packed == set()


def _wheel(tree: Path, folder: Path) -> Path:
    build = [sys.executable, "-m", "pip", "wheel", str(tree), "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--quiet", "--wheel-dir", str(folder)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


class _Unit(configparser.RawConfigParser):
    """A systemd unit; keys may be repeated."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str
        self.read(path)


@pytest.mark.parametrize(
    ("unit", "instances"),
    [
        ("wetread-upgrade.service", [""]),
        ("wetread-reconcile.service", [""]),
        ("wetread-part@.service", ["receive", "receive-web", "receive-hl7", "sweep", "web"]),
        ("wetread-model@.service", ["NAME"]),
        ("wetread-worker@.service", ["reading", "delivery"]),
    ],
)
def test_each_unit_starts_a_real_subcommand(unit, instances):
    """What systemd starts exists, as a user who is not root, and the target requires each instance."""
    path = DEPLOY / "systemd" / unit
    service = _Unit(path)["Service"]
    assert service["User"] == "wetread"
    target = (DEPLOY / "systemd" / "wetread.target").read_text()
    for instance in instances:
        command = service["ExecStart"].replace("%i", instance).split()
        assert command[0] == "/opt/wetread/bin/wetread"
        assert _parsed(command[1:]) in command
        if instance:
            assert unit.replace("@.", f"@{instance}.") in target
    for word in re.findall(r"WETREAD_\w+(?==)", path.read_text()):
        section = word.removeprefix("WETREAD_").lower().split("__")[0]
        assert section == "config" or section in Settings.model_fields


@pytest.mark.parametrize(
    "path", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda one: one.name
)
def test_no_unit_gives_up_while_the_database_is_away(path):
    """Each is started again without end, and none needs that another has succeeded."""
    unit = _Unit(path)
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Restart"] in {"always", "on-failure"}
    assert "Requires" not in unit["Unit"]


def test_orthanc_takes_the_configuration(tmp_path, orthanc_server_class):
    """The PACS of compose starts with its file and admits users with the password."""
    shipped = json.loads((DEPLOY / "orthanc.json").read_text())

    class Shipped(orthanc_server_class):
        def configuration(self):
            own = super().configuration()
            where = {key: own[key] for key in ("StorageDirectory", "IndexDirectory", "Plugins")}
            ports = {"HttpPort": self.port, "DicomPort": self.dicom_port}
            return {**shipped, **where, **ports, "RegisteredUsers": self.users}

    with Shipped(tmp_path, users={"wetread": SECRETS["ORTHANC_PASSWORD"]}) as server:
        OrthancDestination(
            name="pacs", url=server.url, username="wetread", password=SECRETS["ORTHANC_PASSWORD"]
        ).probe()
    assert shipped["OverwriteInstances"] is False
    modality = shipped["DicomModalities"]["wetread"]
    example = load_settings(DEPLOY / "wetread.example.toml")
    assert (modality["AET"], modality["Port"]) == (example.receiver.ae_title, example.receiver.port)
    assert modality["Host"] in _compose()["services"]
    assert example.caller(shipped["DicomAet"]) is not None


def test_the_script_for_orthanc_is_the_one_of_the_page():
    """docs/integration.md shows deploy/orthanc/to-wetread.lua as it is."""
    page = (ROOT / "docs" / "integration.md").read_text()
    assert f"```lua\n{(DEPLOY / 'orthanc' / 'to-wetread.lua').read_text()}```" in page


def test_the_dashboard_shows_metrics_that_exist():
    """Each metric of a panel is one that the page exports."""
    dashboard = json.loads((DEPLOY / "grafana" / "wetread.json").read_text())
    shown = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"wetread_\w+", target["expr"])
    }
    assert shown
    assert shown <= _exported()


def _exported():
    """Return the names of the metrics that the service exports."""
    sources = (ROOT / "service" / "web").glob("*metrics.py")
    return {
        name for source in sources for name in re.findall(r'"(wetread_\w+)"', source.read_text())
    }


def _rules():
    (group,) = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())["groups"]
    return group["rules"]


def test_each_alert_rule_asks_for_metrics_that_exist():
    """Each metric of a rule is exported, and each rule states its severity and what to do."""
    asked = {name for rule in _rules() for name in re.findall(r"wetread_\w+", rule["expr"])}
    assert asked <= _exported()
    for rule in _rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert len({rule["alert"] for rule in _rules()}) == len(_rules())


def test_each_runbook_is_a_heading_of_the_docs():
    """The page and the heading that a rule names are there."""
    for rule in _rules():
        page, _, anchor = rule["annotations"]["runbook_url"].rpartition("/")[2].partition("#")
        headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
        assert anchor in slugs


def test_prometheus_takes_the_alert_rules():
    """Prometheus' own program accepts the rules."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool (prometheus) is not installed")
    rules = str(DEPLOY / "prometheus-rules.yml")
    result = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_asks_where_the_page_is():
    """The scrape's path and port are the page's."""
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in _ours()
    assert int(port) == Settings.model_fields["web"].default.port
    assert job["metrics_path"] == "/metrics"
