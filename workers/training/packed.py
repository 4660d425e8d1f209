"""Several texts about one image in one sequence: the prompt's beginning and the image are read once."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name


class Packed:
    """Texts about images: each sees the image and itself, not the other texts about the same image.

    Attributes:
        lead: int64 [L], the ids before the image, the same for all.
        ids: int64 [B, N], the texts, one after the other.
        segment: int64 [B, N], from 1: which text an id belongs to; 0 is padding.
        place: int64 [B, N], the id's place in its text.
        weight: float32 [B, N], weight of the prediction of this id; 0 if it is not learned.
    """

    def __init__(
        self, lead: Tensor, ids: Tensor, segment: Tensor, place: Tensor, weight: Tensor
    ) -> None:
        self.lead = lead
        self.ids = ids
        self.segment = segment
        self.place = place
        self.weight = weight

    def layout(self, *, before: int) -> tuple[Tensor, Tensor]:
        """Return positions [B, T] and what each token must not see, bool [B, 1, T, T].

        Args:
            before: Number of shared tokens in front: the lead and the image.
        """
        rows, count = self.ids.shape
        shared = torch.arange(before).expand(rows, -1)
        positions = torch.cat([shared, self.place + before], dim=1)
        segment = torch.cat([torch.zeros_like(shared), self.segment], dim=1)
        total = torch.arange(before + count)
        causal = total[None, :] <= total[:, None]  # [T, T]
        common = (total < before)[None, None, :]  # [1, 1, T]
        same = segment[:, :, None] == segment[:, None, :]  # [B, T, T]
        return positions, ~(causal & (common | same))[:, None]

    def loss(self, hidden: Tensor, head: nn.Module) -> Tensor:
        """Return the mean cross entropy of the weighted ids.

        Args:
            hidden: [B, N, C], the hidden state of each id.
            head: Returns the logits of the next id; called only for ids that are learned.
        """
        # The id at n is predicted from n - 1. A text's first id belongs to its prompt and has no weight.
        target, weight = self.ids[:, 1:], self.weight[:, 1:]
        learnt = weight > 0
        logits = head(hidden[:, :-1][learnt])
        each = F.cross_entropy(logits.float(), target[learnt], reduction="none")
        return (each * weight[learnt]).sum() / weight.sum()
