"""Pleural findings, between the lung and the chest wall: effusion and pneumothorax."""

import numpy as np

from dicom.phantom.body import RIGHT
from dicom.phantom.canvas import BoolField, edge
from dicom.phantom.chest import Chest, PhantomFinding


def effusion(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> tuple[str, BoolField]:
    """Draw an effusion of one side; return its site and its visible mask, bool [H, W]."""
    body, canvas, lung = chest.body, chest.canvas, chest.lung(side)
    low = body.angles[0 if side == RIGHT else 1]
    top = low - 0.06 - 0.36 * finding.extent + 0.008 * float(rng.normal())
    along = np.clip(lung.lateral / body.wall(canvas.v), 0, 1)
    # The meniscus is lowest at the midline and rises steeply along the wall.
    dip = np.float32(0.05 + 0.06 * finding.extent) * (1 - along**2.5)
    depth = canvas.v - (top + dip)
    inside = edge(depth.astype(np.float32), 0.012 + 0.014 * finding.extent)
    veil = np.float32(0.25) * np.exp(np.minimum(depth, 0) / np.float32(0.035))
    chest.fill(np.maximum(inside * np.float32(0.97), veil).astype(np.float32) * (lung.depth > 0))
    mask = np.asarray((depth > 0) & (lung.cavity > 0.5) & (lung.lateral > 0))
    site = "costophrenic angle" if finding.extent < 0.2 else "lower zone"
    return (site, mask)


def pneumothorax(
    chest: Chest, finding: PhantomFinding, side: int, rng: np.random.Generator
) -> tuple[str, BoolField]:
    """Draw a pneumothorax of one side; return its site and its visible mask, bool [H, W]."""
    body, canvas, lung = chest.body, chest.canvas, chest.lung(side)
    low = body.angles[0 if side == RIGHT else 1]
    fallen = 0.03 + 0.16 * finding.extent + 0.005 * float(rng.normal())
    retreat = 0.07 + 0.42 * finding.extent
    v = canvas.v
    # The remaining lung has the same outline with a lower apex, and retreats most at the top.
    t = np.clip((v - body.apex - fallen) / (low - body.apex - fallen), -1, 1)
    same = (body.apex + t * (low - body.apex)).astype(np.float32)
    wall = body.wall(same) * (1 - np.float32(retreat) * (1 - 0.72 * np.clip(t, 0, 1)))
    pleura = np.minimum(body.pleura(same), wall)
    left_over = np.where(t < 0, np.float32(-1), wall).astype(np.float32)
    lost = edge(lung.lateral - left_over, 0.003)
    lost = np.maximum(lost, edge(pleura - lung.lateral, 0.003) * (t < 0.12))
    region = lost * lung.cavity * (v < low)
    np.maximum(chest.free_air, region, out=chest.free_air)
    chest.filled[...] *= 1 - region
    chest.fill((1 - region) * lung.cavity * np.float32(0.05 + 0.3 * finding.extent**2))
    rows = (t[:, 0] > 0.0) & (v[:, 0] < low)
    outer = np.stack([side * wall[rows, 0], v[rows, 0]], axis=1)
    inner = np.stack([side * pleura[rows, 0], v[rows, 0]], axis=1)[: max(int(0.1 * rows.sum()), 2)]
    layer = canvas.layer()
    layer.stroke(np.concatenate([inner[::-1], outer]), 0.0032, 0.9)
    chest.added[...] += np.float32(1.5) * layer.field(0.0006) * lung.open
    site = "apex" if finding.extent < 0.35 else "apical and lateral"
    return (site, np.asarray((region > 0.5) & (lung.open > 0.3)))
