"""Guided output for JSON schemas: a value brought into a schema's shape, or the smallest one that satisfies it."""

import re
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.regex_sample import NoMatchError, sample
from tagsmith.processors.endpoint.offline.schema_check import SchemaError

# Below this depth only required properties are given, so that schemas that refer to themselves come to an end.
_DEEP = 5
_MAX_DEPTH = 40
_FORMATS = {
    "date": "2024-01-01",
    "time": "12:00:00Z",
    "date-time": "2024-01-01T12:00:00Z",
    "email": "name@example.org",
    "uri": "https://example.org",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "ipv4": "192.0.2.1",
}
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_MISSING: Any = object()


class Shaper:
    """Brings values into the shape of one schema.

    Args:
        root: the schema, to which `$ref` refers.
        words: gives strings to fill gaps with, used in turn; called when there is one.
        draw: of strings for `pattern`.
    """

    def __init__(self, root: dict[str, Any], words: Callable[[], list[str]], draw: Draw) -> None:
        self._root = root
        self._words = self._turns(words)
        self._draw = draw

    @staticmethod
    def _turns(words: Callable[[], list[str]]) -> Iterator[str]:
        yield from cycle(words() or ["text"])

    def shape(self, wanted: Any = _MISSING) -> Any:
        """The wanted value where it fits the schema, made to fit where not; without one, a small instance.

        Raises:
            SchemaError: the schema cannot be satisfied this way.
        """
        return self._shape(self._root, wanted, 0)

    def _shape(self, schema: Any, wanted: Any, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise SchemaError("the schema never ends: it requires itself")
        if schema is True or schema == {}:
            return next(self._words) if wanted is _MISSING else wanted
        if schema is False:
            raise SchemaError("the schema `false` admits nothing")
        if "$ref" in schema:
            return self._shape(self._resolve(schema["$ref"]), wanted, depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            # In Python True equals 1, in JSON it does not.
            same = [
                each for each in schema["enum"] if each == wanted and isinstance(each, bool) == isinstance(wanted, bool)
            ]
            if not schema["enum"]:
                raise SchemaError("an empty enum admits nothing")
            return (same or schema["enum"])[0]
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._shape_any(schema, keyword, wanted, depth)
        if "allOf" in schema:
            merged = {name: value for name, value in schema.items() if name != "allOf"}
            for part in schema["allOf"]:
                merged = _merged(merged, self._resolve(part["$ref"]) if "$ref" in part else part)
            return self._shape(merged, wanted, depth + 1)
        kind = _kind(schema, wanted)
        if kind == "object":
            return self._shape_object(schema, wanted, depth)
        if kind == "array":
            return self._shape_array(schema, wanted, depth)
        if kind == "string":
            return self._shape_string(schema, wanted)
        if kind in ("integer", "number"):
            return _shape_number(schema, wanted, kind)
        if kind == "boolean":
            return wanted if isinstance(wanted, bool) else True
        return None

    def _shape_any(self, schema: dict[str, Any], keyword: str, wanted: Any, depth: int) -> Any:
        base = {name: value for name, value in schema.items() if name != keyword}
        choices = [_merged(base, part) for part in schema[keyword]]
        fitting = [choice for choice in choices if wanted is not _MISSING and _fits_kind(choice, wanted)]
        # Choices that refer back may never end; those that end are tried in order.
        for choice in fitting + choices:
            try:
                return self._shape(choice, wanted, depth + 1)
            except SchemaError:
                continue
        raise SchemaError(f"no choice of {keyword} can be satisfied")

    def _shape_object(self, schema: dict[str, Any], wanted: Any, depth: int) -> dict[str, Any]:
        given = wanted if isinstance(wanted, dict) else {}
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        shaped = {}
        for name in dict.fromkeys([*properties, *required]):
            if name in required or name in given or (wanted is _MISSING and depth < _DEEP):
                shaped[name] = self._shape(properties.get(name, True), given.get(name, _MISSING), depth + 1)
        extra = schema.get("additionalProperties", True)
        if extra is not False:
            for name, value in given.items():
                if name not in properties:
                    shaped[name] = self._shape(extra, value, depth + 1)
        return shaped

    def _shape_array(self, schema: dict[str, Any], wanted: Any, depth: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        fewest = int(schema.get("minItems", 0))
        most = int(schema["maxItems"]) if "maxItems" in schema else None
        if isinstance(wanted, list):
            given = wanted[:most]
        else:
            # One item shows more than none, where that is allowed and comes to an end.
            length = max(fewest, len(first), 1 if depth < _DEEP else 0)
            given = [_MISSING] * (length if most is None else min(length, most))
        given = given + [_MISSING] * (fewest - len(given))
        shaped: list[Any] = []
        for index, item in enumerate(given):
            part = first[index] if index < len(first) else rest
            value = self._shape(part, item, depth + 1)
            if schema.get("uniqueItems") and value in shaped:
                value = self._another(part, value, shaped, depth + 1)
            shaped.append(value)
        return shaped

    def _another(self, schema: Any, value: Any, taken: list[Any], depth: int) -> Any:
        """A value of the schema that is not among those taken, near to the given one."""
        if isinstance(schema, dict) and "$ref" in schema:
            schema = self._resolve(schema["$ref"])
        numbers = range(2, len(taken) + 3)
        if isinstance(schema, dict) and "enum" in schema:
            candidates = list(schema["enum"])
        elif isinstance(value, str):
            candidates = [f"{value} {number}" for number in numbers]
        elif _is_kind(value, "number"):
            candidates = [value + number - 1 for number in numbers]
        else:
            candidates = [_MISSING]
        for candidate in candidates:
            other = self._shape(schema, candidate, depth)
            if other not in taken:
                return other
        raise SchemaError("uniqueItems: there are not so many different items")

    def _shape_string(self, schema: dict[str, Any], wanted: Any) -> str:
        text = wanted if isinstance(wanted, str) else None
        if "pattern" in schema:
            if text is None or not re.search(schema["pattern"], text):
                try:
                    # JSON schema searches, so a match of the pattern alone is enough.
                    return sample(schema["pattern"], self._draw)
                except (re.error, NoMatchError) as error:
                    raise SchemaError(f"pattern {schema['pattern']!r}: {error}") from error
            return text
        if text is None:
            text = _FORMATS.get(schema.get("format", "")) or next(self._words)
        shortest = int(schema.get("minLength", 0))
        while len(text) < shortest:
            text += " " + next(self._words)
        return text[: int(schema["maxLength"])] if "maxLength" in schema else text

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise SchemaError(f"$ref {reference!r}: only references within the schema are known")
        part: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if step:
                if not isinstance(part, dict) or step not in part:
                    raise SchemaError(f"$ref {reference!r} points nowhere")
                part = part[step]
        return part


def _kind(schema: dict[str, Any], wanted: Any) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return kinds
    if isinstance(kinds, list) and kinds:
        fitting = [kind for kind in kinds if wanted is not _MISSING and _is_kind(wanted, kind)]
        return str(fitting[0] if fitting else next((kind for kind in kinds if kind != "null"), "null"))
    if schema.keys() & {"properties", "required", "additionalProperties"}:
        return "object"
    if schema.keys() & {"items", "prefixItems", "minItems"}:
        return "array"
    if schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}:
        return "number"
    return "string"


def _fits_kind(schema: Any, wanted: Any) -> bool:
    if not isinstance(schema, dict):
        return bool(schema)
    kinds = schema.get("type", [])
    return any(_is_kind(wanted, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _is_kind(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _PYTHON_TYPES.get(kind, ()))


def _merged(left: Any, right: Any) -> Any:
    if not isinstance(left, dict) or not isinstance(right, dict):
        return right
    merged = left | right
    if "properties" in left and "properties" in right:
        merged["properties"] = left["properties"] | right["properties"]
    if "required" in left and "required" in right:
        merged["required"] = list(dict.fromkeys([*left["required"], *right["required"]]))
    return merged


def _shape_number(schema: dict[str, Any], wanted: Any, kind: str) -> float | int:
    whole = kind == "integer"
    step = schema.get("multipleOf", 1 if whole else None)
    low, high = schema.get("minimum"), schema.get("maximum")
    nudge = step if step is not None else 0.5
    if "exclusiveMinimum" in schema:
        low = max(schema["exclusiveMinimum"] + nudge, schema["exclusiveMinimum"] if low is None else low)
    if "exclusiveMaximum" in schema:
        high = min(schema["exclusiveMaximum"] - nudge, schema["exclusiveMaximum"] if high is None else high)
    value = wanted if _is_kind(wanted, "number") else (1 if low is None else low)
    if high is not None and value > high:
        value = high
    if low is not None and value < low:
        value = low
    if step is not None and value % step:
        value -= value % step
        if low is not None and value < low:
            value += step
    if (low is not None and value < low) or (high is not None and value > high):
        if "exclusiveMinimum" in schema and "exclusiveMaximum" in schema and not whole and "multipleOf" not in schema:
            return float((schema["exclusiveMinimum"] + schema["exclusiveMaximum"]) / 2)
        raise SchemaError(f"no {kind} lies between {low} and {high}")
    return int(value) if whole else value
