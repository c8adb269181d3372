"""TAGS: fine-grained tags, their tree, and tree-aware selection."""

from tagsmith.processors.tags.tree_sampler import TreeSampler

__all__ = ["TreeSampler"]
