"""The vision tower against PyTorch's own encoder layer, and the published model's names and sizes."""

import torch
from torch import nn

from workers.model.checkpoints.cxr_llava import Network
from workers.model.config import LanguageConfig, ModelConfig, VisionConfig
from workers.model.networks.vision import VisionTower

SMALL = VisionConfig(
    image_size=32, patch_size=8, width=48, layers=2, head_width=16, mlp_ratio=4.0, mean=0.5, std=0.4
)
PUBLISHED = ModelConfig(
    vision=VisionConfig(
        image_size=512, patch_size=16, width=1024, layers=24, head_width=64, mlp_ratio=4.0,
        mean=0.55, std=0.38,
    ),
    language=LanguageConfig(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, layers=32, heads=32,
        kv_heads=32, head_dim=128, rms_norm_eps=1e-5, rope_theta=10000.0, max_positions=4096,
    ),
    token_budget=2048,
    max_new_tokens=None,
    caveat="",
)  # fmt: skip


def test_the_published_checkpoint_has_these_names_and_this_size():
    """589 tensors and 7,046,371,328 parameters, one of them the CLIP head that has no effect."""
    with torch.device("meta"):
        tensors = Network(PUBLISHED).state_dict()
    head = 1024 * 128
    assert len(tensors) == 589 - 1
    assert sum(tensor.numel() for tensor in tensors.values()) == 7_046_371_328 - head
    assert tensors["vision_tower.transformer.resblocks.23.attn.in_proj_weight"].shape == (
        3072,
        1024,
    )
    assert tensors["llama.layers.31.mlp.down_proj.weight"].shape == (4096, 11008)
    assert tensors["mm_projector.bias"].shape == (4096,)


def test_tokens_equal_those_of_pytorchs_encoder():
    """PyTorch's own pre-norm encoder layers with the same weights give the same patch tokens."""
    torch.manual_seed(2)
    tower = VisionTower(SMALL).eval().requires_grad_(False)
    for weight in tower.parameters():
        nn.init.normal_(weight, std=0.2)
    images = torch.randn(3, 1, 32, 32)
    x = torch.stack([
        torch.stack([
            (tower.conv1.weight[:, 0] * image[0, r : r + 8, c : c + 8]).sum((1, 2))
            for r in range(0, 32, 8)
            for c in range(0, 32, 8)
        ])
        for image in images
    ])  # fmt: skip
    first = tower.class_embedding.expand(3, 1, -1)
    x = tower.ln_pre(torch.cat([first, x], 1) + tower.positional_embedding)
    for block in tower.transformer.resblocks:
        layer = nn.TransformerEncoderLayer(
            48, 3, 192, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        layer.load_state_dict({
            "self_attn.in_proj_weight": block.attn.in_proj_weight,
            "self_attn.in_proj_bias": block.attn.in_proj_bias,
            "self_attn.out_proj.weight": block.attn.out_proj.weight,
            "self_attn.out_proj.bias": block.attn.out_proj.bias,
            "linear1.weight": block.mlp.c_fc.weight,
            "linear1.bias": block.mlp.c_fc.bias,
            "linear2.weight": block.mlp.c_proj.weight,
            "linear2.bias": block.mlp.c_proj.bias,
            "norm1.weight": block.ln_1.weight,
            "norm1.bias": block.ln_1.bias,
            "norm2.weight": block.ln_2.weight,
            "norm2.bias": block.ln_2.bias,
        })  # fmt: skip
        x = layer.eval()(x)
    torch.testing.assert_close(tower(images), tower.ln_post(x)[:, 1:], atol=2e-5, rtol=0)
