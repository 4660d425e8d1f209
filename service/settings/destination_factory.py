"""Builds the objects that send to the configured destinations and search the configured archives."""

from typing import Final

from dicom import pynetdicom_private
from dicom.archives.archive import Archive
from dicom.archives.dicomweb import DicomwebArchive
from dicom.archives.dimse import DimseArchive
from dicom.archives.orthanc import OrthancArchive
from dicom.destinations import orthanc_client
from dicom.destinations.destination import Destination, EncodedObject
from dicom.destinations.dicomweb import StowDestination
from dicom.destinations.dimse import DimseDestination
from dicom.destinations.folder import FolderDestination
from dicom.destinations.http import HttpRoute
from dicom.destinations.orthanc import OrthancDestination
from dicom.network import httpx_transport, requests_adapter
from dicom.network.client_tls import PeerTls, tls_failure
from dicom.scu.association import Peer
from service.errors import ConfigurationError
from service.records import ResultObject
from service.settings.config import Settings
from service.settings.keys import destinations as sections
from service.settings.keys.reconcile import Reconcile

# The libraries of which destinations use internal parts.
DESTINATION_LIBRARIES: Final = (
    pynetdicom_private.LIBRARY,
    orthanc_client.LIBRARY,
    httpx_transport.LIBRARY,
    requests_adapter.LIBRARY,
)


def destinations(settings: Settings) -> dict[str, Destination]:
    """Return each configured destination by its name, not yet connected.

    A destination reuses its connections, so call this once in a process.

    Raises:
        ConfigurationError: A TLS file of a destination cannot be used.
    """
    calling = settings.receiver.ae_title
    return {each.name: destination(each, calling) for each in settings.destinations}


def destination(each: sections.Destination, calling: str) -> Destination:
    """Return one configured destination, not yet connected.

    Args:
        each: Its table of the settings.
        calling: Our AE title.

    Raises:
        ConfigurationError: A TLS file of the destination cannot be used.
    """
    try:
        return _destination(each, calling)
    except OSError as error:
        reason = tls_failure(error) or error.strerror
        raise ConfigurationError(
            f'destinations "{each.name}": tls_ca, tls_certificate, tls_key: cannot be used: {reason}'
        ) from None


def archive(table: Reconcile, settings: Settings) -> Archive:
    """Return the archive that a table `[[reconcile]]` names, not yet connected.

    Raises:
        ConfigurationError: The archive is of a kind that cannot be searched.
    """
    named = {each.name: each for each in settings.destinations}
    section = table.archive or named.get(table.destination or "")
    receiver = settings.receiver
    if isinstance(section, sections.DimseDestination):
        return DimseArchive(
            _peer(section, receiver.ae_title),
            retrieval=table.retrieval,
            storage_classes=receiver.storage_classes,
        )
    connection = destination(section, receiver.ae_title) if section else None
    match connection:
        case OrthancDestination():
            return OrthancArchive(connection)
        case StowDestination():
            return DicomwebArchive(connection)
        case _:
            raise ConfigurationError(f"reconcile: {table.name} cannot be searched")


def encoded_object(result: ResultObject) -> EncodedObject:
    """Return `result` in the form that a destination accepts.

    Raises:
        InvalidIdentifier: A UID is not valid.
    """
    return EncodedObject(
        sop_class_uid=result.sop_class_uid,
        sop_instance_uid=result.sop_instance_uid,
        series_instance_uid=result.series_instance_uid,
        study_instance_uid=result.study_instance_uid,
        path=result.path,
        sha256=result.sha256,
    )


def _destination(each: sections.Destination, calling: str) -> Destination:
    match each:
        case sections.OrthancDestination():
            return OrthancDestination(
                name=each.name,
                url=each.url,
                username=each.username,
                password=each.password.get_secret_value(),
                timeout=each.timeout,
                max_connections=each.max_in_flight,
                route=HttpRoute(tls=_tls(each), proxy=each.proxy),
            )
        case sections.DimseDestination():
            return DimseDestination(_peer(each, calling), verify=each.verify)
        case sections.StowDestination():
            return StowDestination(
                name=each.name,
                url=each.url,
                username=each.username,
                password=each.password.get_secret_value(),
                token=each.token.get_secret_value(),
                timeout=each.timeout,
                max_connections=each.max_in_flight,
                route=HttpRoute(tls=_tls(each), proxy=each.proxy),
            )
        case sections.FolderDestination():
            return FolderDestination(name=each.name, path=each.path, sidecar=each.json_sidecar)


def _peer(each: sections.DimseDestination, calling: str) -> Peer:
    return Peer(
        name=each.name,
        host=each.host,
        port=each.port,
        called=each.ae_title,
        calling=calling,
        timeout=each.timeout,
        tls=_tls(each) if each.tls else None,
    )


def _tls(
    each: sections.OrthancDestination | sections.StowDestination | sections.DimseDestination,
) -> PeerTls:
    return PeerTls(
        ca=each.tls_ca,
        certificate=each.tls_certificate,
        key=each.tls_key,
        sha256=each.tls_sha256,
    )
