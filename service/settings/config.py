"""The settings: one TOML file, with each key overridable by an environment variable.

All faults are reported at once. Only this module reads the environment. `WETREAD_RECEIVER__PORT`
overrides `port` in `[receiver]`; lists and tables are given as JSON. `WETREAD_CONFIG` names the file;
without it, `wetread.toml` in the working folder is read if it exists. docs/configuration.md describes
each key.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from pydantic import Field, ValidationError

from service.errors import ConfigurationError
from service.settings.error_messages import sentences
from service.settings.keys.audit import Audit
from service.settings.keys.base import Section
from service.settings.keys.destinations import Destination, OrthancDestination
from service.settings.keys.final_reports import FinalReports
from service.settings.keys.hl7 import Hl7
from service.settings.keys.judge import Judge
from service.settings.keys.monitor import Monitor
from service.settings.keys.notify import Notify
from service.settings.keys.oidc import Oidc
from service.settings.keys.probe import Probe
from service.settings.keys.questions import QuestionLimits
from service.settings.keys.reading import Model, Reading
from service.settings.keys.reconcile import Reconcile
from service.settings.keys.sections import (
    Broker,
    Caller,
    Database,
    Delivery,
    Log,
    Outputs,
    Receiver,
    Sweep,
    Web,
)
from service.settings.keys.stow import Stow
from service.settings.rules import LENIENT, Rule, conflicts
from service.settings.setting_rules import RULES
from service.settings.sources import PREFIX, Sources, read_variables
from service.settings.toml_file import read_toml

CONFIG: Final = "WETREAD_CONFIG"
# Variables with the prefix that are not settings.
_OF_PROCESS: Final = {CONFIG, "WETREAD_PYTHON", "WETREAD_CONSTRAINTS", "WETREAD_RESTARTS"}


class Settings(Section):
    """All settings, immutable. Each process reads them at its start; only calling AEs are reloaded."""

    rules: ClassVar[tuple[Rule, ...]] = RULES

    data_dir: Path = Field(
        Path("wetread-data"), description="Folder for spool, results and SQLite."
    )
    site_name: str = Field(
        "",
        max_length=64,
        description="Institution name: on the pages, in results, and the organization of verified "
        "reports, which need it.",
    )
    receiver: Receiver = Receiver()
    reading: Reading = Reading()
    models: tuple[Model, ...] = Field(
        (), description="Further models, for calling AEs that name one; each has separate workers."
    )
    outputs: Outputs = Outputs()
    delivery: Delivery = Delivery()
    destinations: tuple[Destination, ...] = Field((), description="Where results go; all of them.")
    reconcile: tuple[Reconcile, ...] = Field(
        (), description="Archives that are compared with what was received, on a schedule."
    )
    database: Database = Database()
    broker: Broker = Broker()
    web: Web = Web()
    stow: Stow = Stow()
    hl7: Hl7 = Hl7()
    audit: Audit = Audit()
    oidc: Oidc = Oidc()
    sweep: Sweep = Sweep()
    judge: Judge = Judge()
    final_reports: FinalReports = FinalReports()
    monitor: Monitor = Monitor()
    questions: QuestionLimits = QuestionLimits()
    probe: Probe = Probe()
    notify: Notify = Notify()
    log: Log = Log()

    @property
    def spool_dir(self) -> Path:
        """The folder of the received Instances."""
        return self.data_dir / "spool"

    @property
    def outbox_dir(self) -> Path:
        """The folder of the result objects."""
        return self.data_dir / "outbox"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'wetread.db'}"

    @property
    def run_dir(self) -> Path:
        """The folder of files that the running processes share: addresses, locks, rate limits."""
        return self.data_dir / "run"

    @property
    def broker_url(self) -> str:
        """The Redis URL in force: the configured one, or that of the private Redis that is running.

        Raises:
            ConfigurationError: No Redis is configured and no private one has been started.
        """
        if self.broker.url is not None:
            return self.broker.url.get_secret_value()
        try:
            return (self.run_dir / "broker.url").read_text().strip()
        except OSError:
            raise ConfigurationError(
                "broker.url is not set and no private Redis is running for "
                f"{self.data_dir}: set it, or start everything with `wetread up`"
            ) from None

    def caller(self, ae_title: str) -> Caller | None:
        """Return the settings of a calling AE title, or None if it may not send."""
        for caller in self.receiver.callers:
            if caller.ae_title == ae_title:
                return caller
        if self.probe.enabled and ae_title == self.probe.ae_title:
            return self._probe_caller()
        return Caller(ae_title=ae_title) if self.receiver.open else None

    def _probe_caller(self) -> Caller:
        """Return the settings of the calling AE of the end-to-end check."""
        return Caller(
            ae_title=self.probe.ae_title,
            address=self.probe.address,
            model=self.probe.model,
            destinations=self.probe_destinations,
        )

    @property
    def probe_destinations(self) -> tuple[str, ...]:
        """The names of the destinations that take part in the end-to-end check."""
        if self.probe.destinations is not None:
            return self.probe.destinations
        return tuple(
            each.name
            for each in self.destinations
            if isinstance(each, OrthancDestination) and each.may_remove
        )

    @property
    def model_name(self) -> str:
        """The name of the model in `reading`, which after `for_model` may be one of `models`."""
        return self.reading.name if isinstance(self.reading, Model) else self.reading.model

    def readings(self) -> dict[str, Reading]:
        """Return the table of each model that reads for results, that of `[reading]` first."""
        shadows = self.shadows()
        others = {each.name: each for each in self.models if each.name not in shadows}
        return {self.model_name: self.reading} | others

    def shadows(self) -> dict[str, Model]:
        """Return the table of each shadow model by its name."""
        # While faults are collected, a wrong table is a placeholder that has only a name.
        return {each.name: each for each in self.models if isinstance(each, Model) and each.shadow}

    def for_model(self, name: str) -> Self:
        """Return a copy whose `reading` is the table of this model, for the model's worker.

        Raises:
            ConfigurationError: No model has this name.
        """
        tables: dict[str, Reading] = {**self.readings(), **self.shadows()}
        found = tables.get(name)
        if found is None:
            known = ", ".join(tables)
            raise ConfigurationError(f"no model is named {name!r}; configured are: {known}")
        return self.model_copy(update={"reading": found})


def config_path() -> Path | None:
    """Return the TOML file to read, or None if there is none."""
    named = os.environ.get(CONFIG)
    if named:
        return Path(named)
    default = Path("wetread.toml")
    return default if default.exists() else None


def load_settings(path: Path | None = None, **overrides: Any) -> Settings:  # noqa: ANN401 - any key
    """Read the settings from `path` (or `config_path()`), the environment and `overrides`.

    A later source overrides an earlier one.

    Raises:
        ConfigurationError: The file is missing or not TOML, or any value is wrong; the message has a
            line for each fault and never a secret.
    """
    path = path or config_path()
    if path is not None and not path.exists():
        raise ConfigurationError(f"{path}: no such configuration file")
    file = read_toml(path) if path is not None else None
    variables, faults = read_variables(_setting_variables(), Settings)
    return _settings(Sources(file, variables, overrides), faults)


def settings_of(overrides: Mapping[str, Any]) -> Settings:
    """Return the defaults with `overrides`, without any file or environment variable.

    Raises:
        ConfigurationError: A value is wrong.
    """
    return _settings(Sources(arguments=overrides), [])


def _settings(sources: Sources, faults: Sequence[str]) -> Settings:
    """Return the settings of the sources if there is no fault.

    Raises:
        ConfigurationError: Lists the given faults, those of single values and conflicts between values.
    """
    values = sources.values()
    try:
        settings = Settings.model_validate(values)
        found = []
    except ValidationError as error:
        known = Settings.model_validate(values, context=LENIENT)
        found = sentences(
            error.errors(include_url=False), conflicts(known), model=Settings, sources=sources
        )
    if faults or found:
        source = str(sources.file.path) if sources.file else "the environment"
        lines = [f"  {fault}" for fault in (*faults, *found)]
        raise ConfigurationError("\n".join([f"{source}: the settings cannot be used:", *lines]))
    return settings


def _setting_variables() -> dict[str, str]:
    """Return the environment variables that give a setting."""
    names = (name for name in os.environ if name.startswith(PREFIX) and name not in _OF_PROCESS)
    return {name: os.environ[name] for name in names}


def zone_variables() -> tuple[str, str]:
    """Return the environment variables TZ and TZDIR, "" for one that is not set."""
    return os.environ.get("TZ", ""), os.environ.get("TZDIR", "")


def restarts() -> int:
    """Return how often the supervisor has restarted this process."""
    return int(os.environ.get("WETREAD_RESTARTS", "0"))


def as_environment(overrides: dict[str, Any]) -> dict[str, str]:
    """Return `overrides` (as for `load_settings`) as environment variables for a child process."""
    variables = {}
    for section, value in overrides.items():
        keys = value.items() if isinstance(value, dict) else [(None, value)]
        for key, item in keys:
            name = f"WETREAD_{section}" if key is None else f"WETREAD_{section}__{key}"
            plain = isinstance(item, str | int | float | Path) and not isinstance(item, bool)
            variables[name.upper()] = str(item) if plain else json.dumps(item)
    return variables


def child_environment(**extra: str) -> dict[str, str]:
    """Return this process's environment with `extra`, for a part that runs as a child process.

    If `extra` has a WETREAD_CONFIG, the settings in this environment are left out.
    """
    own = _setting_variables() if CONFIG in extra else {}
    inherited = {name: value for name, value in os.environ.items() if name not in own}
    return {**inherited, **extra}
