"""How many examples an optimizer step sees, over all devices."""

import os

from tagsmith.processors.errors import InputError


def launched_ranks() -> int:
    """How many processes the launcher started, from the environment that it sets; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def accumulation_steps(batch_size: int, per_device: int, world: int) -> int:
    """Forward passes before an optimizer step, so that per device × accumulation × devices is the batch wanted.

    Args:
        batch_size: examples of one optimizer step.
        per_device: examples of one forward pass on one device.
        world: devices.

    Raises:
        InputError: the numbers do not go together; says which would.
    """
    at_once = per_device * world
    if batch_size % at_once == 0:
        return batch_size // at_once
    fitting = [n for n in range(1, per_device + 1) if batch_size % (n * world) == 0]
    more = batch_size + at_once - batch_size % at_once
    remedy = f"give --per_device_batch_size {fitting[-1]}" if fitting else f"give --batch_size {more}"
    raise InputError(
        f"a batch of {batch_size} cannot be made of {per_device} per device on {world} device{'s' * (world > 1)}"
        f" ({at_once} at once); {remedy}"
    )
