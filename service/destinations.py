"""The configured destinations as objects that can send."""

from dicom.association import Peer
from dicom.dicomweb import StowDestination
from dicom.folder import FolderDestination
from dicom.orthanc import OrthancDestination
from dicom.pacs import Destination, DimseDestination, EncodedObject
from service import destination_sections as sections
from service.config import Settings
from service.records import ResultObject


def destinations(settings: Settings) -> dict[str, Destination]:
    """Return each configured destination by its name; nothing is connected to yet.

    A destination keeps its connections for the next delivery, so make them once in a process.
    """
    calling = settings.receiver.ae_title
    return {each.name: _destination(each, calling) for each in settings.destinations}


def encoded_object(result: ResultObject) -> EncodedObject:
    """Return `result` as a destination takes it.

    Raises:
        InvalidIdentifier: One of its UIDs is none.
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
    )
