"""Several texts about one film in one sequence: the prompt's beginning and the film are read once."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the customary name


class Packed:
    """Texts about films: each sees the film and itself, not the other texts about the same film.

    Attributes:
        lead: int64 [L], the ids before the film, the same for all.
        ids: int64 [B, N], the texts one behind the other.
        segment: int64 [B, N], from 1: which text an id belongs to; 0 is padding.
        place: int64 [B, N], the id's place in its text.
        weight: float32 [B, N], of the prediction of this id; 0 where nothing is learnt.
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
            before: Shared tokens in front: the lead and the film.
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
            hidden: [B, N, C], of each id.
            head: Gives the logits of the id that follows; asked only where something is learnt.
        """
        # The id at n is predicted from n - 1, except each text's first, which is a prompt's.
        wanted, weight = self.ids[:, 1:], self.weight[:, 1:]
        learnt = weight > 0
        logits = head(hidden[:, :-1][learnt])
        each = F.cross_entropy(logits.float(), wanted[learnt], reduction="none")
        return (each * weight[learnt]).sum() / weight.sum()
