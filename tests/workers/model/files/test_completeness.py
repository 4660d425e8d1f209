"""Faults of a weight file."""

import json

import pytest

from workers.model.files.completeness import fault_of


def safetensors(end=100, data=100):
    """Return the bytes of a safetensors file whose header names `end` bytes of data."""
    header = json.dumps(
        {"w": {"dtype": "U8", "shape": [end], "data_offsets": [0, end]}, "__metadata__": {}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(data)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("w.bin", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("w.safetensors", safetensors(data=60), "incomplete"),
        ("w.safetensors", safetensors()[:5], "incomplete (5 of at least 8 bytes)"),
        ("w.safetensors", safetensors()[:20], "incomplete (20 of at least"),
        ("w.safetensors", safetensors(), "damaged or incomplete"),
        ("w.safetensors", b"\xff" * 50, "damaged or incomplete"),
        ("w.safetensors", (2).to_bytes(8, "little") + b"[]", "damaged or incomplete"),
        ("w.bin", b"x", "damaged or incomplete"),
    ],
)
def test_each_fault_says_what_to_do(tmp_path, name, content, fault):
    """By the header of the file itself."""
    (tmp_path / name).write_bytes(content)
    found = fault_of(tmp_path / name)
    assert fault in found
    assert "copy it again" in found


def test_a_file_that_is_not_there(tmp_path):
    """The reason of the system."""
    assert fault_of(tmp_path / "none") == "it cannot be opened: No such file or directory"
