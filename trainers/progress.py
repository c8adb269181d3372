"""What a training shows: one bar with the loss, instead of the libraries' lines and bars."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback
from transformers.utils import logging

from tagsmith.processors.errors import InputError


class LossBar(ProgressCallback):  # type: ignore[misc]
    """Steps done, and the figures of the last log behind them."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Show the loss, and how well a policy does: accuracy of the rewards, or reward and valid completions."""
        if state.is_world_process_zero and self.training_bar is not None:
            shown = {"loss": "loss", "rewards/accuracies": "accuracy", "reward": "reward", "valid": "valid"}
            figures = {name: f"{logs[key]:.3f}" for key, name in shown.items() if key in (logs or {})}
            if figures:
                self.training_bar.set_postfix(figures, refresh=False)


class FiniteLoss(TrainerCallback):  # type: ignore[misc]
    """Ends a training whose weights are lost: the hours behind that would be for nothing."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Raise InputError where the loss is no number. Ranks log the same, so all of them stop."""
        for name in ("loss", "eval_loss"):
            if not math.isfinite(value := float((logs or {}).get(name, 0))):
                raise InputError(
                    f"{name} became {value} at step {state.global_step}, so the weights are lost; give a smaller"
                    " --learning_rate, or --precision fp32"
                )


def watch_loss(trainer: Trainer) -> None:
    """Take out what prints logs, put in the bar, and stop where the loss is no number."""
    trainer.add_callback(FiniteLoss())
    trainer.remove_callback(PrinterCallback)
    if not trainer.args.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(LossBar())


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No bars for files being read and written, and no warnings of what a later version will do differently."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()
