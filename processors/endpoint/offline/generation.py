"""From a prompt to a reply: recognise the template, answer by its rules, keep to the grammar, cut at the limits."""

import re
from dataclasses import dataclass
from functools import cache, cached_property

import orjson

from tagsmith.processors.endpoint.offline import answers
from tagsmith.processors.endpoint.offline.bodies import Parameters
from tagsmith.processors.endpoint.offline.draw import Draw
from tagsmith.processors.endpoint.offline.failures import generation_failed
from tagsmith.processors.endpoint.offline.faults import Faults
from tagsmith.processors.endpoint.offline.grammar import Shaper
from tagsmith.processors.endpoint.offline.keyphrases import keyphrases
from tagsmith.processors.endpoint.offline.regex_sample import NoMatchError, sample
from tagsmith.processors.endpoint.offline.schema_check import SchemaError
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.processors.endpoint.offline.tokens import OneToken, tokenize
from tagsmith.processors.endpoint.offline.validation import Grammar
from tagsmith.processors.prompt_template import PromptTemplate, shipped_templates

_SENTENCES = (
    "In short, this is about {0}, and it goes together with {1}.",
    "The main point here is {0}; {1} comes second.",
    "Think of {0} first, and then of {1}.",
)
_ONE_SENTENCE = ("In short, this is about {0}.", "The main point here is {0}.", "It comes down to {0}.")
_NOTHING_SAID = "Please say a little more about what you would like to know."


@dataclass(frozen=True)
class Prompt:
    """What a reply depends on.

    Args:
        text: the first user message, or the whole raw input: where the template is looked for.
        whole: all that was sent, earlier replies included.
    """

    text: str
    whole: str

    @cached_property
    def template(self) -> tuple[str, dict[str, str]] | None:
        """Name and values of the prompt template, or None for a prompt that is not one of ours."""
        return recognise(self.text)

    @property
    def slow(self) -> bool:
        """Whether the answer may take a neural network, and so belongs off the event loop."""
        return self.template is not None and self.template[0] in answers.SLOW


@dataclass(frozen=True)
class Generation:
    """A reply: `tokens` join to `text`; `seed` is set when the request asked for sampling.

    `likely` has the candidates for the first token where the rules name them, that token in front.
    """

    text: str
    tokens: list[str]
    finish_reason: str
    seed: int | None
    likely: tuple[tuple[str, float], ...] = ()


def recognise(text: str) -> tuple[str, dict[str, str]] | None:
    """Name and values of the template that `text` was rendered from.

    White space around it does not matter, nor does a repair conversation that was joined into raw text.
    """
    text = text.strip()
    if found := _match(text) or _match(f"{text} "):  # some templates end in a space
        return found
    repair_start = text.find(_repair_words())
    cut = text.find("\n\n")
    while -1 < cut < repair_start:
        if found := _match(text[:cut]):
            return found
        cut = text.find("\n\n", cut + 2)
    return None


def _match(text: str) -> tuple[str, dict[str, str]] | None:
    for template in _known_templates():
        if (values := template.match(text)) is not None:
            return template.name, values
    return None


def generate(
    prompt: Prompt,
    parameters: Parameters,
    grammar: Grammar | None,
    max_new_tokens: int,
    settings: OfflineSettings,
    faults: Faults,
    sequence: int = 0,
) -> Generation:
    """One reply. The same arguments give the same reply in every process; `sequence` tells best-of replies apart.

    Raises:
        TgiError: 424 `generation`, nothing can satisfy the grammar.
    """
    seed = None
    if parameters.sampling:
        seed = parameters.seed
        if seed is None:
            # TGI would take a random seed: ours follows from the prompt, so that demos can be repeated.
            seed = (Draw("seed", settings.seed, prompt.whole).bits("seed") >> 11) + sequence
    draw = Draw("reply", settings.seed, seed)
    reply = _reply(prompt, grammar, draw)
    likely = reply.likely if isinstance(reply, OneToken) else ()
    said = reply.likely[0][0] if isinstance(reply, OneToken) else reply
    text = faults.spoil(said, f"{seed}/{prompt.whole}")
    finish_reason = "eos_token"
    if ends := [text.find(stop) + len(stop) for stop in parameters.stop if stop and stop in text]:
        text = text[: min(ends)]
        finish_reason = "stop_sequence"
    tokens = tokenize(text)
    if len(tokens) > max_new_tokens or (len(tokens) == max_new_tokens and finish_reason == "eos_token"):
        # The end-of-sequence token would have been one too many.
        tokens = tokens[:max_new_tokens]
        text = "".join(tokens)
        finish_reason = "length"
    # Spoiled, the reply may begin with another token.
    return Generation(text, tokens, finish_reason, seed, likely if tokens[:1] == [said] else ())


def _reply(prompt: Prompt, grammar: Grammar | None, draw: Draw) -> str | OneToken:
    found = prompt.template
    answer = answers.ANSWERS[found[0]](found[1], draw) if found else None
    if grammar is None:
        if answer is None:
            return _plain(prompt.text, draw)
        return answer if isinstance(answer, str | OneToken) else orjson.dumps(answer).decode()
    try:
        if grammar.regex is not None:
            return sample(grammar.regex, draw)
        shaper = Shaper(grammar.schema or {}, lambda: keyphrases(prompt.text, 8), draw)
        shaped = shaper.shape() if answer is None or isinstance(answer, str | OneToken) else shaper.shape(answer)
        return orjson.dumps(shaped).decode()
    except (SchemaError, NoMatchError, re.error, OverflowError) as error:
        raise generation_failed(str(error)) from error


def _plain(text: str, draw: Draw) -> str:
    phrases = keyphrases(text, 2)
    if not phrases:
        return _NOTHING_SAID
    return draw.pick(text, _SENTENCES if len(phrases) == 2 else _ONE_SENTENCE).format(*phrases)


@cache
def _known_templates() -> list[PromptTemplate]:
    return [template for template in shipped_templates() if template.name in answers.ANSWERS]


@cache
def _repair_words() -> str:
    """The words with which every repair prompt begins."""
    return PromptTemplate.load("repair").render(reason="\0").partition("\0")[0].strip()
