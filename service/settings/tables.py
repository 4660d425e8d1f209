"""What the rules between tables read of the settings; `service.settings.config.Settings` has it.

The settings evaluate these rules, so the rules cannot import the settings.
"""

from collections.abc import Mapping
from typing import Protocol

from service.settings.keys.destinations import Destination
from service.settings.keys.hl7 import Hl7
from service.settings.keys.oidc import Oidc
from service.settings.keys.probe import Probe
from service.settings.keys.reading import Model, Reading
from service.settings.keys.reconcile import Reconcile
from service.settings.keys.sections import Caller, Receiver, Web
from service.settings.keys.stow import Stow


class Tables(Protocol):
    """The tables of the settings, and how calling AEs and models are looked up in them."""

    @property
    def receiver(self) -> Receiver:
        """The table `[receiver]`."""

    @property
    def web(self) -> Web:
        """The table `[web]`."""

    @property
    def oidc(self) -> Oidc:
        """The table `[oidc]`."""

    @property
    def stow(self) -> Stow:
        """The table `[stow]`."""

    @property
    def hl7(self) -> Hl7:
        """The table `[hl7]`."""

    @property
    def models(self) -> tuple[Model, ...]:
        """The further models."""

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """Where results go."""

    @property
    def reconcile(self) -> tuple[Reconcile, ...]:
        """The archives that are compared."""

    @property
    def probe(self) -> Probe:
        """The table `[probe]`."""

    @property
    def model_name(self) -> str:
        """The name of the model in `[reading]`."""

    def readings(self) -> Mapping[str, Reading]:
        """Return the table of each model that reads for results, by its name."""

    def shadows(self) -> Mapping[str, Model]:
        """Return the table of each shadow model by its name."""

    def caller(self, ae_title: str) -> Caller | None:
        """Return the settings of a calling AE title, or None if it may not send."""
