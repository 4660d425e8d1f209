"""The settings: one TOML file, every key overridable by environment, all faults reported at once.

This is the only file that reads the environment. A key `port` in `[receiver]` is overridden by
`WETREAD_RECEIVER__PORT`; lists and tables are given as JSON. `WETREAD_CONFIG` names the file, otherwise
`wetread.toml` in the working folder is read when it exists. docs/configuration.md describes each key.
"""

import ipaddress
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.destination_sections import Destination
from service.errors import ConfigurationError
from service.reading_section import Model, Reading
from service.reconcile_section import Reconcile
from service.section import expanded
from service.sections import (
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
from service.setting_faults import TomlFile, nearest, read_toml, sentences
from service.stow_section import Stow


class Settings(BaseSettings):
    """Everything that can be set; frozen, read once at the start of each process."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="WETREAD_", env_nested_delimiter="__"
    )
    file: ClassVar[TomlFile | None] = None

    data_dir: Path = Field(
        Path("wetread-data"), description="Folder for spool, results and SQLite."
    )
    site_name: str = Field("", max_length=64, description="Institution name shown on the page.")
    receiver: Receiver = Receiver()
    reading: Reading = Reading()
    models: tuple[Model, ...] = Field(
        (), description="Further models, for callers that name one; each has workers of its own."
    )
    outputs: Outputs = Outputs()
    delivery: Delivery = Delivery()
    destinations: tuple[Destination, ...] = Field((), description="Where results go; all of them.")
    reconcile: tuple[Reconcile, ...] = Field(
        (), description="Archives whose studies must all be here; compared on a schedule."
    )
    database: Database = Database()
    broker: Broker = Broker()
    web: Web = Web()
    stow: Stow = Stow()
    sweep: Sweep = Sweep()
    log: Log = Log()

    _expand_home = field_validator("data_dir")(expanded)

    @property
    def spool_dir(self) -> Path:
        """Folder of the received films."""
        return self.data_dir / "spool"

    @property
    def outbox_dir(self) -> Path:
        """Folder of the objects made from them."""
        return self.data_dir / "outbox"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'wetread.db'}"

    @property
    def run_dir(self) -> Path:
        """Folder of what the running processes tell each other: addresses, locks."""
        return self.data_dir / "run"

    @property
    def broker_url(self) -> str:
        """The Redis URL in force: the configured one, or that of the private Redis that is running.

        Raises:
            ConfigurationError: None is configured and no private one has been started.
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
        """Return what is configured for a calling AE title, or None when it may not send."""
        for caller in self.receiver.callers:
            if caller.ae_title == ae_title:
                return caller
        return Caller(ae_title=ae_title) if self.receiver.open else None

    @property
    def model_name(self) -> str:
        """Name of the model that `[reading]` speaks of: after `for_model` that of a further one."""
        return self.reading.name if isinstance(self.reading, Model) else self.reading.model

    def readings(self) -> dict[str, Reading]:
        """Return each configured model's table by its name, that of `[reading]` first."""
        return {self.model_name: self.reading} | {each.name: each for each in self.models}

    def for_model(self, name: str) -> Self:
        """Return the settings with `[reading]` as a worker of this model needs it.

        Raises:
            ConfigurationError: No model is called so.
        """
        found = self.readings().get(name)
        if found is None:
            known = ", ".join(self.readings())
            raise ConfigurationError(f"no model is called {name!r}; configured are: {known}")
        return self.model_copy(update={"reading": found})

    @model_validator(mode="after")
    def _callers_name_what_is_there(self) -> Self:
        names = [self.model_name, *(each.name for each in self.models)]
        if doubled := _doubled(names):
            raise ValueError(
                f"models: name used twice: {doubled}; each needs another, and not that of reading.model"
            )
        if doubled := _doubled(caller.ae_title for caller in self.receiver.callers):
            raise ValueError(
                f"receiver.callers: ae_title used twice: {doubled}; write one entry for each AE title, "
                'with a list where it has several addresses: address = ["10.0.0.5", "10.0.0.6"]'
            )
        if faults := unknown_to(self, self.receiver.callers):
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _processes_share_a_port(self) -> Self:
        if self.receiver.processes > 1 and 0 in self.receiver.ports:
            raise ValueError("receiver.port: several receiver.processes need one that is not 0")
        return self

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if doubled := _doubled(destination.name for destination in self.destinations):
            raise ValueError(f"destinations: name used twice: {doubled}")
        if not is_loopback(self.web.host) and not self.web.password.get_secret_value():
            raise ValueError("web.password: needed when web.host is not a loopback address")
        return self

    @model_validator(mode="after")
    def _reconciled_archives_are_there(self) -> Self:
        names = [each.name for each in self.reconcile]
        faults = [f"{name} is named twice" for name in names if names.count(name) > 1]
        kinds = {each.name: each.kind for each in self.destinations}
        for each in self.reconcile:
            if each.destination is not None and each.destination not in kinds:
                faults.append(f"no destination is called {each.destination}")
            elif each.destination is not None and kinds[each.destination] == "folder":
                faults.append(f"{each.destination} is a folder, which cannot be searched")
            if self.caller(each.calling_ae) is None:
                faults.append(f"calling_ae {each.calling_ae} is not among receiver.callers")
        if faults:
            raise ValueError(f"reconcile: {'; '.join(dict.fromkeys(faults))}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, file."""
        del dotenv_settings, file_secret_settings
        values = cls.file.values if cls.file else {}
        return init_settings, env_settings, InitSettingsSource(settings_cls, values)


def unknown_to(settings: Settings, callers: Sequence[Caller]) -> list[str]:
    """Return a sentence for each model or destination that callers name and `settings` lacks."""
    models = set(settings.readings())
    destinations = {destination.name for destination in settings.destinations}
    faults = []
    for caller in callers:
        where = f"receiver.callers {caller.ae_title}"
        if caller.model is not None and caller.model not in models:
            faults.append(f"{where}: no model is called {caller.model}")
        unknown = sorted(set(caller.destinations or ()) - destinations)
        faults += [f"{where}: no destination is called {name}" for name in unknown]
    return faults


def is_loopback(host: str) -> bool:
    """Return whether an interface is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def config_path() -> Path | None:
    """Return the TOML file in force, or None when there is none."""
    named = os.environ.get("WETREAD_CONFIG")
    if named:
        return Path(named)
    default = Path("wetread.toml")
    return default if default.exists() else None


def load_settings(path: Path | None = None, **overrides: Any) -> Settings:  # noqa: ANN401 - any key
    """Return the settings of `path` (or of `config_path()`) under the environment and `overrides`.

    Raises:
        ConfigurationError: The file is missing or not TOML, or any value is wrong; the message has a
            line for each fault and never a secret.
    """
    path = path or config_path()
    if path is not None and not path.exists():
        raise ConfigurationError(f"{path}: no such configuration file")
    file = read_toml(path) if path is not None else None
    _check_variables()
    reader = type("_FileSettings", (Settings,), {"file": file})
    try:
        settings: Settings = reader(**overrides)
    except ValidationError as error:
        faults = sentences(
            error.errors(include_url=False), model=Settings, file=file, variables=_variables()
        )
        lines = [f"  {fault}" for fault in faults]
        source = str(path) if path else "the environment"
        raise ConfigurationError(
            "\n".join([f"{source}: the settings cannot be used:", *lines])
        ) from None
    return settings


def _variables() -> list[str]:
    """Return the names of the environment's variables that give a setting."""
    ours = {"WETREAD_CONFIG", "WETREAD_PYTHON", "WETREAD_CONSTRAINTS", "WETREAD_RESTARTS"}
    return sorted(name for name in os.environ if name.startswith("WETREAD_") and name not in ours)


def _check_variables() -> None:
    """Refuse a variable that names no setting, and a list or table that is not JSON.

    Raises:
        ConfigurationError: Names each such variable, and what is wrong with it.
    """
    faults = [fault for name in _variables() if (fault := _fault_of_variable(name))]
    if faults:
        raise ConfigurationError("\n".join(["the environment cannot be used:", *faults]))


def _fault_of_variable(name: str) -> str | None:
    section, _, key = name.removeprefix("WETREAD_").lower().partition("__")
    field = Settings.model_fields.get(section)
    if field is None:
        return f"  {name}: there is no such setting" + _nearest_variable(name)
    table = _table(field.annotation)
    if key:
        field = table.model_fields.get(key) if table else None
        if field is None:
            return f"  {name}: there is no such setting" + _nearest_variable(name)
        table = _table(field.annotation)
    if table is not None or "tuple" in str(field.annotation):
        try:
            json.loads(os.environ[name])
        except ValueError as error:
            return f"  {name}: must be JSON, since it is a list or a table: {error}"
    return None


def _table(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _nearest_variable(name: str) -> str:
    known = []
    for section, field in Settings.model_fields.items():
        table = _table(field.annotation)
        keys = [f"__{key}" for key in table.model_fields] if table else [""]
        known += [f"wetread_{section}{key}" for key in keys]
    found = nearest(name, known)
    return found.upper().replace("DID YOU MEAN", "did you mean") if found else ""


def _doubled(names: Iterable[str]) -> str:
    """Return the names that occur more than once, as a list in words; "" when none does."""
    counts = Counter(names)
    return ", ".join(sorted(name for name, count in counts.items() if count > 1))


def zone_variables() -> tuple[str, str]:
    """Return the variables TZ and TZDIR of the environment, "" where one is not set."""
    return os.environ.get("TZ", ""), os.environ.get("TZDIR", "")


def restarts() -> int:
    """Return how often the supervisor had to start this process again."""
    return int(os.environ.get("WETREAD_RESTARTS", "0"))


def as_environment(overrides: dict[str, Any]) -> dict[str, str]:
    """Return `overrides` (as for `load_settings`) as the variables that give a child the same."""
    variables = {}
    for section, value in overrides.items():
        keys = value.items() if isinstance(value, dict) else [(None, value)]
        for key, item in keys:
            name = f"WETREAD_{section}" if key is None else f"WETREAD_{section}__{key}"
            plain = isinstance(item, str | int | float | Path) and not isinstance(item, bool)
            variables[name.upper()] = str(item) if plain else json.dumps(item)
    return variables


def child_environment(**extra: str) -> dict[str, str]:
    """Return this process's environment with `extra`, for a part that is started as its own process."""
    return {**os.environ, **extra}
