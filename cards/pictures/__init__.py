"""Pictures for a card: one kind a file, about 800 pixels wide at double resolution, for light and for dark pages."""

from tagsmith.cards.pictures.canvas import LOOKS, THEMES, Look, Picture, Theme, canvas
from tagsmith.cards.pictures.complexity_histogram import complexity_histogram
from tagsmith.cards.pictures.curves import iteration_curves, training_curve
from tagsmith.cards.pictures.diversity_complexity import Point, diversity_complexity
from tagsmith.cards.pictures.length_distributions import length_distributions
from tagsmith.cards.pictures.score_distributions import score_distributions
from tagsmith.cards.pictures.top_tags import top_tags, top_tags_caption
from tagsmith.cards.pictures.utility_quartiles import utility_quartiles

__all__ = [
    "LOOKS",
    "THEMES",
    "Look",
    "Picture",
    "Point",
    "Theme",
    "canvas",
    "complexity_histogram",
    "diversity_complexity",
    "iteration_curves",
    "length_distributions",
    "score_distributions",
    "top_tags",
    "top_tags_caption",
    "training_curve",
    "utility_quartiles",
]
