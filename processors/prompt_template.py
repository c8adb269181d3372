"""Prompt templates: one Jinja file each, strict about names, rendered forwards and recognised backwards."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template, nodes
from jinja2.exceptions import TemplateSyntaxError, UndefinedError

from tagsmith.processors.errors import InputError

_ENVIRONMENT = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)


@cache
def _compiled(text: str) -> Template:
    return _ENVIRONMENT.from_string(text)


@dataclass(frozen=True)
class PromptTemplate:
    """The text of one prompt, with the names that it needs.

    Args:
        name: `folder/file` of a template that ships with tagsmith, or the path of a user's own file.
        text: the template's source (Jinja). It is part of a processor's state, so an edit re-requests.

    Raises:
        InputError: the source is not valid Jinja, or `render` gets other names than the template uses.
    """

    name: str
    text: str

    @classmethod
    def load(cls, name: str) -> "PromptTemplate":
        """Read a shipped template by name (`instag/tag`), or any file by path (`my_prompts/tag.jinja`)."""
        path = Path(name)
        if path.suffix:
            if not path.is_file():
                raise InputError(
                    f"prompt file {name!r} does not exist; give a .jinja file, or a shipped prompt by its name, such as"
                    " instag/tag"
                )
            try:
                return cls(name, path.read_text(encoding="utf-8"))
            except UnicodeDecodeError as error:
                raise InputError(f"prompt file {name!r} is not UTF-8 text: {error}; save it as UTF-8") from error
        shipped = files("tagsmith.processors") / "prompts" / f"{name}.jinja"
        if not shipped.is_file():
            raise InputError(f"no prompt named {name!r}; tagsmith ships: {_nearest(name)}; a file's path works too")
        return cls(name, shipped.read_text(encoding="utf-8"))

    def __post_init__(self) -> None:
        try:
            _compiled(self.text)
        except TemplateSyntaxError as error:
            raise InputError(f"prompt {self.name!r}, line {error.lineno}: {error.message}") from error

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # Only name and text travel and are hashed: what is cached on the instance must not change a fingerprint.
        return PromptTemplate, (self.name, self.text)

    @cached_property
    def inputs(self) -> frozenset[str]:
        """The names that the template needs."""
        return frozenset(node.name for node in _ENVIRONMENT.parse(self.text).find_all(nodes.Name))

    @cached_property
    def sha(self) -> str:
        """Short content hash of the source, for manifests and lineage."""
        return blake2b(self.text.encode(), digest_size=8).hexdigest()

    def check(self, *given: str) -> None:
        """Raise before a run when a template (a user's own file, say) does not fit the processor that uses it."""
        if self.inputs != set(given):
            raise InputError(
                f"prompt {self.name!r} uses {sorted(self.inputs)}, but it is given {sorted(given)}: use each exactly"
                " as {{ name }}"
            )

    def render(self, **values: str) -> str:
        """The prompt's text. Unknown and missing names are errors; values go in as they are, never re-interpreted."""
        if self.inputs != values.keys():
            self.check(*values)
        if self._parts is not None:  # no more than names in text: joining them is ten times as fast
            return "".join(values[part] if is_name else part for part, is_name in self._parts)
        try:
            return _compiled(self.text).render(values)
        except UndefinedError as error:
            raise InputError(f"prompt {self.name!r}: {error}; use each name as {{{{ name }}}} alone") from error

    @cached_property
    def _parts(self) -> tuple[tuple[str, bool], ...] | None:
        """The template's literal texts and its names (marked True), in order; None when it holds anything else."""
        parts: list[tuple[str, bool]] = []
        for output in _ENVIRONMENT.parse(self.text).body:
            for node in output.nodes if isinstance(output, nodes.Output) else (output,):
                if isinstance(node, nodes.TemplateData):
                    parts.append((node.data, False))
                elif isinstance(node, nodes.Name):
                    parts.append((node.name, True))
                else:
                    return None
        return tuple(parts)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """The rendered text as a regular expression, one group a name."""
        if self._parts is None:
            raise InputError(f"prompt {self.name!r} holds more than names in text; it cannot be recognised again")
        return re.compile("".join(f"(?P<{part}>[\\s\\S]*)" if name else re.escape(part) for part, name in self._parts))

    def match(self, prompt: str) -> dict[str, str] | None:
        """The values that `prompt` was rendered from, or None when it is another template's."""
        found = self._pattern.fullmatch(prompt)
        return found.groupdict() if found else None


def shipped_templates() -> list[PromptTemplate]:
    """All templates that ship with tagsmith, in order of name: the registry that the offline endpoint reads."""
    return [PromptTemplate.load(name) for name in _names()]


def _names() -> Iterator[str]:
    root = Path(str(files("tagsmith.processors") / "prompts"))
    for path in sorted(root.rglob("*.jinja")):
        yield path.relative_to(root).with_suffix("").as_posix()


def _nearest(name: str) -> str:
    """The shipped names that are most like a wrong one: all of them would be a page."""
    names = list(_names())
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.0)
    return f"{', '.join(near)} and {len(names) - len(near)} more"
