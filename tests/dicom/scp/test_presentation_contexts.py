"""What the storage SCP supports, and in which order it prefers transfer syntaxes."""

from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit

from dicom.scp.presentation_contexts import (
    DOCUMENT_CLASSES,
    STORAGE_CLASSES,
    TRANSFER_SYNTAXES,
    ScpSettings,
    offering_entity,
)

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"


def supported(**changes):
    """Return the transfer syntaxes of each supported abstract syntax."""
    entity = offering_entity(ScpSettings(ae_title="WETREAD", host="127.0.0.1", port=0, **changes))
    return {each.abstract_syntax: each.transfer_syntax for each in entity.supported_contexts}


def test_images_documents_verification_and_commitment():
    """Each class once; images in all syntaxes that can be decoded."""
    found = supported()
    assert set(STORAGE_CLASSES) | set(DOCUMENT_CLASSES) < set(found)
    assert found[STORAGE_CLASSES[0]] == list(TRANSFER_SYNTAXES)
    assert UID("1.2.840.10008.1.20.1") in found
    assert len(found) == len(STORAGE_CLASSES) + len(DOCUMENT_CLASSES) + 2
    assert JPEG2000Lossless not in found[DOCUMENT_CLASSES[0]]


def test_a_site_may_add_classes():
    """One that is a document otherwise is then accepted like an image."""
    found = supported(storage_classes=(ULTRASOUND, DOCUMENT_CLASSES[0]))
    assert found[UID(ULTRASOUND)] == list(TRANSFER_SYNTAXES)
    assert found[DOCUMENT_CLASSES[0]] == list(TRANSFER_SYNTAXES)


def test_lossless_syntaxes_come_before_lossy_ones():
    """A sender must neither decompress nor compress with loss for us."""
    names = [each.name for each in TRANSFER_SYNTAXES]
    assert len(set(names)) == len(names)
    assert TRANSFER_SYNTAXES[-1] == JPEGBaseline8Bit
    assert TRANSFER_SYNTAXES.index(JPEG2000Lossless) < names.index("Explicit VR Little Endian")


def test_timeouts_are_those_of_the_settings():
    """For the request, and for a silent association."""
    entity = offering_entity(
        ScpSettings(ae_title="A", host="h", port=0, request_seconds=3, idle_seconds=7)
    )
    assert (entity.acse_timeout, entity.dimse_timeout, entity.network_timeout) == (3, 7, 7)
