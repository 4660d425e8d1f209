"""The models that can be loaded, by name, without importing any. Another model: one line here."""

from typing import Final

# name -> the module whose `load` takes it; imported only when it is wanted.
MODELS: Final = {
    "cxr-llava-v1": "workers.model.checkpoints.cxr_llava_v1",
    "cxr-llava-v2": "workers.model.checkpoints.cxr_llava",
    "demo": "workers.model.checkpoints.shipped",
    "llava-rad": "workers.model.checkpoints.llava_rad",
    "tiny": "workers.model.checkpoints.tiny",
}
