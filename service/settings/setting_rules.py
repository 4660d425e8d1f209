"""Rules between tables of the settings: duplicate or unknown names, ports, TLS of the pages."""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from service.settings.endpoints import port_conflicts
from service.settings.keys.sections import Caller
from service.settings.nearest_name import suggestion
from service.settings.rules import Conflict, Location, NotKnown, Rule
from service.settings.tables import Tables


def unknown_references(settings: Tables, callers: Sequence[Caller]) -> list[str]:
    """Return a sentence for each model or destination that `callers` name and `settings` lack."""
    found = (*_unknown_models(settings, callers), *_unknown_destinations(settings, callers))
    return [f"receiver.callers {callers[_number(each)].ae_title}: {each.message}" for each in found]


def _number(found: Conflict) -> int:
    *_, number, _key = found.subject
    return int(number)


def _caller_models(settings: Tables) -> Iterator[Conflict]:
    yield from _unknown_models(settings, settings.receiver.callers)


def _caller_destinations(settings: Tables) -> Iterator[Conflict]:
    yield from _unknown_destinations(settings, settings.receiver.callers)


def _unknown_models(settings: Tables, callers: Sequence[Caller]) -> Iterator[Conflict]:
    known = set(settings.readings())
    for number, model in _known_values(callers, "model"):
        if model in settings.shadows():
            message = (
                f"{model} is a shadow model, whose drafts are never delivered: name another model, or "
                "remove shadow = true from its table"
            )
            yield _of_caller(number, "model", message)
        elif model is not None and model not in known:
            message = f"no model is named {model}{suggestion(model, sorted(known))}"
            yield _of_caller(number, "model", message)


def _unknown_destinations(settings: Tables, callers: Sequence[Caller]) -> Iterator[Conflict]:
    known = {destination.name for destination in settings.destinations}
    for number, names in _known_values(callers, "destinations"):
        for name in sorted(set(names or ()) - known):
            message = f"no destination is named {name}{suggestion(name, sorted(known))}"
            yield _of_caller(number, "destinations", message)


def _known_values(callers: Sequence[Caller], key: str) -> Iterator[tuple[int, Any]]:
    """Yield the index of each entry of `callers` with its value of `key`; skip unknown values."""
    for number, caller in enumerate(callers):
        try:
            value = getattr(caller, key)
            bool(value)
        except NotKnown:
            continue
        yield number, value


def _of_caller(number: int, key: str, message: str) -> Conflict:
    at: Location = ("receiver", "callers", number, key)
    return Conflict(subject=at, message=message, keys=(at,))


def _model_names(settings: Tables) -> Iterator[Conflict]:
    names: list[tuple[str, Location]] = [(settings.model_name, ("reading", "model"))]
    names += [(each.name, ("models", n, "name")) for n, each in enumerate(settings.models)]
    message = "name used twice: {}; each needs another, and not that of reading.model"
    yield from _duplicate_names(("models",), names, message)


def _caller_names(settings: Tables) -> Iterator[Conflict]:
    at = ("receiver", "callers")
    callers = settings.receiver.callers
    titles = [(each.ae_title, (*at, n, "ae_title")) for n, each in enumerate(callers)]
    message = (
        "ae_title used twice: {}; write one entry for each AE title, with a list where it has several "
        'addresses: address = ["10.0.0.5", "10.0.0.6"]'
    )
    yield from _duplicate_names(at, titles, message)


def _destination_names(settings: Tables) -> Iterator[Conflict]:
    each_name = enumerate(settings.destinations)
    names = [(each.name, ("destinations", n, "name")) for n, each in each_name]
    yield from _duplicate_names(("destinations",), names, "name used twice: {}; give each another")


def _duplicate_names(
    subject: Location, names: Sequence[tuple[str, Location]], message: str
) -> Iterator[Conflict]:
    counts = Counter(name for name, _ in names)
    for doubled in sorted(name for name, count in counts.items() if count > 1):
        keys = tuple(at for name, at in names if name == doubled)
        yield Conflict(subject=subject, message=message.replace("{}", doubled), keys=keys)


