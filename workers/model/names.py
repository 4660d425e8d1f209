"""The names of the models that can be loaded; imports none of them. A new model is one line here."""

from typing import Final

# name -> the module whose `load` loads it; imported on demand.
MODELS: Final = {
    "cxr-llava-v1": "workers.model.checkpoints.cxr_llava_v1",
    "cxr-llava-v2": "workers.model.checkpoints.cxr_llava",
    "demo": "workers.model.checkpoints.shipped",
    "llava-rad": "workers.model.checkpoints.llava_rad",
    "tiny": "workers.model.checkpoints.tiny",
}
# The model whose files may hold a text tower beside the image tower.
TOWER_MODEL: Final = "llava-rad"
