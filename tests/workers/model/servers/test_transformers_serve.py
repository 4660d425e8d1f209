"""A real OpenAI-compatible server of a vision-language model with random weights."""

import numpy as np
import pytest

from service.settings.site_networks import permitted
from workers.model.errors import Canceled, ServerRefused
from workers.model.profiles import chat
from workers.model.profiles.load import find_profile, load_profile
from workers.model.profiles.picture import image_sent
from workers.model.prompts import Role, Task
from workers.model.servers.chat_client import Server
from workers.model.servers.served_model import ServedModel, recorded
from workers.model.vlm import Decoding

PROFILE = load_profile(find_profile("generic"))
WORDS = """
the lungs are clear heart is normal size no acute finding effusion pneumothorax consolidation edema
atelectasis cardiomegaly left right small large there a of and in with mild bones pleural chest Yes No
report write this describe findings impression : . , ? user assistant system
"""
LAYOUT = (
    "{% for m in messages %}{{ m['role'] + ' : ' }}"
    "{% if m['content'] is string %}{{ m['content'] + ' ' }}"
    "{% else %}{% for c in m['content'] %}{% if c['type'] == 'image' %}{{ '<image> ' }}{% else %}"
    "{{ c['text'] + ' ' }}{% endif %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of a LLaVA-NeXT of three layers with random weights."""
    import torch  # noqa: PLC0415 - slow to import
    import transformers as tf  # noqa: PLC0415
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415

    every = dict.fromkeys(("<pad>", "<s>", "</s>", "<unk>", "<image>", *WORDS.split()))
    core = Tokenizer(models.WordLevel({word: n for n, word in enumerate(every)}, unk_token="<unk>"))  # noqa: S106
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = tf.PreTrainedTokenizerFast(
        tokenizer_object=core,
        **dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), every, strict=False)),
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    pinpoints = [[32, 64], [64, 32], [64, 64]]
    images = tf.LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32},
        image_grid_pinpoints=pinpoints,
    )  # fmt: skip
    processor = tf.LlavaNextProcessor(
        images, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=LAYOUT,
    )  # fmt: skip
    torch.manual_seed(1)
    network = tf.LlavaNextForConditionalGeneration(
        tf.LlavaNextConfig(
            text_config=tf.LlamaConfig(
                vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=3,
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024,
                initializer_range=0.4, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            ),
            vision_config=tf.CLIPVisionConfig(
                hidden_size=32, intermediate_size=48, num_attention_heads=2, patch_size=8,
                num_hidden_layers=2, image_size=32,
            ),
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            image_grid_pinpoints=pinpoints,
        )
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("llava-next")
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def text_of_library(folder, frame, tokens):
    """Return what the library itself writes about an image by the profile's prompt, greedily."""
    import torch  # noqa: PLC0415
    import transformers as tf  # noqa: PLC0415

    processor = tf.AutoProcessor.from_pretrained(folder)
    network = tf.AutoModelForImageTextToText.from_pretrained(folder).eval()
    messages = [
        {
            "role": turn.role.value,
            "content": [{"type": "image"}, {"type": "text", "text": chat.parts(turn)[-1].strip()}]
            if turn.role is Role.USER
            else turn.content,
        }
        for turn in chat.turns(PROFILE, Task.REPORT)
    ]
    prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    image = image_sent(frame, PROFILE.image)
    inputs = processor(images=image, text=prompt, return_tensors="pt")
    with torch.inference_mode():
        ids = network.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    return processor.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.slow
def test_a_real_server_writes_what_the_library_writes(transformers_serve, checkpoint, free_port):
    """The same text for two images, each with its own; cut and canceled requests; a wrong name."""
    url = transformers_serve(checkpoint, free_port())

    def model(name):
        server = Server(url=url, model=name, permitted=permitted(allow_remote=False), seconds=100)
        return ServedModel(
            server, PROFILE, recorded(server, PROFILE, remote=False, indication=False)
        )

    rng = np.random.default_rng(0)
    frames = [rng.random((64, 64), dtype=np.float32), np.zeros((64, 64), dtype=np.float32)]
    served = model(str(checkpoint))
    how = Decoding(max_new_tokens=12)
    answers = [served.answer(frame, Task.REPORT, decoding=how) for frame in frames]
    texts = [each.text for each in answers]
    assert texts == [text_of_library(checkpoint, frame, 12) for frame in frames]
    assert texts[0] != texts[1]
    assert not answers[0].ended
    with pytest.raises(Canceled):
        served.answer(
            frames[0],
            Task.REPORT,
            decoding=Decoding(max_new_tokens=900),
            canceled=lambda: True,  # at once: this small model writes 900 tokens within one look
        )
    assert served.answer(frames[0], Task.REPORT, decoding=how).text == texts[0]
    served.close()
    unknown = model("another-model")
    with pytest.raises(ServerRefused, match="answered 40"):
        unknown.answer(frames[0], Task.REPORT, decoding=how)
    unknown.close()
