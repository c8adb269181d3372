"""Pictures: labels that can be read, whatever the names are, and the same bytes for the same numbers."""

import struct
from importlib import import_module

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colors, image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tagsmith.cards.errors import ReleaseError
from tagsmith.cards.pictures import (
    LOOKS,
    THEMES,
    Picture,
    complexity_histogram,
    diversity_complexity,
    fonts,
    iteration_curves,
    length_distributions,
    top_tags,
    top_tags_caption,
    training_curve,
    utility_quartiles,
)
from tagsmith.cards.pictures.labels import place_labels

NAMES = [
    "alpaca-52k",
    "the rows chosen by complexity",
    "random, same size",
    "WizardLM (ShareGPT)",
    "a",
    "b c",
    "d",
    "e",
]
PLACES = [(3.1, 35), (8.9, 100), (3.2, 33), (4.8, 58), (4.6, 56), (4.9, 62), (6.2, 55), (3.0, 100)]


def point(name, diversity, complexity, rows):
    return {"name": name, "diversity": diversity, "complexity": complexity, "rows": rows}


def size(path):
    """Width and height of a PNG, from its header."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def placed(places, radii):
    """The boxes of the labels and of the markers, and the frame, after placing."""
    figure = Figure(figsize=(8, 5.2), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlim(1, 11)
    axes.set_ylim(0, 112)
    figure.draw_without_rendering()
    xs, ys = [x for x, _ in places], [y for _, y in places]
    labels = [f"{name}\n52,002 rows" for name in NAMES[: len(places)]]
    place_labels(axes, xs, ys, radii, labels, color="black", ground="white")
    figure.draw_without_rendering()
    labels = [text.get_window_extent() for text in axes.texts if text.get_text()]
    pixels = [radius * 100 / 72 for radius in radii]
    centres = axes.transData.transform(places)
    markers = [(x - r, y - r, x + r, y + r) for (x, y), r in zip(centres, pixels, strict=True)]
    return [box.extents for box in labels], markers, axes.get_window_extent().extents


def overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("radius", [4, 20])
def test_labels_cover_neither_each_other_nor_a_marker_nor_leave_the_frame(count, radius):
    labels, markers, frame = placed(PLACES[:count], [radius] * count)
    assert len(labels) == count
    for n, label in enumerate(labels):
        assert label[0] >= frame[0]
        assert label[1] >= frame[1]
        assert label[2] <= frame[2]
        assert label[3] <= frame[3]
        assert all(overlap(label, other) == 0 for m, other in enumerate(labels) if m != n)
        assert all(overlap(label, marker) == 0 for marker in markers)


def test_labels_of_markers_on_one_spot_do_not_cover_each_other():
    labels, _, _ = placed([(5, 50)] * 5, [8] * 5)
    assert all(overlap(a, b) == 0 for n, a in enumerate(labels) for b in labels[:n])


@pytest.mark.parametrize("count", [1, 2, 8])
def test_diversity_complexity_draws_any_number_of_datasets(tmp_path, count):
    points = [point(NAMES[n], y / 100, x, 10 ** (n + 1)) for n, (x, y) in enumerate(PLACES[:count])]
    path = tmp_path / "map.png"
    diversity_complexity(points, path)
    assert size(path) == (1600, 1040)


def test_diversity_complexity_refuses_what_is_no_share(tmp_path):
    with pytest.raises(ReleaseError, match="share from 0 to 1, got"):
        diversity_complexity([point("a", 71.9, 4.5, 10)], tmp_path / "map.png")
    with pytest.raises(ReleaseError, match="no points"):
        diversity_complexity([], tmp_path / "map.png")
    assert list(tmp_path.iterdir()) == []


def test_top_tags_takes_the_most_frequent_and_grows_with_them(tmp_path):
    counts = {f"tag {n}": n + 1 for n in range(30)}
    top_tags(counts, tmp_path / "all.png")
    top_tags({tag: n for tag, n in counts.items() if n > 10}, tmp_path / "top.png")
    assert (tmp_path / "all.png").read_bytes() == (tmp_path / "top.png").read_bytes()
    top_tags(counts, tmp_path / "three.png", most=3)
    assert size(tmp_path / "three.png")[1] < size(tmp_path / "all.png")[1]
    with pytest.raises(ReleaseError, match="no tags"):
        top_tags({}, tmp_path / "none.png")


def test_complexity_histogram_ends_before_a_long_thin_tail(tmp_path):
    values = [1, 2, 2, 3] * 100
    complexity_histogram({"before": [*values, 400]}, tmp_path / "far.png")
    complexity_histogram({"before": [*values, 4]}, tmp_path / "near.png")
    complexity_histogram({"before": [*values, 200]}, tmp_path / "less_far.png")
    assert size(tmp_path / "far.png") == size(tmp_path / "near.png") == (1600, 880)
    # The mean in the legend tells them apart; equal input gives equal bytes (below).
    assert (tmp_path / "far.png").read_bytes() != (tmp_path / "less_far.png").read_bytes()
    for bad in ({}, {"a": []}, {name: [1] for name in "abcde"}):
        with pytest.raises(ReleaseError, match="one to four non-empty series"):
            complexity_histogram(bad, tmp_path / "bad.png")


@pytest.mark.filterwarnings("error")
def test_names_that_look_like_mathematics_or_have_no_glyph_are_drawn(tmp_path):
    names = ["$x_1^{", r"\frac{1}{0}$", "日本語 🚀", "long " * 40]
    diversity_complexity([point(name, 0.5, n, 10) for n, name in enumerate(names)], tmp_path / "map.png")
    top_tags(dict.fromkeys(names, 3), tmp_path / "tags.png")
    complexity_histogram({name: [1, 2] for name in names}, tmp_path / "hist.png")
    assert len(list(tmp_path.iterdir())) == 3


def draw_all(folder, theme="light"):
    """One picture of each kind; their bytes by name."""
    folder.mkdir()
    lengths = {"Instruction": {"before": [1, 9, 30, 0], "after": [20, 50, 90]}, "Response": {"before": [400, 12]}}
    steps = [(10 * n, 3 - n / 20) for n in range(1, 50)]
    for name, draw in {
        "map": lambda path: diversity_complexity(
            [point("all", 1.0, 3.0, 100), point("chosen", 0.9, 6.0, 10)], path, theme
        ),
        "tags": lambda path: top_tags({"a": 3, "b": 2}, path, theme),
        "histogram": lambda path: complexity_histogram({"before": [1, 2, 2], "after": [2, 3]}, path, theme),
        "lengths": lambda path: length_distributions(lengths, "tokens", path, theme),
        "quartiles": lambda path: utility_quartiles({"a": [1, 2, 3, 4.5], "b": [0, 1, 1, 2]}, "Meanings", path, theme),
        "rounds": lambda path: iteration_curves({"Tags a row": {"x": [(0, 3.0), (1, 4.5)]}}, path, theme),
        "training": lambda path: training_curve({"Loss": {"train": steps}, "Margin": {"train": steps}}, path, theme),
    }.items():
        draw(folder / f"{name}.png")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def _small(monkeypatch):
    """Few dots an inch: what is tested does not depend on them, and drawing is quick."""
    monkeypatch.setattr(import_module("tagsmith.cards.pictures.canvas"), "_DPI", 40)


@pytest.mark.usefixtures("_small")
def test_bytes_depend_on_numbers_and_theme_alone_not_on_the_users_settings(tmp_path):
    light = draw_all(tmp_path / "light")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 10}):
        assert draw_all(tmp_path / "again") == light
        assert matplotlib.rcParams["font.size"] == 30
    assert all(b"Software" not in data and b"Matplotlib" not in data for data in light.values())
    dark = draw_all(tmp_path / "dark", "dark")
    for name in light:
        assert light[name] != dark[name]
        assert size(tmp_path / "light" / name) == size(tmp_path / "dark" / name)
        for theme, ground in (("light", (255, 255, 255)), ("dark", (13, 17, 23))):
            pixels = image.imread(tmp_path / theme / name)
            assert tuple(round(255 * value) for value in pixels[0, 0, :3]) == ground
            assert (pixels[..., 3] == 1).all()  # opaque: a page of the other colour may lie behind it


def contrast(a, b):
    """WCAG's ratio of two colours, from 1 to 21."""

    def luminance(color):
        parts = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colors.to_rgb(color)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    lighter, darker = sorted((luminance(a), luminance(b)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_letters_and_the_first_colours_stand_out_from_the_ground(theme):
    look = LOOKS[theme]
    assert contrast(look.ink, look.background) >= 12
    assert all(contrast(color, look.background) >= 2.9 for color in look.series[:4])
    assert len(set(look.series)) == 6


def test_lengths_are_counted_in_their_bins_and_empty_texts_only_in_the_median(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(Axes, "stairs", lambda self, values, edges, **how: drawn.append((values, edges, how)))
    monkeypatch.setattr(Axes, "legend", lambda self, **how: None)
    length_distributions({"Response": {"a": [0, 8, 10, 11, 12]}}, "tokens", tmp_path / "x.png")
    values, edges, how = drawn[1]
    assert (list(values), list(edges)) == ([40.0, 40.0], [8, 11, 16])
    assert how["label"] == "a: median 10"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda path: length_distributions({}, "tokens", path), "length_distributions needs panels"),
        (lambda path: length_distributions({"x": {"a": []}}, "tokens", path), r"got \{'x': \['a'\]\}"),
        (lambda path: utility_quartiles({"a": [1, 2, 3]}, "m", path), "series of four numbers from 0"),
        (lambda path: utility_quartiles({"a": [1, 2, 3, -1]}, "m", path), "series of four numbers from 0"),
        (lambda path: utility_quartiles({}, "m", path), "one to three series"),
        (lambda path: iteration_curves({}, path), "got no panels"),
        (lambda path: training_curve({"Loss": {"train": []}}, path), r"got \['Loss'\]"),
        (lambda path: training_curve({"Loss": {str(n): [(0, 1)] for n in range(7)}}, path), "one to 6 lines"),
    ],
)
def test_numbers_that_make_no_picture_are_refused(tmp_path, draw, message):
    with pytest.raises(ReleaseError, match=message):
        draw(tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 3), (7, 4)])
