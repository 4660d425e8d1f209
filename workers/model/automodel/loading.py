"""Loads a checkpoint folder with the library's classes: safetensors only, no code of the checkpoint.

AutoModelForImageTextToText and AutoProcessor do the work. This module refuses what they accept: pickled
weights, missing or misshaped tensors, a model that does not fit into memory, and batches whose rows
depend on each other.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from safetensors import SafetensorError

from workers.model.automodel import lora, memory, token_ids
from workers.model.automodel.generating import SpecialIds
from workers.model.automodel.library import (
    LOCAL,
    MODELS,
    AutoConfig,
    AutoModel,
    GenerationConfig,
    library_logging,
)
from workers.model.automodel.processor_files import first_line
from workers.model.automodel.processors import Prompt, PromptMaker, load_processor
from workers.model.automodel.rows import YesNo
from workers.model.automodel.trial_prompts import first_prompt, rows_are_independent
from workers.model.checkpoints.loading import libraries, revision
from workers.model.config import read_json
from workers.model.errors import CheckpointError, GenerationError, PromptTooLong
from workers.model.files import snapshot
from workers.model.files.weights import WeightFiles
from workers.model.placement import HERE, Place
from workers.model.profiles import chat, described
from workers.model.profiles.profile import Ability, Profile
from workers.model.profiles.report_text import ended
from workers.model.prompts import Task
from workers.model.vlm import Checkpoint, Decoding

_NAMED: Final = 6  # tensors that an error names
_STOP_WINDOW: Final = 24  # ids that may spell a stop word
# The errors that the library raises for files that it cannot use.
_LIBRARY_FAULTS: Final = (OSError, ValueError, TypeError, KeyError, AttributeError)
# Further ones while it builds and fills the network.
_NETWORK_FAULTS: Final = (AssertionError, ImportError, RuntimeError, SafetensorError)
_LIBRARIES: Final = ("transformers", "tokenizers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A loaded checkpoint with its profile.

    Attributes:
        network: The library's model, in evaluation mode on its device.
        maker: Makes its prompts.
        yes_no: The first ids of its answers to yes-or-no questions, if the profile has such questions.
        end_ids: The ids that end an answer.
        special: Ids that no answer contains.
        positions: Most tokens of prompt and answer together.
        batches: Whether a row of a batch gives the same as alone, as measured when it was loaded.
    """

    network: Any
    maker: PromptMaker
    profile: Profile
    checkpoint: Checkpoint
    yes_no: YesNo | None
    end_ids: frozenset[int]
    special: SpecialIds
    positions: int
    batches: bool = False

    def asked(self, image: Image.Image, question: str) -> Prompt:
        """Return the prompt of a general yes-or-no question (`prompts.IS_THERE`) in the model's words.

        Raises:
            GenerationError: The profile has no questions.
        """
        if self.profile.scores is None:
            raise GenerationError(
                f"{self.profile.name} gives no scores: its profile has no questions"
            )
        own = self.profile.scores.questions.by_general().get(question, question)
        turns = chat.turns(self.profile, Task.QUESTION, question=own)
        return self.maker.prompt(image, turns)

    def ends(self, ids: list[int]) -> bool:
        """Return whether an answer is over: an id that ends it, or a stop word of the profile."""
        if not ids:
            return False
        if ids[-1] in self.end_ids:
            return True
        stop = self.profile.answer.stop
        return bool(stop) and any(word in self._decoded(ids[-_STOP_WINDOW:]) for word in stop)

    def text(self, ids: Sequence[int]) -> str:
        """Return written ids as text, without special tokens and stop words."""
        kept = [one for one in ids if one not in self.end_ids]
        return ended(self._decoded(self._after_thinking(kept)), self.profile.answer)

    def bounded(self, decoding: Decoding, length: int) -> Decoding:
        """Return `decoding` with no more new tokens than there is room for after `length` tokens.

        Raises:
            PromptTooLong: There is room for no new token.
        """
        room = min(decoding.max_new_tokens, self.positions - length)
        if room < 1:
            raise PromptTooLong(f"the prompt of {length} tokens leaves no room for an answer")
        return dataclasses.replace(decoding, max_new_tokens=room)

    def _after_thinking(self, ids: list[int]) -> list[int]:
        """Return the ids after the last words of the profile's `begins_after`, which may be special."""
        begins = self.profile.answer.begins_after
        if begins and begins in self._decoded(ids, special=True):
            for start in range(len(ids), 0, -1):
                if begins in self._decoded(ids[start - 1 :], special=True):
                    # `start` is the last place where the words begin; they end with the next ids.
                    return ids[self._end_of(ids, start - 1, begins) :]
        return ids

    def _end_of(self, ids: list[int], start: int, stop: str) -> int:
        return next(
            end
            for end in range(start + 1, len(ids) + 1)
            if stop in self._decoded(ids[start:end], special=True)
        )

    def _decoded(self, ids: Sequence[int], *, special: bool = False) -> str:
        text: str = self.maker.tokenizer.decode(list(ids), skip_special_tokens=not special)
        return text


