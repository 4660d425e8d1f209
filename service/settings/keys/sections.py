"""The tables of the settings: names, types, limits, defaults and meanings of their keys."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr

from service.settings.keys.base import (
    Addresses,
    AETitle,
    DatabaseUrl,
    Host,
    HttpRoot,
    OptionalPort,
    PeerPort,
    Port,
    Priority,
    RedisUrl,
    Seconds,
    Section,
    is_in_networks,
    tls_pair,
)
from service.settings.keys.tls_files import (
    ClientCertificate,
    ClientKey,
    ServerCertificate,
    ServerKey,
)
from service.settings.keys.viewers import SiteViewer
from service.settings.rules import Conflict, Rule, conflict


class Caller(Section):
    """A calling AE that may send, and the settings that differ for it."""

    ae_title: AETitle = Field(description="Its AE title (calling).")
    address: Addresses | None = Field(
        None,
        description="Only from this IP address or network (10.0.0.0/24), or a list of them; any when "
        "absent.",
    )
    quiet_time: Seconds | None = Field(
        None, description="Overrides receiver.quiet_time, in seconds."
    )
    priority: Priority = Field(
        "routine", description="`urgent`: its studies are read before the routine ones."
    )
    model: str | None = Field(
        None,
        description="Its studies are read by this one of `[[models]]`; by `reading.model` when absent.",
    )
    destinations: tuple[str, ...] | None = Field(
        None,
        description="Names of the destinations of its results; all of them when absent, none for `[]`.",
    )
    minimum_age_years: int | None = Field(
        None, ge=0, description="Overrides reading.minimum_age_years."
    )
    read_children: bool | None = Field(None, description="Overrides reading.read_children.")
    stated_only: bool = Field(
        False,
        description="Read only images whose attributes state radiograph, chest and frontal.",
    )
    films_per_minute: int | None = Field(
        None,
        ge=1,
        description="Instances accepted per minute; more are answered 0xA700 and must be sent again; "
        "no limit when absent.",
    )
    commitment_port: PeerPort | None = Field(
        None,
        description="Storage commitment is reported over a new association to this port, "
        "repeated until it is accepted; absent: once, on the requesting association.",
    )

    @property
    def host(self) -> str | None:
        """The only IP address from which it may send; None if that is a network, several, or any."""
        if self.address is None or len(self.address) != 1 or "/" in self.address[0]:
            return None
        return self.address[0]

    def may_come_from(self, address: str) -> bool:
        """Return whether the calling AE may associate from this IP address.

        An IPv4-mapped IPv6 address counts as IPv4; a zone identifier (`%eth0`) is ignored.
        """
        if self.address is None:
            return True
        return is_in_networks(address, self.address)


def _has_a_port(receiver: "Receiver") -> Iterator[Conflict]:
    if receiver.port is None and receiver.tls_port is None:
        message = (
            "neither port nor tls_port is set: give port = 11112 for plain DICOM, or tls_port with "
            "tls_certificate and tls_key for DICOM TLS only"
        )
        yield conflict("", message, "port", "tls_port")


def _tls_port_has_files(receiver: "Receiver") -> Iterator[Conflict]:
    if receiver.tls_port is None:
        return
    for key in ("tls_certificate", "tls_key"):
        if getattr(receiver, key) is None:
            message = f"is needed when tls_port is set (tls_port = {receiver.tls_port})"
            yield conflict(key, message, "tls_port")


def _shared_port_is_fixed(receiver: "Receiver") -> Iterator[Conflict]:
    for key in ("port", "tls_port"):
        if receiver.processes > 1 and getattr(receiver, key) == 0:
            message = "several receiver.processes share it, so that it cannot be 0 (any free port)"
            yield conflict(key, message, "processes")


class Receiver(Section):
    """The storage SCP."""

    ae_title: AETitle = Field(
        "WETREAD",
        description=(
            "AE title of the receiver; the called AE title of an association must equal it."
        ),
    )
    host: Host = Field("0.0.0.0", description="Interface to listen on.")  # noqa: S104 - modalities are elsewhere
    port: OptionalPort = Field(
        11112,
        description='Port for plain DICOM; 0 takes a free one, `"none"` opens none: then `tls_port` is '
        "needed.",
    )
    open: bool = Field(False, description="Accept any calling AE title. For a closed test network.")
    callers: tuple[Caller, ...] = Field(
        (),
        description="The calling AE titles that may send; reloaded when the file changes.",
    )
    storage_classes: tuple[str, ...] = Field(
        (),
        description="SOP Class UIDs accepted besides CR, DX, Secondary Capture and the documents of a "
        "radiograph's study.",
    )
    quiet_time: Seconds = Field(
        2.0, description="Seconds without a new image after which a study is complete."
    )
    fast: bool = Field(
        True,
        description="Receive by the fast path from socket to file, if it was tested with the installed "
        "pynetdicom; off: by pynetdicom itself, slower.",
    )
    processes: int = Field(
        1, ge=1, le=64, description="Receiver processes that share the port (SO_REUSEPORT)."
    )
    tls_port: OptionalPort = Field(
        None, description="Port for DICOM TLS (1.2 or later), beside `port`; absent: none."
    )
    tls_certificate: ServerCertificate = None
    tls_key: ServerKey = None
    tls_client_ca: Path | None = Field(
        None,
        description="PEM file of the authorities that must have issued the certificates of "
        "peers; absent: no client certificate is required.",
    )
    commitment_give_up_hours: float = Field(
        24.0,
        gt=0,
        le=8760,
        description="A storage commitment report that no peer has accepted after this time is given up, "
        "with an incident.",
    )
    max_associations: int = Field(
        256, ge=1, description="Associations at the same time, in each process."
    )
    max_object_bytes: int = Field(512 * 2**20, ge=2**20, description="A larger object is refused.")
    min_free_bytes: int = Field(
        2**30,
        ge=0,
        description="Below this free space on the spool's disk nothing is accepted (0xA700).",
    )
    stop_seconds: Seconds = Field(
        30.0, description="Time for running associations to finish after a stop signal."
    )

    rules: ClassVar[tuple[Rule, ...]] = (_has_a_port, _tls_port_has_files, _shared_port_is_fixed)

    @property
    def ports(self) -> tuple[int, ...]:
        """The configured ports, the plain one first."""
        return tuple(port for port in (self.port, self.tls_port) if port is not None)


class Outputs(Section):
    """The result objects that are made from a draft."""

    completion: Literal["PARTIAL", "COMPLETE"] = Field(
        "PARTIAL",
        description="Completion Flag of the draft report; `COMPLETE` where a PACS hides PARTIAL ones.",
    )
    overlay_width: int = Field(
        1280, ge=512, le=4096, description="Width of the annotated image in pixels."
    )
    compression: Literal["none", "jpeg-ls"] = Field(
        "none",
        description="Of the images: `jpeg-ls` (lossless) if every destination accepts it.",
    )
    comprehensive_3d: bool = Field(
        False,
        description="Findings as Comprehensive 3D SR (IHE AI Results) instead of Comprehensive.",
    )
    extras: tuple[Literal["presentation-state", "report-pdf"], ...] = Field(
        (),
        description="Further objects: `presentation-state` (GSPS with the regions), `report-pdf`.",
    )
    json_sidecar: bool = Field(
        False, description="Also a JSON file beside the results in `data_dir/outbox`."
    )
    not_analysed_page: bool = Field(
        False,
        description="Send the notice of a study that was not read as an image of a page, too.",
    )


class Delivery(Section):
    """How results are sent."""

    concurrency: int = Field(
        8,
        ge=1,
        description="Deliveries at once in one delivery worker, besides one of each destination's own.",
    )
    lease_seconds: float = Field(
        120.0,
        gt=0,
        description=(
            "A delivery whose worker does not extend its lease for this long is returned to the "
            "queue."
        ),
    )
    retry_seconds: float = Field(
        2.0, gt=0, description="Wait before the second try; doubles each time."
    )
    retry_max_seconds: float = Field(60.0, gt=0, description="Longest wait between two tries.")
    give_up_hours: float = Field(
        72.0, gt=0, description="If a destination cannot be reached for this long, the job fails."
    )
    alert_minutes: float = Field(
        15.0,
        gt=0,
        description="A result that waits longer for its destination is reported on the page and "
        "as an incident.",
    )
    pause_alert_hours: float = Field(
        24.0,
        gt=0,
        le=8760,
        description="A destination that is paused for longer is reported on the page and as an "
        "incident.",
    )


class Database(Section):
    """The database in which jobs are stored."""

    url: DatabaseUrl | None = Field(
        None,
        description="SQLAlchemy URL (postgresql+psycopg://user:password@host/name); "
        "SQLite in data_dir when absent.",
    )
    busy_seconds: Seconds = Field(20.0, description="How long a writer waits for another (SQLite).")


def _tls_is_used(broker: "Broker") -> Iterator[Conflict]:
    if broker.url is not None and broker.url.get_secret_value().startswith("rediss:"):
        return
    for key in ("tls_ca", "tls_certificate"):
        if getattr(broker, key) is not None:
            yield conflict(key, "needs a url that begins with rediss://", "url")


class Broker(Section):
    """Redis, the broker between service and workers; messages hold ids of jobs and questions only."""

    url: RedisUrl | None = Field(
        None,
        description="Redis URL (redis://:password@host:6379/0). When absent, `wetread up` starts a "
        "private Redis of its own.",
    )
    tls_ca: Path | None = Field(
        None,
        description="For rediss://: PEM file of the authorities that its certificate must come from; "
        "absent: those of the system.",
    )
    tls_certificate: ClientCertificate = None
    tls_key: ClientKey = None

    rules: ClassVar[tuple[Rule, ...]] = (tls_pair, _tls_is_used)


def _viewer_labels_differ(web: "Web") -> Iterator[Conflict]:
    labels = [each.label for each in web.viewers]
    for label in sorted({each for each in labels if labels.count(each) > 1}):
        yield conflict("viewers", f"label used twice: {label}; give each another", "viewers")


class Web(Section):
    """The pages, the JSON API, health and metrics."""

    host: Host = Field("127.0.0.1", description="Interface to listen on.")
    port: Port = Field(8100, description="Port to listen on.")
    tls_certificate: Path | None = Field(
        None, description="PEM file of its certificate and chain; a new one is taken at once."
    )
    tls_key: ServerKey = None
    trusted_proxies: Addresses = Field(
        (),
        description="IP addresses or networks of reverse proxies whose X-Forwarded-For and "
        "X-Forwarded-Proto are trusted; those of others are ignored.",
    )
    public_url: HttpRoot | None = Field(
        None,
        description="The address of the pages as browsers use it, with its path behind a proxy; "
        "needed for `[oidc]`.",
    )
    plain_http: bool = Field(
        False,
        description="Serve patient data to other machines without TLS too. For a closed test network.",
    )
    session_idle_minutes: float = Field(
        30.0, gt=0, description="A session ends after this time without a request."
    )
    session_hours: float = Field(
        12.0, gt=0, description="A session ends after this time in any case."
    )
    waiting_limit_minutes: float = Field(
        60.0,
        gt=0,
        description=(
            "In the worklist, drafts that have waited longer for a decision are listed before "
            "urgent ones."
        ),
    )
    worklist_days: float = Field(
        7.0,
        gt=0,
        description="Older drafts without a decision are counted in the worklist, not listed.",
    )
    latency_target_seconds: float = Field(
        60.0,
        gt=0,
        description="On the overview, the target of the time from the last image of a study to its "
        "delivered draft.",
    )
    fold_draft: bool = Field(
        True,
        description="The page of a study shows the image first; the draft is shown on request.",
    )
    viewers: tuple[SiteViewer, ...] = Field(
        (), description="Viewers of the site that open a study by a link, in this order."
    )
    username: str = Field("admin", description="User name of scripts, when a password is set.")
    password: SecretStr = Field(
        SecretStr(""),
        description="Password of scripts for `/api/` and `/metrics` (HTTP Basic), with all rights; "
        "tokens (`wetread token add`) are better. It opens no page: people have accounts.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (tls_pair, _viewer_labels_differ)


class Sweep(Section):
    """The sweeper: schedules quiet Studies, takes back the jobs of dead workers, removes old files."""

    interval: float = Field(0.5, gt=0, description="Seconds between two sweeps.")
    republish_seconds: float = Field(
        15.0,
        gt=0,
        description="Seconds until a waiting job whose message was lost is published again.",
    )
    retention_days: float = Field(
        30.0,
        gt=0,
        description="Images and results of finished jobs are removed from the spool after this.",
    )
    undecided_days: float = Field(
        90.0,
        ge=0,
        description="Images of a draft that awaits a decision are kept until it is this old, also "
        "beyond `retention_days` and if the disk fills up, where an account has the role radiologist; "
        "their removal is an incident. 0: they are removed like others.",
    )
    warn_free_bytes: int = Field(
        5 * 2**30,
        ge=0,
        description="Below this free space on the spool's disk there is an incident.",
    )
    early_free_bytes: int = Field(
        2 * 2**30,
        ge=0,
        description="Below this, images and results that every destination has confirmed are removed "
        "before `retention_days`, the oldest first, until there is room again; 0: never.",
    )


class Log(Section):
    """The log; it never holds a patient attribute."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged."
    )
    format: Literal["console", "json"] = Field("console", description="For people or for machines.")
