"""Whether a JSON schema is one at all: checked before a request is accepted."""

from typing import Any

_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


class SchemaError(ValueError):
    """The schema is not a JSON schema, or nothing of ours satisfies it."""


def check_schema(schema: Any, path: str = "schema") -> None:
    """Raise SchemaError for what is plainly no JSON schema (draft 2020-12): wrong types of the common keywords."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise SchemaError(f"{path}: {schema!r} is not of types 'boolean', 'object'")
    kinds = schema.get("type", [])
    for kind in [kinds] if not isinstance(kinds, list) else kinds:
        if kind not in _TYPES:
            raise SchemaError(f"{path}.type: {kind!r} is not one of {', '.join(_TYPES)}")
    for keyword in ("properties", "$defs", "definitions"):
        if keyword in schema and not isinstance(schema[keyword], dict):
            raise SchemaError(f"{path}.{keyword}: {schema[keyword]!r} is not of type 'object'")
        for name, part in schema.get(keyword, {}).items():
            check_schema(part, f"{path}.{keyword}.{name}")
    for keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if keyword in schema and not (isinstance(schema[keyword], list) and schema[keyword]):
            raise SchemaError(f"{path}.{keyword}: {schema[keyword]!r} is not a list of schemas")
        for index, part in enumerate(schema.get(keyword, ())):
            check_schema(part, f"{path}.{keyword}[{index}]")
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            check_schema(schema[keyword], f"{path}.{keyword}")
    for keyword in ("required", "enum"):
        if not isinstance(schema.get(keyword, []), list):
            raise SchemaError(f"{path}.{keyword}: {schema[keyword]!r} is not of type 'array'")
    if not all(isinstance(name, str) for name in schema.get("required", ())):
        raise SchemaError(f"{path}.required: {schema['required']!r} is not a list of strings")
    for keyword in ("minItems", "maxItems", "minLength", "maxLength"):
        value = schema.get(keyword, 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0 or value != int(value):
            raise SchemaError(f"{path}.{keyword}: {value!r} is not a non-negative integer")
