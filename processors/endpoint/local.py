"""Serve a Transformers model on loopback: what answers for the endpoint `local:org/model-or-folder`.

The server is a small program of ours (`local_server`) around `model.generate`, not `transformers serve`. Tried side
by side with transformers 5.23 on a tiny Llama, two cores, no GPU:

- `transformers serve` needs fastapi, uvicorn, starlette and openai as further dependencies; ours needs none.
- It ignored `temperature` and `seed` unless the model's own generation config samples; a seed, where it counts, is set
  for the whole process. Ours gives each request its own random numbers: the same reply alone and in a batch.
- It took a prompt of 6,316 tokens for a window of 256 without an error. Ours answers 422.
- It has no `/info`, no `/generate`, no log-probabilities (DEITA scores need them), and its `/v1/models` answered 500
  without a Hub cache: neither the model's revision nor its limits could be learnt.
- Without its continuous batching, which the CPU run did not have, it answers one request after the other: 12 requests/s
  of 32 tokens. Ours batches what waits: 62 to 82 requests/s.
- Nothing ends it when its parent is killed, and it was still there a second after SIGTERM. Both were up in 4 to 7 s.
"""

import sys
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tagsmith.processors.endpoint.child import ChildServer
from tagsmith.processors.endpoint.local_folder import (
    SETTING_FILES,
    TOKENIZER_FILES,
    WEIGHT_FILES,
    check_model_folder,
)
from tagsmith.processors.errors import EndpointError


def start_local(
    model: str, *, device: str | None = None, dtype: str = "auto", startup_timeout_sec: float = 300
) -> ChildServer:
    """Serve a causal language model until `stop()` or the end of this process, whatever ends it.

    Files of a Hub model are downloaded first (in this process, with its progress bars, not counted as start-up
    time) or taken from the Hub's cache; the server itself never uses the network.

    Args:
        model: a folder with config, tokenizer and weights, or a model id on the Hub; `org/name@v1.0.0` is its version
            of that tag (a branch or a commit does too), without one it is the newest.
        device: `cpu`, `cuda:0`, `auto` (spread over all); None takes the accelerator if there is one.
        dtype: of the weights; `auto` is the one that they were saved in.
        startup_timeout_sec: longest wait for the model to be loaded.

    Raises:
        EndpointError: no such folder or model, files are missing or damaged, or it was not up in time.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        # The folder's name only: a path of this machine must not get into store keys and cards.
        identity = ["--model_id", folder.resolve().name]
    else:
        name, _, revision = model.partition("@")
        folder = _download(name, revision or None)
        identity = ["--model_id", name, "--model_sha", folder.name]  # a snapshot's folder is named by its commit
    check_model_folder(folder, model)
    module = "tagsmith.processors.endpoint.local_server"
    command = [sys.executable, "-m", module, "--model", str(folder), *identity, "--dtype", dtype]
    if device is not None:
        command += ["--device", device]
    return ChildServer(command, env={"HF_HUB_OFFLINE": "1"}, startup_timeout_sec=startup_timeout_sec)


def _download(model: str, revision: str | None) -> Path:
    """The folder of a Hub model's commit, the newest if none is asked for; without a network, from the cache."""
    settings = [*SETTING_FILES, *TOKENIZER_FILES]
    try:
        for weights in WEIGHT_FILES:  # pickled weights only where there are no safe ones
            folder = Path(snapshot_download(model, revision=revision, allow_patterns=[*settings, weights]))
            if any(folder.glob(weights)):
                break
    except HFValidationError:
        raise EndpointError(
            f"{model!r} is neither a folder nor a model id; expected local:org/model-or-folder"
        ) from None
    except GatedRepoError:
        raise EndpointError(
            f"{model} is gated: accept its terms on https://huggingface.co/{model}, then `hf auth login` or set"
            " HF_TOKEN"
        ) from None
    except RevisionNotFoundError:
        raise EndpointError(f"{model} has no revision {revision!r}; expected local:org/model@tag") from None
    except RepositoryNotFoundError:
        raise EndpointError(
            f"{model!r} is no folder here and no model on the Hub that you may read; check the name, or log in"
            " for a private one: `hf auth login`"
        ) from None
    except LocalEntryNotFoundError:
        raise EndpointError(
            f"{model!r} is no folder here, not in the Hub's cache, and the Hub cannot be reached; give a folder,"
            f" or download it where there is a network: `hf download {model}`"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise EndpointError(f"cannot download {model}: {error}; try again, or give a folder") from error
    return folder
