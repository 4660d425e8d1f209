"""Runs the checkpoint of a golden folder and holds every array against what the original code gave.

`python -m workers.model.golden.parity DIR` prints each array's largest difference and exits 1 when
one is past its tolerance. A golden folder holds a checkpoint (of LLaVA-Rad: two folders, base and
adapter), `golden.npz`, `golden.json`, `input.png` and `preprocess_cases.npz`. On the CPU, in
float32 as the arrays were made and in float64; a line of the float32 run ends with ", float32".
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from workers.model.errors import ModelError
from workers.model.golden import cxr_llava, llava_rad
from workers.model.golden.comparison import Comparison


def compare(folder: Path) -> Iterator[Comparison]:
    """Yield a comparison for each golden in `folder`, whichever model's it is.

    Raises:
        ModelError: The checkpoint cannot be loaded or run.
        OSError: A golden file is missing.
    """
    if (folder / "config.json").is_file():
        return cxr_llava.compare(folder)
    return llava_rad.compare(folder)


def main(arguments: Sequence[str]) -> int:
    """Print the table for the folder named by the only argument; 0 when everything holds."""
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
