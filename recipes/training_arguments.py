"""Settings that training recipes share: where to start, and where the model goes. Each is a flag."""

from dataclasses import dataclass, field

from tagsmith.cards.hub_target import HubTarget
from tagsmith.processors.errors import InputError
from tagsmith.trainers.training import Start


@dataclass
class BaseModelArguments:
    """What training starts from."""

    _argument_group_name = "base model"

    base_model: str = field(
        default="tiny:",
        metadata={"help": "On the Hub, a folder, or tiny: (random weights, for demonstrations)."},
    )
    base_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of a base on the Hub."})
    chat_template: str | None = field(
        default=None,
        metadata={"help": "alpaca, vicuna or a Jinja file, for a base without a template or in place of its own."},
    )
    pad_token: str | None = field(default=None, metadata={"help": "Token to pad with, for a base without one."})

    def start(self) -> Start:
        """As trainers take it."""
        return Start(self.base_model, self.base_revision, self.chat_template, self.pad_token)


@dataclass
class ModelReleaseArguments:
    """Where the trained model goes: a folder, and a repository on the Hub if wanted."""

    _argument_group_name = "release"

    output: str | None = field(
        default=None, metadata={"help": "Folder of the model; an earlier one is replaced. Default: runs/RECIPE."}
    )
    push_to_hub: str | None = field(
        default=None, metadata={"help": "Also publish it as this model repository (org/name); needs --release."}
    )
    release: str | None = field(
        default=None, metadata={"help": "Version to publish, as a git tag that never moves: v1.0.0."}
    )
    private: bool = field(default=False, metadata={"help": "Make a new repository private."})
    link_dataset: bool = field(default=False, metadata={"help": "Also name the model on the card of its data."})
    allow_offline: bool = field(
        default=False, metadata={"help": "Publish even a model that learned from the offline endpoint's rules."}
    )

    def target(self) -> HubTarget | None:
        """The repository and version, if it is to be published.

        Raises:
            InputError: one of `push_to_hub` and `release` without the other. ReleaseError: no name that the Hub takes.
        """
        if (self.push_to_hub is None) != (self.release is None):
            raise InputError("--push_to_hub org/name and --release v1.0.0 belong together; give both or neither")
        if self.push_to_hub is None or self.release is None:
            return None
        return HubTarget(self.push_to_hub, self.release, self.private, repo_type="model")
