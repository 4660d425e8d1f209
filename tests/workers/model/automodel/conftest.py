"""Makes checkpoints with random weights of four architectures, with tokenizer and processor, in code."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers

from workers.model.profiles.load import find_profile, load_profile

WORDS = """
the lungs are clear heart is normal size no acute finding effusion pneumothorax consolidation edema
atelectasis cardiomegaly left right small large there a of and in with mild bones pleural chest Yes No
report write this describe findings impression : . , ? user assistant system
"""
TEXT = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 1024, "initializer_range": 0.4,
}  # fmt: skip
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "patch_size": 8}
# Turns in order, each part of a turn in order; `image` stands for the image.
LAYOUT = (
    "{% for m in messages %}{{ m['role'] + ' : ' }}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}{{ 'IMAGE ' }}{% else %}{{ c['text'] + ' ' }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"
)
ARCHITECTURES = ("gemma3", "llava_next", "qwen2_vl", "idefics3")


def tokenizer(*special: str, named: dict[str, str] | None = None):
    """Return a tokenizer of WORDS and these special tokens."""
    named = named or {}
    every = ("<pad>", "<s>", "</s>", "<unk>", *special, *named.values(), *WORDS.split())
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(every))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token=every[3]))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), every, strict=False))
    made = tf.PreTrainedTokenizerFast(tokenizer_object=core, extra_special_tokens=named, **names)
    made.add_special_tokens({"additional_special_tokens": list(special)})
    return made


def _gemma3():
    own_tokenizer = tokenizer(
        named={"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<img>"}
    )
    images = tf.Gemma3ImageProcessorPil(size={"height": 32, "width": 32})
    processor = tf.Gemma3Processor(
        images, own_tokenizer, image_seq_length=4, chat_template=LAYOUT.replace("IMAGE", "<boi>")
    )
    config = tf.Gemma3Config(
        text_config={
            **TEXT, "vocab_size": len(own_tokenizer), "head_dim": 16, "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
        },
        vision_config={**VISION, "num_hidden_layers": 2, "image_size": 32},
        tie_word_embeddings=False, mm_tokens_per_image=4,
        boi_token_index=own_tokenizer.boi_token_id, eoi_token_index=own_tokenizer.eoi_token_id,
        image_token_index=own_tokenizer.image_token_id,
    )  # fmt: skip
    return processor, tf.Gemma3ForConditionalGeneration(config)


def _llava_next():
    own_tokenizer = tokenizer("<image>")
    images = tf.LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32},
        image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]],
    )  # fmt: skip
    processor = tf.LlavaNextProcessor(
        images, own_tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=LAYOUT.replace("IMAGE", "<image>"),
    )  # fmt: skip
    config = tf.LlavaNextConfig(
        text_config=tf.LlamaConfig(
            **TEXT, vocab_size=len(own_tokenizer), pad_token_id=0, bos_token_id=1, eos_token_id=2
        ),
        vision_config=tf.CLIPVisionConfig(**VISION, num_hidden_layers=2, image_size=32),
        image_token_index=own_tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]],
    )
    return processor, tf.LlavaNextForConditionalGeneration(config)


def _qwen2_vl():
    special = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    own_tokenizer = tokenizer(*special)
    ids = dict(zip(special, own_tokenizer.convert_tokens_to_ids(list(special)), strict=True))
    images = tf.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}, patch_size=8, merge_size=2
    )
    layout = LAYOUT.replace("IMAGE", "<|vision_start|> <|image_pad|> <|vision_end|>")
    config = tf.Qwen2VLConfig(
        text_config={
            **TEXT, "vocab_size": len(own_tokenizer),
            "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4},
        },
        vision_config={
            "depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "patch_size": 8,
            "spatial_merge_size": 2, "mlp_ratio": 2,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    return (images, own_tokenizer, layout), tf.Qwen2VLForConditionalGeneration(config)


def _idefics3():
    rows = [f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)]
    own_tokenizer = tokenizer(
        "<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *rows
    )
    images = tf.Idefics3ImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
    )
    processor = tf.Idefics3Processor(
        images, own_tokenizer, image_seq_len=4, chat_template=LAYOUT.replace("IMAGE", "<image>")
    )
    config = tf.Idefics3Config(
        text_config=tf.LlamaConfig(
            **TEXT, vocab_size=len(own_tokenizer), pad_token_id=0, bos_token_id=1, eos_token_id=2
        ),
        vision_config={**VISION, "num_hidden_layers": 2, "image_size": 32},
        image_token_id=own_tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    return processor, tf.Idefics3ForConditionalGeneration(config)


def _smolvlm():
    """Return the parts of Idefics3 as those of SmolVLM, whose processor needs num2words."""
    idefics, _ = _idefics3()
    words, layout = idefics.tokenizer, idefics.chat_template
    images = tf.SmolVLMImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
    )
    config = tf.SmolVLMConfig(
        text_config=tf.LlamaConfig(
            **TEXT, vocab_size=len(words), pad_token_id=0, bos_token_id=1, eos_token_id=2
        ),
        vision_config={**VISION, "num_hidden_layers": 2, "image_size": 32},
        image_token_id=words.convert_tokens_to_ids("<image>"), scale_factor=2, pad_token_id=0,
    )  # fmt: skip
    return (images, words, layout), tf.SmolVLMForConditionalGeneration(config)


MAKERS = {
    "gemma3": _gemma3, "llava_next": _llava_next, "qwen2_vl": _qwen2_vl, "idefics3": _idefics3,
    "smolvlm": _smolvlm,
}  # fmt: skip


def make(name: str, folder: Path, seed: int = 1) -> Path:
    """Write a checkpoint of the architecture `name` into `folder`; return the folder."""
    torch.manual_seed(seed)
    processor, model = MAKERS[name]()
    model.eval()
    model.save_pretrained(folder)
    if isinstance(processor, tuple):
        # A processor with a part for videos cannot be made without torchvision.
        images, own_tokenizer, layout = processor
        images.save_pretrained(folder)
        own_tokenizer.save_pretrained(folder)
        (folder / "chat_template.jinja").write_text(layout, encoding="utf-8")
        if name == "smolvlm":
            (folder / "processor_config.json").write_text('{"image_seq_len": 4}', encoding="utf-8")
    else:
        processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A function that returns the folder of an architecture's checkpoint; read-only."""
    made = {}

    def folder(name):
        if name not in made:
            made[name] = make(name, tmp_path_factory.mktemp(name))
        return made[name]

    return folder


@pytest.fixture(scope="session")
def profile():
    """The generic profile."""
    return load_profile(find_profile("generic"))


@pytest.fixture(scope="session")
def frames():
    """Sixteen images of noise of four shapes."""
    rng = np.random.default_rng(0)
    shapes = [(40, 60), (64, 64), (90, 30), (200, 100)] * 4
    return [rng.random(shape, dtype=np.float32) for shape in shapes]


@pytest.fixture(params=ARCHITECTURES)
def architecture(request):
    """Each of the four architectures."""
    return request.param
