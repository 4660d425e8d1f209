"""What becomes of a part of a STOW-RS request."""

from dicom.errors import PROCESSING_FAILURE
from dicom.incoming import Announced, Incoming
from dicom.stow import Part
from service.web.upload import Upload


def test_a_bug_does_not_end_as_stored(tmp_path, caplog):
    """What nobody foresaw is answered 0x0110, told without its words, and leaves no file."""
    name = "DOE^JANE"

    def keep(_: Incoming) -> None:
        raise KeyError(name)

    announced = Announced(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        source_ae="TEST",
    )
    path = tmp_path / "film.part"
    incoming = Incoming(path, announced, max_bytes=1000)
    assert path.exists()
    upload = Upload(None, keep=keep, interrupted=lambda: None, max_bytes=1000)
    outcome = upload._store(Part(incoming=incoming, fault=None))
    assert (outcome.failure_reason, outcome.transient) == (PROCESSING_FAILURE, False)
    assert outcome.sop_instance_uid == "1.2.3"
    assert not path.exists()
    assert "KeyError" in caplog.text
    assert "DOE" not in caplog.text
