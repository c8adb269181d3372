"""Where a release lies on the Hub: repository and version."""

import json
from dataclasses import dataclass

from huggingface_hub import constants
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from tagsmith.cards.errors import ReleaseError

_URL_PREFIXES = {"dataset": "datasets/", "model": ""}


@dataclass(frozen=True)
class HubTarget:
    """A repository on the Hub and one version of it. Knows names only; `hub_checks` asks the Hub.

    Args:
        repo_id: `org/name`, or `user/name`.
        release: the git tag, `v1.0.0`; for reading, any revision.
        private: whether a new repository is private.
        repo_type: `dataset` or `model`.

    Raises:
        ReleaseError: the Hub would not take that name.
    """

    repo_id: str
    release: str
    private: bool = False
    repo_type: str = "dataset"

    def __post_init__(self) -> None:
        shape = "expected org/name, of letters, digits and . _ -"
        if self.repo_id.count("/") != 1:
            raise ReleaseError(f"repository {self.repo_id!r} names no user or organisation and one name; {shape}")
        try:
            validate_repo_id(self.repo_id)
        except HFValidationError as error:
            raise ReleaseError(f"repository {self.repo_id!r} is no name that the Hub takes; {shape}: {error}") from None
        if not self.release or self.release != self.release.strip():
            raise ReleaseError(f"release {self.release!r} of {self.repo_id} is no version; expected one such as v1.0.0")
        if self.repo_type not in _URL_PREFIXES:
            raise ReleaseError(f"repo_type {self.repo_type!r} is unknown; expected one of {sorted(_URL_PREFIXES)}")

    @classmethod
    def parse(cls, text: str, repo_type: str = "dataset") -> "HubTarget":
        """Read `org/name@v1.0.0`.

        Raises:
            ReleaseError: the version is missing, or the Hub would not take the name.
        """
        repo_id, _, release = text.partition("@")
        if not release:
            raise ReleaseError(f"{text!r} names no release; expected org/name@v1.0.0")
        return cls(repo_id, release, repo_type=repo_type)

    def __str__(self) -> str:
        return f"{self.repo_id}@{self.release}"

    @property
    def namespace(self) -> str:
        """The user or organisation."""
        return self.repo_id.partition("/")[0]

    @property
    def repo_url(self) -> str:
        """The repository's page."""
        return f"{constants.ENDPOINT}/{_URL_PREFIXES[self.repo_type]}{self.repo_id}"

    @property
    def url(self) -> str:
        """The page of this version of the repository."""
        return f"{self.repo_url}/tree/{self.release}"

    @property
    def load_line(self) -> str:
        """Python that loads this version."""
        what = f"{json.dumps(self.repo_id)}, revision={json.dumps(self.release)}"
        if self.repo_type == "model":
            return f"AutoModelForCausalLM.from_pretrained({what})"
        return f"load_dataset({what})"
