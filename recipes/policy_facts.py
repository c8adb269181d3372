"""What a release says of the tag policy that it was made with: enough to find that very checkpoint again."""

from pathlib import Path
from typing import Any

from tagsmith.cards.manifest import read_manifest
from tagsmith.processors.endpoint.endpoint import Endpoint


def policy_facts(uri: str, served: str) -> dict[str, Any]:
    """The policy's entry in the manifest's `models`.

    Args:
        uri: the endpoint, as it was given.
        served: what the server says that it is. For `local:` that is `name@commit` of a model on the Hub, and
            `name@hash` of a folder, where the hash is of its weights, tokenizer and settings.

    Returns:
        `model` (as in the record of generations), `role`, `endpoint`; of a Hub model `repository`, `commit`, and
        `revision` if one was asked for; of a folder `content_hash`, and where our recipes trained it `trained_by` and
        `trained_on`. A server of one's own says what it says.
    """
    facts: dict[str, Any] = {"model": served, "role": "tag policy", "endpoint": "policy_endpoint"}
    endpoint = Endpoint(uri)
    if endpoint.scheme != "local":
        return facts
    identity = served.rpartition("@")[2]
    folder = Path(endpoint.target).expanduser()
    if not folder.is_dir():
        repository, _, revision = endpoint.target.partition("@")
        return facts | {"repository": repository, "commit": identity} | ({"revision": revision} if revision else {})
    facts["content_hash"] = identity
    if manifest := read_manifest(folder):
        data = manifest["inputs"][0]
        version = f"@{data['revision']}" if data.get("revision") else ""
        facts |= {"trained_by": manifest["recipe"], "trained_on": f"{data['name']}{version}"}
    return facts
