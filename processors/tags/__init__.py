"""TAGS: fine-grained tags, their tree, and tree-aware selection."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagsmith.processors.tags.tree_sampler import TreeSampler

__all__ = ["TreeSampler"]


def __getattr__(name: str) -> Any:
    # At first use: the sampler brings Numba with it, which who only tags or grows a tree does not need.
    if name == "TreeSampler":
        from tagsmith.processors.tags.tree_sampler import TreeSampler

        return TreeSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