def _pages_have_tls(settings: Tables) -> Iterator[Conflict]:
    web = settings.web
    if not (is_loopback(web.host) or web.tls_certificate or web.trusted_proxies or web.plain_http):
        message = (
            "is not a loopback address, and without TLS browsers would drop the login's cookie: set "
            "tls_certificate and tls_key, or trusted_proxies to the address of a proxy that has TLS, "
            "or plain_http = true for a closed test network"
        )
        names = ("host", "tls_certificate", "trusted_proxies", "plain_http")
        keys = tuple(("web", name) for name in names)
        yield Conflict(subject=("web", "host"), message=message, keys=keys)


def _oidc_has_page_address(settings: Tables) -> Iterator[Conflict]:
    if settings.oidc.issuer is not None and settings.web.public_url is None:
        at = ("web", "public_url")
        message = "is needed for oidc.issuer: the address to which the provider sends browsers back"
        yield Conflict(subject=at, message=message, keys=(("oidc", "issuer"), at))


def _reconcile_names(settings: Tables) -> Iterator[Conflict]:
    names = [
        (each.name, ("reconcile", number, "destination" if each.destination else "archive"))
        for number, each in enumerate(settings.reconcile)
    ]
    yield from _duplicate_names(
        ("reconcile",), names, "{} is named twice: give each archive one table"
    )


def _reconcile_destinations(settings: Tables) -> Iterator[Conflict]:
    known = {each.name: each for each in settings.destinations}
    for number, each in enumerate(settings.reconcile):
        at: Location = ("reconcile", number, "destination")
        if each.destination is None:
            continue
        if each.destination not in known:
            near = suggestion(each.destination, sorted(known))
            message = f"no destination is named {each.destination}{near}"
            yield Conflict(subject=at, message=message, keys=(at,))
        elif known[each.destination].kind == "folder":
            message = f"{each.destination} is a folder, which cannot be searched"
            yield Conflict(subject=at, message=message, keys=(at,))


def _reconcile_callers(settings: Tables) -> Iterator[Conflict]:
    for number, each in enumerate(settings.reconcile):
        if settings.caller(each.calling_ae) is None:
            at: Location = ("reconcile", number, "calling_ae")
            message = f"calling_ae {each.calling_ae} is not among receiver.callers: add it there"
            yield Conflict(subject=at, message=message, keys=(at,))


def _probe_caller_is_its_own(settings: Tables) -> Iterator[Conflict]:
    probe = settings.probe
    if probe.enabled and any(c.ae_title == probe.ae_title for c in settings.receiver.callers):
        at: Location = ("probe", "ae_title")
        message = f"{probe.ae_title} is in receiver.callers: give the check an AE title of its own"
        yield Conflict(subject=at, message=message, keys=(at,))


def _probe_references(settings: Tables) -> Iterator[Conflict]:
    probe, known = settings.probe, {each.name for each in settings.destinations}
    for name in sorted(set(probe.destinations or ()) - known):
        at: Location = ("probe", "destinations")
        message = f"no destination is named {name}{suggestion(name, sorted(known))}"
        yield Conflict(subject=at, message=message, keys=(at,))
    models = settings.readings()
    if probe.model is not None and probe.model not in models:
        at = ("probe", "model")
        message = f"no model that reads for results is named {probe.model}"
        message += suggestion(probe.model, sorted(models))
        yield Conflict(subject=at, message=message, keys=(at,))


def is_loopback(host: str) -> bool:
    """Return whether an interface can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


RULES: Final[tuple[Rule, ...]] = (
    port_conflicts,
    _pages_have_tls,
    _oidc_has_page_address,
    _model_names,
    _caller_names,
    _destination_names,
    _caller_models,
    _caller_destinations,
    _reconcile_names,
    _reconcile_destinations,
    _reconcile_callers,
    _probe_caller_is_its_own,
    _probe_references,
)
