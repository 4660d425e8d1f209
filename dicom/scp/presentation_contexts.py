"""Settings of the storage SCP, and the presentation contexts that it supports."""

from dataclasses import dataclass
from typing import Final

import pydicom.uid as uids
from pynetdicom import AE

from dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom.pynetdicom_private import LIBRARY
from dicom.scp.server_tls import TlsFiles
from dicom.scp.streaming import MAXIMUM_PDU
from dicom.scu.commitment import PUSH_MODEL

STORAGE_CLASSES: Final = (
    uids.ComputedRadiographyImageStorage,
    uids.DigitalXRayImageStorageForPresentation,
    uids.DigitalXRayImageStorageForProcessing,
    # Used by digitizers and converters; header and pixels decide whether it is a radiograph.
    uids.SecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)
# Objects of a radiograph's study that are not images. An archive that sends a whole study sends these,
# too, and some stop at the first one that is refused. They are stored, but no job reads them.
DOCUMENT_CLASSES: Final = (
    uids.BasicTextSRStorage,
    uids.EnhancedSRStorage,
    uids.ComprehensiveSRStorage,
    uids.Comprehensive3DSRStorage,
    uids.ChestCADSRStorage,
    uids.KeyObjectSelectionDocumentStorage,
    uids.XRayRadiationDoseSRStorage,
    uids.GrayscaleSoftcopyPresentationStateStorage,
    uids.EncapsulatedPDFStorage,
    uids.EncapsulatedCDAStorage,
)
_DOCUMENT_SYNTAXES: Final = (
    uids.ExplicitVRLittleEndian,
    uids.ImplicitVRLittleEndian,
    uids.DeflatedExplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
)
# All that our decoders can read. If a context proposes several, the first one of this list is accepted:
# compressed lossless syntaxes first, so that a sender need not decompress; lossy ones last, so that a
# sender does not compress with loss for us.
TRANSFER_SYNTAXES: Final = (
    uids.JPEGLosslessSV1,
    uids.JPEGLossless,
    uids.JPEGLSLossless,
    uids.JPEG2000Lossless,
    uids.RLELossless,
    uids.DeflatedExplicitVRLittleEndian,
    uids.ExplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
    uids.ImplicitVRLittleEndian,
    uids.JPEG2000,
    uids.JPEGLSNearLossless,
    uids.JPEGExtended12Bit,
    uids.JPEGBaseline8Bit,
)
_VERIFICATION: Final = "1.2.840.10008.1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScpSettings:
    """Settings of the storage SCP.

    Attributes:
        ae_title: AE title of this SCP.
        host: Address to listen on.
        port: TCP port for plain DICOM; 0 takes a free one, None opens none.
        storage_classes: SOP Class UIDs accepted besides STORAGE_CLASSES and DOCUMENT_CLASSES.
        max_associations: Concurrent associations; one more is rejected (local limit exceeded).
        request_seconds: Timeout for the association request on a new connection.
        idle_seconds: Timeout for a silent association.
        fast: Use `dicom.scp.fast_path.fast_association` if the installed version of pynetdicom is
            one that it was tested with.
        shared_port: Other processes may listen on the same port.
        tls: Files of the TLS port; None opens no such port.
        tls_port: TCP port for TLS; 0 takes a free one.
    """

    ae_title: str
    host: str
    port: int | None
    storage_classes: tuple[str, ...] = ()
    max_associations: int = 256
    request_seconds: float = 15.0
    idle_seconds: float = 120.0
    fast: bool = True
    shared_port: bool = False
    tls: TlsFiles | None = None
    tls_port: int = 0

    @property
    def is_fast(self) -> bool:
        """Whether the fast path is used."""
        return self.fast and LIBRARY.is_tested


def offering_entity(settings: ScpSettings) -> AE:
    """Return an application entity with the presentation contexts and timeouts of `settings`."""
    entity = AE(ae_title=settings.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_associations = 2**31  # StorageSCP counts; pynetdicom would walk over all threads
    entity.maximum_pdu_size = MAXIMUM_PDU - 6
    entity.acse_timeout = settings.request_seconds
    entity.dimse_timeout = entity.network_timeout = settings.idle_seconds
    entity.add_supported_context(_VERIFICATION)
    plain = [uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian]
    entity.add_supported_context(PUSH_MODEL, plain)
    # One context per SOP Class: pynetdicom copies all contexts for each association.
    for storage_class in (*STORAGE_CLASSES, *settings.storage_classes):
        entity.add_supported_context(storage_class, list(TRANSFER_SYNTAXES))
    for document_class in sorted(set(DOCUMENT_CLASSES) - set(settings.storage_classes)):
        entity.add_supported_context(document_class, list(_DOCUMENT_SYNTAXES))
    return entity
