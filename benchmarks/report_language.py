"""Make and measure the words and pairs by which `report_language` recognizes a report.

    python benchmarks/report_language.py write [FOLDER]     makes
    workers/labeller/report_language.txt anew python benchmarks/report_language.py reports [FOLDER]
     how many reports are taken for no language python benchmarks/report_language.py models
        how many damaged models are noticed

FOLDER holds `openi_reports_dev.tgz` (default: ../shared/data/reports). Words and pairs come from these
reports, from the sentences of tests/workers/goldens/report_sentences.txt and from the reports that the
demo model is trained on; a word or pair counts when at least two reports have it. `reports` judges each
fifth of the reports by the words of everything else, and each half by those of the other half alone, so
that no report is judged by its own words.
"""

import argparse
import itertools
import json
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from labeler import DEFAULT
from labeler import reports as archived
from safetensors.torch import load_file, save_file

from dicom.phantom import draw, random_findings
from workers.labeller import report_language
from workers.labeller.report_language import WORDS_FILE, fault_of, tokenized
from workers.model.checkpoints import cxr_llava, shipped, tiny
from workers.model.prompts import Task
from workers.model.vlm import Decoding
from workers.training import grammar

SENTENCES = Path(__file__).resolve().parents[1] / "tests/workers/goldens/report_sentences.txt"
DRAWN = 3000  # reports of the demo model's grammar
SEEDS = 12
_HEAD = (
    "# Made by benchmarks/report_language.py: a word, and the words that follow it in reports.\n"
)


def real(folder: Path) -> list[str]:
    """Return the reports of the archive that have text, shuffled."""
    texts = [text for _, text in archived(folder / "openi_reports_dev.tgz") if text.strip()]
    random.Random(1).shuffle(texts)
    return texts


def sentences() -> list[str]:
    """Return the texts in the style of other hospitals."""
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()
    return [line.split("|", 1)[1].strip() for line in lines if "|" in line and line[0] != "#"]


def drawn() -> Iterator[str]:
    """Yield reports of the demo model's grammar."""
    rng = np.random.default_rng(1)
    for _ in range(DRAWN):
        yield grammar.report(random_findings(rng), rng)


def followers(texts: Iterable[str], more: Iterable[str] = ()) -> dict[str, set[str]]:
    """Return each word that two of `texts`, or one of `more`, hold, with what follows it there."""
    counts: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for weight, source in ((1, texts), (2, more)):
        for text in source:
            tokens = tokenized(re.sub(r"\bx{2,}\b", " ", text, flags=re.IGNORECASE))
            counts.update(dict.fromkeys(tokens, weight))
            pairs.update(dict.fromkeys(itertools.pairwise(tokens), weight))
    known = {word: set[str]() for word, count in counts.items() if count > 1 and word.isascii()}
    for (word, after), count in pairs.items():
        if count > 1 and word in known and after in known:
            known[word].add(after)
    return known


def write(folder: Path) -> None:
    """Write `WORDS_FILE`."""
    known = followers([*real(folder), *drawn()], sentences())
    lines = (" ".join([word, *sorted(known[word])]) for word in sorted(known))
    WORDS_FILE.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    print(len(known), "words,", sum(map(len, known.values())), "pairs")


def judged_by(known: dict[str, set[str]], texts: Sequence[str], name: str) -> None:
    """Print how many of `texts` are no language by the words `known` alone."""
    report_language._followers = lambda: known  # noqa: SLF001 - what is measured
    faults = [fault for fault in map(fault_of, texts) if fault]
    print(f"{name}: {len(faults)} of {len(texts)}", *sorted(set(faults)), sep="\n    ")


def measure_reports(folder: Path) -> None:
    """Print how many real texts are taken for no language."""
    texts = real(folder)
    others, made = sentences(), list(drawn())
    for part in range(5):
        rest = [text for number, text in enumerate(texts) if number % 5 != part]
        judged_by(followers([*rest, *made], others), texts[part::5], "a fifth, by all other words")
    for part in range(2):
        known = followers(texts[1 - part :: 2])
        judged_by(known, texts[part::2], "a half, by the other half's words alone")
    known = followers(texts)
    five = [" ".join(others[at : at + 5]) for at in range(0, len(others), 5)]
    judged_by(known, five, "other hospitals, five sentences each, by the reports' words")
    judged_by(known, made, "the demo model's grammar, by the reports' words")