def load(
    folder: Path, profile: Profile, place: Place = HERE, *, adapter: Path | None = None
) -> Loaded:
    """Return the checkpoint in `folder`, ready to answer.

    Args:
        folder: Folder of the files, or a model's folder in the Hub's cache.
        profile: Its profile.
        place: Device and number format.
        adapter: Folder of a LoRA adapter that is merged into the weights.

    Raises:
        CheckpointError: The files are not complete, need code of their own, or do not fit together or
            to the profile; or they differ from their SHA256SUMS.
        DeviceError: The device has too little memory; the message states what would fit.
    """
    folder = snapshot.resolved_folder(folder)
    adapter = None if adapter is None else snapshot.resolved_folder(adapter)
    files = _safetensors(folder)
    model_type = _known_type(folder)
    library_logging.disable_progress_bar()
    library_logging.set_verbosity_error()
    config = _config(folder)
    _check_purpose(folder, config, profile)
    maker = PromptMaker(load_processor(folder, model_type), profile, folder)
    placeholders = token_ids.placeholders(config, maker, folder)
    prompt = first_prompt(maker, profile, config, folder)
    token_ids.check_prompt(prompt, config, maker, folder)
    memory.check(files, config, place, prompt.length)
    network = _network(folder, config, place)
    if adapter is not None:
        files = WeightFiles((*files.paths, *lora.files(adapter).paths))
        lora.merge(network, adapter)
    checkpoint = _recorded(profile, files, folder, place)
    end_ids = _end_ids(network, maker)
    # Otherwise `generate` would also apply penalties that the checkpoint's file states, which count the
    # padding of a batch.
    network.generation_config = GenerationConfig()
    loaded = Loaded(
        network=network,
        maker=maker,
        profile=profile,
        checkpoint=checkpoint,
        yes_no=_yes_no(profile, maker, folder),
        end_ids=end_ids,
        special=SpecialIds(_pad_id(maker), placeholders),
        positions=int(getattr(config.get_text_config(), "max_position_embeddings", 2**31)),
    )
    return dataclasses.replace(loaded, batches=rows_are_independent(loaded, folder))


def _safetensors(folder: Path) -> WeightFiles:
    files = WeightFiles.find(folder, pickled=False)
    other = [path.name for path in files.paths if path.suffix != ".safetensors"]
    if other:
        raise CheckpointError(
            f"{folder}: {other[0]} is a pickled file, which is not read for this kind of model: save "
            "the weights as safetensors (`save_pretrained` of the library does)"
        )
    return files


def _known_type(folder: Path) -> str:
    """Return the architecture's name, if the library implements it."""
    source = read_json(folder / "config.json")
    name = str(source.get("model_type", ""))
    if name not in MODELS:
        code = " and names code of its own (auto_map), which is not executed" * (
            "auto_map" in source
        )
        raise CheckpointError(
            f"{folder / 'config.json'}: model_type = {name[:60]!r} is none that transformers' "
            f"AutoModelForImageTextToText implements{code}; a server can run such a model for Wetread"
        )
    return name


