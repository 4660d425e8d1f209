"""How the storage SCP listens, and what it offers in negotiation."""

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
    # Digitizers and converters send radiographs so; tags and picture decide whether it is one.
    uids.SecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)
# What belongs to a radiograph's study without being an image. An archive that sends a whole study sends
# these, too, and some stop at the first one that is refused. They are stored; no job reads them.
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
# All that our decoders can read. Of several proposed in one context the first of these is accepted:
# lossless ones as they are, so that nobody decodes for us; lossy ones last, so that nobody compresses.
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
    """How the SCP listens.

    Attributes:
        port: For plain DICOM; 0 takes a free one, None opens none.
        storage_classes: SOP Class UIDs accepted besides STORAGE_CLASSES and DOCUMENT_CLASSES.
        max_associations: At the same time; one more is rejected as over the local limit.
        request_seconds: How long a connection may stay without an association request.
        idle_seconds: How long an association may be silent.
        fast: Receive by `dicom.scp.fast_path.fast_association`, with a version of pynetdicom that
            it was tried with.
        shared_port: Other processes may listen on the same port.
        tls: The files with which the TLS port is secured, or None for no such port.
        tls_port: That port; 0 takes a free one.
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
        """Whether the fast path is in force."""
        return self.fast and LIBRARY.is_tried


def offering_entity(settings: ScpSettings) -> AE:
    """Return the application entity that accepts what these settings say."""
    entity = AE(ae_title=settings.ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_associations = 2**31  # counted by us, without a walk over all threads
    entity.maximum_pdu_size = MAXIMUM_PDU - 6
    entity.acse_timeout = settings.request_seconds
    entity.dimse_timeout = entity.network_timeout = settings.idle_seconds
    entity.add_supported_context(_VERIFICATION)
    plain = [uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian]
    entity.add_supported_context(PUSH_MODEL, plain)
    # Few contexts: pynetdicom copies all of them for each association.
    for storage_class in (*STORAGE_CLASSES, *settings.storage_classes):
        entity.add_supported_context(storage_class, list(TRANSFER_SYNTAXES))
    for document_class in sorted(set(DOCUMENT_CLASSES) - set(settings.storage_classes)):
        entity.add_supported_context(document_class, list(_DOCUMENT_SYNTAXES))
    return entity