def shuffled_tokenizer(folder: Path, seed: int) -> None:
    """Exchange the meaning of the ids at random, as another tokenizer does.

    The rows of the ids are exchanged in the weights, which is the same and needs no change of the file.
    """
    pieces = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model"))
    first = next(number for number in range(3, len(pieces)) if not pieces.is_byte(number))
    order = torch.randperm(len(pieces) - first, generator=torch.Generator().manual_seed(seed))
    rows = torch.cat((torch.arange(first), first + order))
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        for name, tensor in tensors.items():
            if name.endswith(("embed_tokens.weight", "lm_head.weight")):
                tensors[name] = tensor[rows].contiguous()
        save_file(tensors, file, metadata={"format": "pt"})


def noisy(folder: Path, seed: int, strength: float) -> None:
    """Add noise to every weight, `strength` times its tensor's deviation."""
    generator = torch.Generator().manual_seed(seed)
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        for name, tensor in tensors.items():
            noise = torch.randn(tensor.shape, generator=generator)
            spread = tensor.float().std(correction=0)
            tensors[name] = (tensor.float() + strength * spread * noise).to(tensor.dtype)
        save_file(tensors, file, metadata={"format": "pt"})


def without_layers(folder: Path, kept: int) -> None:
    """Keep only the first `kept` layers of the decoder."""
    config = json.loads((folder / "config.json").read_text())
    most = config["llama"]["num_hidden_layers"]
    config["llama"]["num_hidden_layers"] = kept
    (folder / "config.json").write_text(json.dumps(config))
    index_file = folder / "model.safetensors.index.json"
    index = json.loads(index_file.read_text())
    gone = tuple(f".layers.{number}." for number in range(kept, most))
    index["weight_map"] = {
        name: file
        for name, file in index["weight_map"].items()
        if not any(part in name for part in gone)
    }
    index_file.write_text(json.dumps(index))
    for file in folder.glob("*.safetensors"):
        left = {n: t for n, t in load_file(file).items() if not any(part in n for part in gone)}
        save_file(left, file, metadata={"format": "pt"})


def texts_of(folder: Path) -> list[str]:
    """Return what the model in `folder` writes of two phantoms, greedily and sampled."""
    model, texts = cxr_llava.load(folder), []
    for seed in (5, 6):
        image = draw(seed, rows=300, columns=300)
        frame = (image.pixels / (2**image.bits_stored - 1)).astype("float32")
        for temperature in (0.0, 1.0):
            how = Decoding(temperature=temperature, max_new_tokens=100)
            texts.append(model.answer(frame, Task.REPORT, decoding=how).text)
    return texts


def counted(name: str, make: Callable[[Path, int], None], seeds: int = SEEDS) -> None:
    """Print how many texts of `seeds` damaged models are noticed."""
    texts: list[str] = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as place:
            make(Path(place), seed)
            texts += texts_of(Path(place))
    # An empty text fails its job by itself.
    missed = [text for text in texts if text.strip() and not fault_of(text)]
    print(f"{name}: {len(texts) - len(missed)} of {len(texts)}", *missed[:2], sep="\n    ")


def measure_models() -> None:
    """Print how many texts of random and of damaged models are noticed."""

    def random_text(folder: Path, seed: int) -> None:
        tiny.write_checkpoint(folder, seed)

    def random_pieces(folder: Path, seed: int) -> None:
        tiny.write_checkpoint(folder, seed)
        noisy(folder, seed, 1.0)

    def demo(damage: Callable[[Path, int], None]) -> Callable[[Path, int], None]:
        def make(folder: Path, seed: int) -> None:
            shutil.copytree(shipped.FOLDER, folder, dirs_exist_ok=True)
            damage(folder, seed)

        return make

    counted("random weights, whole words only", random_text)
    counted("random weights", random_pieces)
    counted("demo model, pieces of the tokenizer exchanged", demo(shuffled_tokenizer))
    for strength in (0.1, 0.3, 1.0):
        what = f"demo model, noise of {strength:g} deviations"
        counted(what, demo(lambda folder, seed, much=strength: noisy(folder, seed, much)))
    for layers in (2, 1):
        what = f"demo model, {layers} of 3 layers"
        counted(what, demo(lambda folder, _, kept=layers: without_layers(folder, kept)), seeds=1)
    counted("demo model as it is", demo(lambda _, __: None), seeds=1)


def main() -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["write", "reports", "models"])
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    match asked.what:
        case "write":
            write(asked.folder)
        case "reports":
            measure_reports(asked.folder)
        case "models":
            measure_models()


if __name__ == "__main__":
    main()
