"""Trouble on demand: spoiled replies, delays, refused requests. All by hash, so that order changes nothing."""

from hashlib import blake2b

import orjson

from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.failures import DroppedConnectionError, TgiError, overloaded
from tagsmith.processors.endpoint.offline.settings import OfflineSettings

# A request chosen to fail does so at least once; this share of them once more. The third attempt is always served.
_FAILS_AGAIN = 0.25
_FAILS_AT_MOST = 2
_PREAMBLES = (
    "Sure! Here is what you asked for:\n\n",
    "Certainly. I looked at the request closely, and this is my answer:\n\n",
    "Here you go:\n",
)
_AFTERWORDS = ("\n\nLet me know if you need anything else!", "\n\nI hope this helps.", "")
_INSTEAD = (
    "I am sorry, but I cannot give a definite answer to that without more information.",
    "This request is about several things at once, so it depends on how one looks at it.",
    "As an assistant I would say that the main point is what the person wants to achieve.",
)
_WRONG_KEYS = {
    "tags": "labels",
    "tag": "name",
    "explanation": "reason",
    "incorrect": "wrong",
    "inconsistent": "changed",
}


def _failures() -> tuple[Exception, ...]:
    return (
        TgiError(500, "Incomplete generation", "incomplete_generation"),
        overloaded(),
        # As a gateway in front of TGI says it, with a hint when to come back.
        TgiError(503, "unhealthy", "healthcheck", retry_after_sec=1),
        DroppedConnectionError(),
    )


class Faults:
    """Decides what goes wrong. The only state is how often a failing request has been tried."""

    def __init__(self, settings: OfflineSettings) -> None:
        self._settings = settings
        self._draw = Draw("faults", settings.seed)
        self._attempts: dict[bytes, int] = {}

    def failure(self, request: bytes) -> Exception | None:
        """The error that this attempt meets, if any. An attempt that is served starts the count anew."""
        if self._settings.fail == 0.0:
            return None
        key = blake2b(request, digest_size=16).digest()
        if self._draw.share(f"fail/{key.hex()}") >= self._settings.fail:
            return None
        attempt = self._attempts.get(key, 0)
        again = attempt < _FAILS_AT_MOST and self._draw.share(f"again/{attempt}/{key.hex()}") < _FAILS_AGAIN
        if attempt == 0 or again:
            self._attempts[key] = attempt + 1
            return self._draw.pick(f"kind/{attempt}/{key.hex()}", _failures())
        del self._attempts[key]
        return None

    def delay_sec(self, request: str) -> float:
        """How long this request waits for its answer."""
        settings = self._settings
        if settings.latency_ms == 0.0:
            return 0.0
        slow = settings.slow > 0.0 and self._draw.share(f"slow/{request}") < settings.slow
        return settings.latency_ms / 1000 * (settings.slow_factor if slow else 1.0)

    def spoil(self, reply: str, request: str) -> str:
        """The reply, or what a model sometimes makes of it.

        `request` is everything that was sent, earlier turns included: asked again, a model mostly does better.
        """
        if self._settings.malformed == 0.0 or self._draw.share(f"malformed/{request}") >= self._settings.malformed:
            return reply
        return _spoiled(reply, request, self._draw)


def _spoiled(reply: str, request: str, draw: Draw) -> str:
    if len(reply) < 2:
        return ""
    kinds: tuple[str, ...] = ("cut", "empty")
    if _is_json(reply):
        kinds = ("cut", "cut", "prose", "instead", "comma", "fence", "key", "empty")
    elif reply.startswith("["):  # a form with marks: prose before or after it would pass for its content
        kinds = ("cut", "instead", "empty")
    kind = draw.pick(f"spoil/{request}", kinds)
    if kind == "cut":
        # Somewhere within, never before the first or after the last character.
        return reply[: 1 + draw.bits(f"cut/{request}") % max(len(reply) - 2, 1)]
    if kind == "prose":
        return draw.pick(f"before/{request}", _PREAMBLES) + reply + draw.pick(f"after/{request}", _AFTERWORDS)
    if kind == "instead":
        return draw.pick(f"instead/{request}", _INSTEAD)
    if kind == "comma":
        return f"{reply[:-1]},{reply[-1]}"
    if kind == "fence":
        return f"```json\n{reply}\n```"
    if kind == "key":
        return _with_wrong_keys(reply)
    return ""


def _is_json(reply: str) -> bool:
    if not reply.startswith(("{", "[")):
        return False
    try:
        orjson.loads(reply)
    except orjson.JSONDecodeError:
        return False
    return True


def _with_wrong_keys(reply: str) -> str:
    def renamed(value: object) -> object:
        if isinstance(value, dict):
            return {_WRONG_KEYS.get(key, f"{key}_"): renamed(part) for key, part in value.items()}
        if isinstance(value, list):
            return [renamed(part) for part in value]
        return value

    spoiled = renamed(orjson.loads(reply))
    # A list without objects has no key to get wrong.
    text = orjson.dumps(spoiled).decode()
    return text if spoiled != orjson.loads(reply) else f"{reply[:-1]},{reply[-1]}"
