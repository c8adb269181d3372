"""Rows that are ok, and rows that were rejected."""

from datasets import Dataset


def split_by_status(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """The rows with status "ok", and the others; both keep their order."""
    status = dataset["status"][:]
    good = [number for number, value in enumerate(status) if value == "ok"]
    bad = [number for number, value in enumerate(status) if value != "ok"]
    return dataset.select(good).flatten_indices(), dataset.select(bad).flatten_indices()