def test_curves_of_any_number_of_measures_fit(tmp_path, count, rows):
    panels = {f"Measure {n} (tokens)": {"a": [(0, n), (1, n + 1)], "b": [(0, 1)]} for n in range(count)}
    iteration_curves(panels, tmp_path / "x.png")
    height = 4.2 if rows == 1 else 0.7 + 2.7 * rows
    assert size(tmp_path / "x.png") == (320, int(40 * height))


def test_a_tag_that_no_font_can_draw_is_shown_by_its_place_and_spelt_out_in_the_caption(monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "families", lambda: ["DejaVu Sans"])
    fonts._glyphs.cache_clear()
    counts = {"poésie": 5, "詩": 4, "стихи": 3}
    assert [fonts.drawable(tag) for tag in counts] == [True, False, True]
    assert top_tags_caption(counts, "The tags.") == "The tags. By number: 2. 詩."
    assert top_tags_caption(counts, "The tags.", most=1) == "The tags."
    shown = []
    monkeypatch.setattr(Axes, "set_yticks", lambda self, places, names: shown.extend(names))
    top_tags(counts, tmp_path / "tags.png")
    assert shown == ["poésie", "no. 2", "стихи"]
    fonts._glyphs.cache_clear()


def test_a_picture_has_a_file_for_each_theme():
    picture = Picture("map", "A map.", lambda path, theme: None)
    assert picture.files() == {"light": "pictures/map.png", "dark": "pictures/map-dark.png"}


@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.floats(1.5, 10), st.floats(5, 105)), min_size=2, max_size=8))
def test_labels_never_leave_the_frame(places):
    labels, _, frame = placed(places, [6] * len(places))
    for label in labels:
        assert label[0] >= frame[0]
        assert label[1] >= frame[1]
        assert label[2] <= frame[2]
        assert label[3] <= frame[3]
