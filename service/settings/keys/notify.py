"""The keys of the table `[notify]` of the settings: targets and times of messages about incidents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, SecretStr
from pydantic.functional_validators import AfterValidator

from service.settings.keys.base import Section
from service.settings.keys.destinations import Name
from service.settings.rules import Conflict, Rule, conflict

# Services that send a text to people. Apprise knows more, some of which run programs or write files.
SCHEMES: Final = (
    *("mailto", "mailtos", "json", "jsons", "form", "forms"),
    *("workflow", "workflows", "slack", "mmost", "mmosts", "ntfy", "ntfys", "gotify", "gotifys"),
    *("pagerduty", "opsgenie", "syslog"),
)


def scheme_of(url: str) -> str:
    """Return the scheme of a target's URL, in lower case; "" if it has none."""
    scheme, separator, _ = url.strip().partition("://")
    return scheme.lower() if separator else ""


def _target_url(value: SecretStr | None) -> SecretStr | None:
    """Refuse a service that is not supported; the message never repeats the value."""
    if value is not None and scheme_of(value.get_secret_value()) not in SCHEMES:
        raise ValueError(f"begins with none of {', '.join(f'{each}://' for each in SCHEMES)}")
    return value


def _one_url(target: "NotifyTarget") -> Iterator[Conflict]:
    if (target.url is None) == (target.url_file is None):
        yield conflict("", "give either url or url_file", "url", "url_file")


def _names_differ(notify: "Notify") -> Iterator[Conflict]:
    names = [each.name for each in notify.targets]
    for name in sorted({each for each in names if names.count(each) > 1}):
        yield conflict("targets", f"name used twice: {name}; give each another", "targets")


class NotifyTarget(Section):
    """A mailbox, a channel or a webhook that gets messages about incidents."""

    name: Name = Field(description="Its name in pages and events.")
    url: Annotated[SecretStr | None, AfterValidator(_target_url)] = Field(
        None,
        description="Its Apprise URL, a secret: `mailtos://user:password@mail.example?to=it@example`, "
        "`jsons://host/path` (webhook), `workflows://…` (Teams), `slack://…`, `mmosts://…`, "
        "`ntfys://…`, `gotifys://…`, `pagerduty://…`, `opsgenie://…`, `syslog://`.",
    )
    url_file: Path | None = Field(
        None, description="A file with the URL, in place of `url`; read at each message."
    )
    level: Literal["notice", "warning", "alarm"] = Field(
        "warning", description="Lowest level of the incidents that are sent to it."
    )
    kinds: tuple[str, ...] | None = Field(
        None, description="Only incidents of these kinds, whatever their level; all when absent."
    )

    rules: ClassVar[tuple[Rule, ...]] = (_one_url,)


class Notify(Section):
    """Messages about incidents: one when an alert opens, one when its cause has ended."""

    targets: tuple[NotifyTarget, ...] = Field(
        (), description="Where messages are sent; none: alerts are shown on the page only."
    )
    quiet_minutes: float = Field(
        60.0,
        ge=0,
        description="After a message about an alert, the next one about it waits for this time.",
    )
    repeat_hours: float = Field(
        24.0,
        ge=0,
        description="An alert that is not acknowledged is sent again after this time; 0: never.",
    )
    give_up_hours: float = Field(
        24.0, gt=0, description="A message that no target accepts for this time is given up."
    )
    keep_days: float = Field(
        180.0,
        ge=1,
        description="Closed alerts, and the messages about them, are removed after this time. Open "
        "alerts are never removed.",
    )
    timeout: float = Field(
        20.0, gt=0, le=120, description="Timeout of sending one message, in seconds."
    )

    rules: ClassVar[tuple[Rule, ...]] = (_names_differ,)