def _config(folder: Path) -> Any:  # noqa: ANN401 - any configuration of the library
    try:
        config = AutoConfig.from_pretrained(folder, **LOCAL)
    except _LIBRARY_FAULTS as error:
        raise CheckpointError(f"{folder / 'config.json'}: {first_line(error)}") from None
    if getattr(config, "is_encoder_decoder", False):
        raise CheckpointError(
            f"{folder}: {config.model_type} has a text encoder of its own; only models that read prompt "
            "and image in one sequence are implemented"
        )
    return config


def _check_purpose(folder: Path, config: Any, profile: Profile) -> None:  # noqa: ANN401 - as above
    """Refuse a profile that would let a checkpoint of synthetic images read patients."""
    if getattr(config, "phantoms_only", False) and not profile.card.phantoms_only:
        raise CheckpointError(
            f"{folder / 'config.json'}: these weights were trained on synthetic images only: set "
            "phantoms_only = true and a caveat in [card] of the profile"
        )


def _network(folder: Path, config: Any, place: Place) -> Any:  # noqa: ANN401 - any model class of the library
    how = {
        "dtype": place.dtype,
        "use_safetensors": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # so that they are named below, and refused
        **LOCAL,
    }
    try:
        network, loaded = AutoModel.from_pretrained(folder, config=config, **how)
    except torch.OutOfMemoryError:
        raise
    except (*_LIBRARY_FAULTS, *_NETWORK_FAULTS) as error:
        raise CheckpointError(
            f"{folder}: the weights cannot be loaded: {first_line(error)}"
        ) from None
    faults = [
        f"{fault}: {', '.join(sorted(map(_tensor, loaded[key]))[:_NAMED])}"
        for key, fault in (("missing_keys", "missing"), ("mismatched_keys", "of another shape"))
        if loaded.get(key)
    ]
    if faults:
        raise CheckpointError(
            f"{folder}: the weights do not fit the configuration; {'; '.join(faults)}"
        )
    return network.eval().requires_grad_(requires_grad=False).to(place.device)


def _tensor(entry: str | tuple[str, Any, Any]) -> str:
    """Return a tensor's name, and its shapes in the file and in the network if they differ."""
    if isinstance(entry, str):
        return entry
    name, stored, expected = entry
    return f"{name} {tuple(stored)} instead of {tuple(expected)}"


def _recorded(profile: Profile, files: WeightFiles, folder: Path, place: Place) -> Checkpoint:
    digest = files.sha256()
    return dataclasses.replace(
        described.checkpoint(profile, cannot=(Ability.REGIONS,)),
        revision=revision(folder, digest),
        weights_sha256=digest,
        device=str(place.device),
        dtype=place.format,
        libraries=libraries(_LIBRARIES),
    )


def _yes_no(profile: Profile, maker: PromptMaker, folder: Path) -> YesNo | None:
    if profile.scores is None:
        return None
    tokenizer = maker.tokenizer
    yes, no = (
        tuple(
            first
            for word in dict.fromkeys(each)
            if (first := tokenizer.encode(word, add_special_tokens=False)[0])
            != tokenizer.unk_token_id
        )
        for each in (profile.scores.yes, profile.scores.no)
    )
    if not yes or not no or set(yes) & set(no):
        raise CheckpointError(
            f"{folder}: the tokenizer does not tell scores.yes from scores.no of the profile by their "
            "first token: use other words there"
        )
    return YesNo(yes, no)


def _end_ids(network: Any, maker: PromptMaker) -> frozenset[int]:  # noqa: ANN401 - any model class of the library
    stated = network.generation_config.eos_token_id
    every = stated if isinstance(stated, list) else [stated]
    return frozenset(one for one in (*every, maker.tokenizer.eos_token_id) if one is not None)


def _pad_id(maker: PromptMaker) -> int:
    tokenizer = maker.tokenizer
    found = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return int(next(one for one in found if one is not None))
