import re

import pytest

from service.web.render import STATIC_DIR

CSS = (STATIC_DIR / "wetread.css").read_text()
TEXT = (
    "ink",
    "muted",
    "link",
    "waiting",
    "reading",
    "drafted",
    "delivered",
    "unread",
    "failed",
    "canceled",
)
TEMPLATES = sorted((STATIC_DIR.parent / "templates").rglob("*.html"))


def colors(block: str) -> dict[str, str]:
    """Return the custom properties of a block that are colors."""
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


def luminance(color: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colors, 1..21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_color_has_contrast_aa(scheme):
    """WCAG 2 AA: 4.5 to 1 for text on both grounds, and for the caution on its own."""
    light, dark = CSS.split("@media (prefers-color-scheme: dark)")[:2]
    palette = colors(light if scheme == "light" else dark.split("* { box-sizing")[0])
    pairs = [(name, ground) for name in TEXT for ground in ("ground", "panel")]
    pairs.append(("caution-ink", "caution-ground"))
    poor = [pair for pair in pairs if contrast(palette[pair[0]], palette[pair[1]]) < 4.5]
    assert poor == []


def test_nothing_is_loaded_from_elsewhere():
    """Templates, style sheet and script name no other host."""
    sources = [CSS, (STATIC_DIR / "wetread.js").read_text()]
    sources += [path.read_text() for path in TEMPLATES]
    for source in sources:
        assert not re.search(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", source)


def test_templates_hold_neither_inline_script_nor_inline_style():
    """The content security policy would refuse them."""
    for path in TEMPLATES:
        source = path.read_text()
        assert not re.search(r"<script(?![^>]*src=)| on[a-z]+=|\bstyle=|<style", source), path.name


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_address_is_relative(template):
    """A proxy may serve the pages under any path: no address begins at the root of the host."""
    assert re.findall(r'(?:href|src|action)="/[^"]*"', template.read_text()) == []
