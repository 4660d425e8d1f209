"""Runs the checkpoint of a golden folder and compares every array with that of the original code.

`python -m workers.model.golden.parity DIR` prints each array's largest difference and exits with 1 if
one exceeds its tolerance. A golden folder holds a checkpoint (of LLaVA-Rad: two folders, base and
adapter), `golden.npz`, `golden.json`, `input.png` and `preprocess_cases.npz`. The model runs on the CPU,
in float32 like the original and in float64; lines of the float32 run end with ", float32".
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from workers.model.errors import ModelError
from workers.model.golden import cxr_llava, llava_rad
from workers.model.golden.comparison import Comparison


def compare(folder: Path) -> Iterator[Comparison]:
    """Yield a comparison for each golden in `folder`, of either model.

    Raises:
        ModelError: The checkpoint cannot be loaded or run.
        OSError: A golden file is missing.
    """
    if (folder / "config.json").is_file():
        return cxr_llava.compare(folder)
    return llava_rad.compare(folder)


def main(arguments: Sequence[str]) -> int:
    """Print the table for the folder that is the only argument; return 0 if everything holds."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m workers.model.golden.parity DIR\n")
        return 2
    held = True
    try:
        for row in compare(Path(arguments[0])):
            mark = "ok" if row.holds else "DIFFERS"
            sys.stdout.write(f"{row.difference:10.2e}  {row.tolerance:8.0e}  {mark:8}{row.name}\n")
            held = held and row.holds
    except (ModelError, OSError, KeyError) as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
