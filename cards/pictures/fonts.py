"""Fonts of the pictures: the one that ships with matplotlib, then any installed one that knows East Asian scripts."""

from functools import cache

# Free fonts with Chinese, Japanese and Korean glyphs, as Linux, macOS and Windows name what they ship.
_EAST_ASIAN = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "IPAexGothic",
    "NanumGothic",
    "Unifont",
    "Arial Unicode MS",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
)


@cache
def families() -> list[str]:
    """Font families in the order in which a glyph is looked for; the first is the same on every machine."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _EAST_ASIAN if name in installed)]


def drawable(text: str) -> bool:
    """Whether every character of the text has a glyph here; without an East Asian font Chinese, say, has none."""
    return all(char.isspace() or any(ord(char) in glyphs for glyphs in _glyphs()) for char in text)


@cache
def _glyphs() -> tuple[frozenset[int], ...]:
    from matplotlib import font_manager

    paths = [font_manager.findfont(name, fallback_to_default=False) for name in families()]
    return tuple(frozenset(font_manager.get_font(path).get_charmap()) for path in paths)
