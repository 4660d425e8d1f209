"""The synthetic image of an end-to-end check, and its C-STORE to the receiver."""

from pathlib import Path
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian

from dicom.content.report import Observation, Side
from dicom.errors import DestinationRejected, DestinationUnavailable
from dicom.network.client_tls import PeerTls
from dicom.scu.association import Peer, associate
from dicom.scu.store_scu import Part10File, contexts_of, is_stored, store
from dicom.spool.digest import new_hasher
from dicom.spool.spool import content_digest
from service.records.probes import Probe
from service.settings.config import Settings
from service.system.private_servers import private_folder

# The person whose image `wetread load-model` reads too: the finding is plain to see there.
_SEED: Final = 3
_ROWS: Final = 512
_EXTENT: Final = 0.6
_TIMEOUT: Final = 30.0
_EVERY_INTERFACE: Final = ("0.0.0.0", "::", "")  # noqa: S104 - compared, not listened on


def image_path(settings: Settings, probe: Probe) -> Path:
    """Return the file from which the image of a check is sent."""
    return settings.run_dir / "probe" / f"{probe.id}.dcm"


def write_image(settings: Settings, probe: Probe) -> tuple[str, str]:
    """Write the image of a check; the same bytes each time.

    Returns:
        Its SOP Instance UID, and the digest of its data set as the receiver computes it.

    Raises:
        OSError: The file cannot be written.
    """
    # Imported here: the sweeper starts without numpy's drawing routines.
    from dicom.phantom import (  # noqa: PLC0415
        Demographics,
        PhantomFinding,
        as_dataset,
        draw,
        write,
    )

    finding = PhantomFinding(
        observation=Observation(settings.probe.finding), side=Side.RIGHT, extent=_EXTENT
    )
    if finding.observation is Observation.CARDIOMEGALY:
        finding = PhantomFinding(observation=finding.observation, extent=_EXTENT)
    phantom = draw(_SEED, rows=_ROWS, columns=_ROWS, findings=(finding,))
    person = Demographics(
        patient_name="WETREAD^END-TO-END CHECK",
        patient_id="WETREAD-CHECK",
        age=phantom.age,
        sex=phantom.sex,
        accession_number=f"CHECK{probe.id[:8]}",
    )
    image = as_dataset(
        phantom,
        patient=person,
        study_instance_uid=probe.study_instance_uid,
        transfer_syntax=ExplicitVRLittleEndian,
    )
    path = image_path(settings, probe)
    private_folder(path.parent)
    write(image, path)
    return str(image.SOPInstanceUID), content_digest(path, like=new_hasher().hexdigest())


def send_image(settings: Settings, probe: Probe) -> None:
    """Send the image of a check to the receiver and return once that has stored it.

    Raises:
        DestinationUnavailable: The receiver does not answer, or refuses it for now (0xA7xx).
        DestinationRejected: The receiver refuses the association or the image.
        InvalidDataset: The file is missing or damaged.
    """
    peer = _receiver(settings)
    file = Part10File.read(image_path(settings, probe))
    with associate(peer, contexts_of([file])) as association:
        status = store(association, peer, file)
    if is_stored(status):
        return
    answer = f"{peer} answered C-STORE with status 0x{status:04X}"
    raise (DestinationUnavailable if status & 0xFF00 == 0xA700 else DestinationRejected)(answer)


def _receiver(settings: Settings) -> Peer:
    probe, receiver = settings.probe, settings.receiver
    tls = receiver.port is None if probe.tls is None else probe.tls
    port = probe.port or (receiver.tls_port if tls else receiver.port) or receiver.ports[0]
    host = probe.host or receiver.host
    return Peer(
        name="the receiver",
        host="127.0.0.1" if host in _EVERY_INTERFACE else host,
        port=port,
        called=receiver.ae_title,
        calling=probe.ae_title,
        timeout=_TIMEOUT,
        tls=PeerTls(ca=probe.tls_ca, certificate=probe.tls_certificate, key=probe.tls_key)
        if tls
        else None,
    )
