"""How a policy is trained by online RL: each setting is a flag of `train-grpo`."""

from dataclasses import dataclass, field
from importlib.util import find_spec

from tagsmith.processors.errors import InputError
from tagsmith.trainers.training_settings import INFINITE, TrainingSettings, check_choice, check_ranges

ALGORITHMS = ("grpo", "rloo")


@dataclass
class GRPOSettings(TrainingSettings):
    """Settings of the training. Tag-Instruct gives its reward and objective (App. D.4), and no value for it.

    β and the batch are those of its DPO training, whose objective has the same KL term; the others are TRL's.
    """

    algorithm: str = field(
        default="grpo",
        metadata={"help": "grpo, or rloo; the paper's PPO is gone from TRL."},
    )
    group_size: int = field(default=8, metadata={"help": "Completions of each prompt, which are compared."})
    beta: float = field(
        default=0.1, metadata={"help": "Weight of the KL term, β (paper, D.4: 0.1, for DPO); 0: no reference model."}
    )
    temperature: float = field(default=1.0, metadata={"help": "At which completions are sampled."})
    max_completion_length: int | None = field(
        default=None, metadata={"help": "In tokens. Default: 32, or 128 for completions that explain the tag."}
    )
    learning_rate: float = field(default=1e-6, metadata={"help": "Of AdamW (the paper gives none; TRL's)."})
    batch_size: int = field(
        default=128,
        metadata={"help": "Completions an optimizer step, over all devices: --group_size of each prompt."},
    )
    epochs: float = field(default=1.0, metadata={"help": "Passes over the prompts."})
    max_length: int = field(
        default=1024, metadata={"help": "Of prompt and completion, in tokens; longer prompts are left out."}
    )
    use_vllm: bool = field(
        default=False, metadata={"help": "Generate with vLLM (must be installed), in place of Transformers."}
    )
    vllm_server: str | None = field(
        default=None, metadata={"help": "Address of `trl vllm-serve`. Default: vLLM in the training's own processes."}
    )

    def check(self) -> None:
        """As for every training, and what groups of completions need.

        Raises:
            InputError: a setting is out of range, the batch is not made of whole groups, or vLLM is not there.
        """
        check_choice("algorithm", self.algorithm, ALGORITHMS)
        check_ranges(
            # β = 0 is allowed, and "above" is what the ranges say.
            beta=(self.beta, -1e-300, 10, "0 or more, and at most 10 (the paper's DPO: 0.1)"),
            group_size=(self.group_size, 1, INFINITE, "at least 2: completions are compared within a group"),
            temperature=(self.temperature, 0, 2, "above 0 (at 0 a group's completions are all the same) and at most 2"),
            max_completion_length=(self.completion_tokens(explain=False), 0, INFINITE, "at least 1 token"),
        )
        super().check()
        if self.batch_size % self.group_size:
            fitting = self.batch_size + self.group_size - self.batch_size % self.group_size
            raise InputError(
                f"a batch of {self.batch_size} completions is not made of whole groups of {self.group_size}; give"
                f" --batch_size {fitting}"
            )
        if self.max_completion_length is not None and self.max_completion_length >= self.max_length:
            raise InputError(
                f"max_completion_length is {self.max_completion_length}, max_length {self.max_length}: nothing is left"
                " for the prompt; give a larger --max_length"
            )
        if self.vllm_server is not None and not self.use_vllm:
            raise InputError("--vllm_server goes with --use_vllm; give both or neither")
        if self.use_vllm and find_spec("vllm") is None:
            raise InputError("vllm is not installed; `pip install vllm` (it needs a GPU), or leave out --use_vllm")

    @property
    def prompts_a_step(self) -> int:
        """Different prompts in a batch."""
        return self.batch_size // self.group_size

    def completion_tokens(self, *, explain: bool) -> int:
        """The longest completion: a tag of four words, or that behind one or two sentences."""
        if self.max_completion_length is not None:
            return self.max_completion_length
        return 128 if explain else 32
