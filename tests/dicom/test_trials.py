"""Every input of the trials with modalities has its stated result."""

from dataclasses import dataclass

import numpy as np
import pytest

from dicom.content.patient_study import copied_modules
from dicom.errors import InvalidDataset, PixelError
from dicom.exact_text import Inexact, reading
from dicom.parsing.header import read_header
from dicom.pixels.frame import PixelLimits, load_frame
from dicom.selection.image_selection import Reason, Rules, choose
from dicom.selection.local_files import describe
from dicom.study import Study

LIMITS = PixelLimits(max_pixels=2**22, max_bytes=2**26)
ADULTS = Rules(minimum_age_years=18, read_children=False)


@dataclass(frozen=True)
class Whole:
    """The expected Frame of an input.

    Attributes:
        mean: Of its pixels.
        note: Text of its only note; "" for none.
        like: An input whose pixels it has, by more than the mean.
        within: The largest difference from them.
    """

    mean: float
    note: str = ""
    like: str = ""
    within: float = 0.0


EXACT = Whole(0.302, like="ref256")
INPUTS = {
    "age_000Y_adult": Whole(0.302),
    "bo_first_offset_16": EXACT,
    "bo_per_fragment_2": EXACT,
    "bs_few_above_12bits_native": Whole(0.400, "bits set above those that Bits Stored declares"),
    "co_rgb": Whole(0.301, "color image", like="ref256", within=0.004),
    "dl_lut_14_in_16": Whole(0.495, "its entries have 14", like="dl_reference", within=0.01),
    "dl_reference": Whole(0.495),
    "ds_slope_comma": EXACT,
    "ds_window_narrow_comma": Whole(0.428, like="ds_window_narrow_ok"),
    "ds_window_narrow_ok": Whole(0.428),
    "e2e_effusion_sv1_cut65": "cut off",
    "e2e_effusion_whole": Whole(0.470),
    "en_j2k_signed_pr0": Whole(0.302, "Pixel Representation", like="ref256"),
    "en_ovl_j2k_prec16": Whole(0.302, "these bits were ignored", like="ref256"),
    "en_prec8_in_ba16_bs8_sv1": Whole(0.301, like="ref256", within=0.004),
    "hb_12in16_left_sv1": EXACT,
    "lu_12in10": Whole(0.302, "its entries have 12", like="ref256", within=0.001),
    "lu_agfa_14in16": Whole(0.302, "its entries have 14", like="ref256", within=0.001),
    "lu_signed_first_negative_pixels_positive": Whole(0.301),
    "lu_us8_packed": Whole(0.301, like="ref256", within=0.004),
    "nu_cs_mid_nul": EXACT,
    "nu_photometric_garbage": EXACT,
    "pa_range_everything": Whole(0.302, "padding", like="ref256"),
    "pa_two_values": Whole(0.302, "padding", like="ref256"),
    "pid_crlf_nocs": Inexact.CONTROL,
    "pid_nul_inside": Inexact.CONTROL,
    "pid_tab_inside_iso_ir192": Inexact.CONTROL,
    "pid_undecodable_utf8": Inexact.UNDECODABLE,
    "pid_win1252_dash_nocs": Inexact.UNDECLARED,
    "px_native_fragments": "uncompressed",
    "re_corrected_same_uid": Whole(0.302, like="re_first"),
    "re_first": Whole(0.302),
    "ref256": EXACT,
    "tc_base_cut80": "cut off",
    "tc_ext_cut80": "cut off",
    "tc_j2k_zero50": "damaged",
    "tc_jls_cut80": "cut off",
    "tc_jls_flip": "damaged",
    "tc_sv1_cut50": "cut off",
    "tc_sv1_zero80": "damaged",
    "tr_ff_16": EXACT,
    "uid_leading_zero_sop": Whole(0.302),
    "zf_native_zero65": Whole(0.131, "35 % of the rows are all zero"),
}
READ = [name for name, due in INPUTS.items() if isinstance(due, Whole)]
REFUSED = [name for name, due in INPUTS.items() if type(due) is str]
INEXACT = [name for name, due in INPUTS.items() if isinstance(due, Inexact)]


@pytest.fixture
def trial(shared_data):
    """A function that returns the path of an input."""
    folder = shared_data / "trials" / "modality"
    if not folder.is_dir():
        pytest.skip("the inputs of the trials are not on this machine")
    return lambda name: folder / f"{name}.dcm"


def selection_of(path):
    """Return the selection of a study of this image alone."""
    instance = describe(path)
    study = Study(study_instance_uid=instance.study_instance_uid, instances=(instance,))
    return choose(study, ADULTS, LIMITS)


def test_every_input_is_here(trial):
    """This module covers every input."""
    assert {path.stem for path in trial("ref256").parent.glob("*.dcm")} == set(INPUTS)


@pytest.mark.parametrize("name", READ)
def test_an_input_is_read_as_stated(trial, name):
    """Brightness, pixels and notes; and it is selected for reading."""
    due = INPUTS[name]
    frame = load_frame(trial(name), LIMITS)
    assert frame.pixels.mean() == pytest.approx(due.mean, abs=0.003)
    assert len(frame.warnings) == bool(due.note)
    assert due.note in "".join(frame.warnings)
    if due.like:
        like = load_frame(trial(due.like), LIMITS).pixels
        assert np.abs(frame.pixels - like).max() <= due.within
    assert selection_of(trial(name)).instance is not None


@pytest.mark.parametrize("name", REFUSED)
def test_an_input_is_unreadable_as_stated(trial, name):
    """The message of the job has the reason."""
    with pytest.raises(PixelError, match=INPUTS[name]):
        load_frame(trial(name), LIMITS)
    selection = selection_of(trial(name))
    assert selection.reason is Reason.UNREADABLE
    assert INPUTS[name] in selection.sentence


@pytest.mark.parametrize("name", INEXACT)
def test_an_input_has_no_exact_patient_id(trial, name):
    """So no result is made under another one."""
    header = read_header(trial(name))
    assert reading(header, "PatientID").fault is INPUTS[name]
    with pytest.raises(InvalidDataset, match="Patient ID"):
        copied_modules(header)
