"""Under which licence a dataset or a model is that was made from others: never a laxer one than its sources ask for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

UNKNOWN, OTHER = "unknown", "other"


class Terms(Enum):
    """What a licence asks of whoever passes on something made from the work, in a few words for the card."""

    PUBLIC_DOMAIN = "asks for nothing"
    PERMISSIVE = "asks to keep its notice"
    ATTRIBUTION = "asks to name the authors"
    SHARE_ALIKE = "asks to pass it on under the same licence"
    NON_COMMERCIAL = "allows no commercial use"
    NON_COMMERCIAL_SHARE_ALIKE = "allows no commercial use and asks to pass it on under the same licence"
    RESEARCH_ONLY = "allows research and no commercial use"
    NO_DERIVATIVES = "does not allow passing on changed versions"
    USE_RESTRICTED = "lists uses that are forbidden and must stay so"


# Identifiers from the Hub's list (https://huggingface.co/docs/hub/repositories-licenses), sorted by the licences' own
# texts as we read them. What is not here (`cc`, `other`, a name of someone's own) is combined with nothing.
_IDENTIFIERS: Mapping[Terms, str] = {
    Terms.PUBLIC_DOMAIN: "cc0-1.0 pddl unlicense wtfpl",
    Terms.PERMISSIVE: (
        "apache-2.0 mit bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear isc zlib ncsa postgresql bsl-1.0 afl-3.0"
        " artistic-2.0 ecl-2.0 cdla-permissive-1.0 cdla-permissive-2.0 c-uda openmdw-1.0 openmdw-1.1"
    ),
    Terms.ATTRIBUTION: "cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 odc-by etalab-2.0",
    Terms.SHARE_ALIKE: (
        "cc-by-sa-3.0 cc-by-sa-4.0 odbl cdla-sharing-1.0 gfdl gpl gpl-2.0 gpl-3.0 agpl-3.0 lgpl lgpl-2.1 lgpl-3.0"
        " lgpl-lr mpl-2.0 epl-1.0 epl-2.0 eupl-1.1 eupl-1.2 osl-3.0 ms-pl lppl-1.3c ofl-1.1"
    ),
    Terms.NON_COMMERCIAL: "cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0",
    Terms.NON_COMMERCIAL_SHARE_ALIKE: "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0",
    Terms.RESEARCH_ONLY: (
        "fair-noncommercial-research-license intel-research h-research apple-amlr deepfloyd-if-license"
    ),
    Terms.NO_DERIVATIVES: "cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0",
    Terms.USE_RESTRICTED: (
        "openrail openrail++ bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m"
        " llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma grok2-community apple-ascl"
    ),
}
TERMS: Mapping[str, Terms] = {name: terms for terms, names in _IDENTIFIERS.items() for name in names.split()}

# Under a licence of the first kind may also stand what came under one of the others, its notices kept. Share-alike
# terms and restrictions are absorbed by nothing but themselves (and non-commercial ones by their share-alike sibling,
# as in Creative Commons' own table of what may be remixed into what).
_OPEN = frozenset({Terms.PUBLIC_DOMAIN, Terms.PERMISSIVE, Terms.ATTRIBUTION})
_ABSORBS: Mapping[Terms, frozenset[Terms]] = {
    Terms.PUBLIC_DOMAIN: frozenset(),
    Terms.PERMISSIVE: frozenset({Terms.PUBLIC_DOMAIN}),
    Terms.ATTRIBUTION: frozenset({Terms.PUBLIC_DOMAIN, Terms.PERMISSIVE}),
    Terms.SHARE_ALIKE: _OPEN,
    Terms.NON_COMMERCIAL: _OPEN,
    Terms.NON_COMMERCIAL_SHARE_ALIKE: _OPEN | {Terms.NON_COMMERCIAL},
    Terms.RESEARCH_ONLY: _OPEN,
    Terms.NO_DERIVATIVES: frozenset(),
    Terms.USE_RESTRICTED: _OPEN,
}
# The Free Software Foundation's finding: the patent clause of Apache 2.0 is one restriction too many for GPL 2.
_CLASH = frozenset({"apache-2.0", "gpl-2.0"})

_CC = re.compile(r"(cc-by(?:-nc)?(?:-sa)?(?:-nd)?)-(\d\.\d)")

# What well-known licences of models say of the text that the models write.
_OUTPUT_TERMS = (
    (re.compile(r"llama[23]"), "does not allow using its output to improve language models other than its own family"),
    (
        re.compile(r"llama(3\.\d|4)"),
        "asks that a model trained on its output has a name that starts with Llama and says “Built with Llama”",
    ),
    (re.compile(r"gemma"), "counts a model trained on its output as a derivative of it, under the same terms"),
    (re.compile(r".*(openrail|rail-1\.0).*"), "lists uses that are forbidden for its output, too"),
    (re.compile(r"cc-by-nc.*|.*research.*|apple-amlr|deepfloyd.*"), "allows no commercial use of the model"),
)


@dataclass(frozen=True)
class Licence:
    """What something made from others is under.

    Args:
        identifiers: of the Hub: one; several where rows keep their own, all open; `unknown` or `other`.
        name: of an `other` licence.
        explanation: why, as one paragraph for the card.
        warning: set where the sources do not allow passing it on at all; for the top of the card.
    """

    identifiers: tuple[str, ...]
    explanation: str
    name: str | None = None
    warning: str | None = None

    def metadata(self, link: str | None = None, *, several: bool = True) -> dict[str, Any]:
        """`license`, and for an `other` one `license_name` and `license_link`, as a card has them.

        Args:
            link: where an `other` one is explained.
            several: whether there may be a list of licences, as for a dataset; else they become an `other` one.
        """
        if len(self.identifiers) > 1:
            names = list(self.identifiers)
            return {"license": names} if several else _named("-and-".join(names), link)
        if self.identifiers[0] == OTHER:
            return _named(self.name or OTHER, link)
        return {"license": self.identifiers[0]}


def combine_licences(licences: Sequence[str | None]) -> Licence:
    """The licence of what is made from sources under these.

    One licence stays itself. Several become the one among them whose terms cover the others'; a later version of a
    Creative Commons licence covers an earlier one. Terms that contradict each other become `other`, with all named. A
    source without a known licence makes the whole unknown. This reads identifiers, it is no legal advice.

    Args:
        licences: the Hub's identifier of each source, None where it is not known.
    """
    names = [_identifier(licence) for licence in licences] or [UNKNOWN]
    distinct = _latest(list(dict.fromkeys(names)))
    warning = _no_derivatives(distinct)
    if UNKNOWN in distinct:
        return Licence((UNKNOWN,), _unknown([name for name in distinct if name != UNKNOWN]), warning=warning)
    if len(distinct) == 1 and distinct[0] in TERMS:
        return Licence((distinct[0],), _single(distinct[0], sorted(set(names))), warning=warning)
    if len(distinct) == 1:
        name = "see-source" if distinct[0] == OTHER else distinct[0]
        return Licence((OTHER,), "As the source. It is a licence of its own, to be read there.", name)
    terms = {name: TERMS.get(name) for name in distinct}
    if None not in terms.values() and not set(distinct) >= _CLASH:
        if leader := _covering(terms):
            return Licence((leader,), _covered(leader, [name for name in distinct if name != leader]), warning=warning)
        if set(terms.values()) <= _OPEN:
            strictest = _strictest_open(terms)
            return Licence(tuple(strictest), _each_its_own(distinct), warning=warning)
    return Licence((OTHER,), _contradicting(terms), "-and-".join(distinct), warning)


def output_terms(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each model whose `license` says something of the text that it writes."""
    sentences = []
    for model in models:
        licence = str(model.get("license") or "").lower()
        said = next((words for pattern, words in _OUTPUT_TERMS if pattern.fullmatch(licence)), None)
        if said:
            sentences.append(f"Text here was written by {model['model']}; its licence ({licence}) {said}.")
    return list(dict.fromkeys(sentences))


def _identifier(licence: str | None) -> str:
    """As the Hub writes it: `Apache 2.0` becomes `apache-2.0`."""
    return re.sub(r"[^a-z0-9.+]+", "-", (licence or "").lower()).strip("-") or UNKNOWN


def _named(name: str, link: str | None) -> dict[str, Any]:
    return {"license": OTHER, "license_name": name} | ({"license_link": link} if link else {})


def _latest(names: Sequence[str]) -> list[str]:
    """The names, of each Creative Commons family only the latest version."""
    newest: dict[str, str] = {}
    for name in names:
        found = _CC.fullmatch(name)
        family = found[1] if found else name
        newest[family] = max(newest.get(family, name), name)
    return list(newest.values())


def _covering(terms: Mapping[str, Terms | None]) -> str | None:
    """The one licence under which the others may stand, if there is one."""
    for name, own in terms.items():
        if own is not None and all(other in _ABSORBS[own] for n, other in terms.items() if n != name):
            return name
    return None


def _strictest_open(terms: Mapping[str, Terms | None]) -> list[str]:
    order = [Terms.PUBLIC_DOMAIN, Terms.PERMISSIVE, Terms.ATTRIBUTION]
    most = max(order.index(own) for own in terms.values() if own is not None)
    return [name for name, own in terms.items() if own is order[most]]


def _no_derivatives(names: Sequence[str]) -> str | None:
    forbidding = [name for name in names if TERMS.get(name) is Terms.NO_DERIVATIVES]
    if not forbidding:
        return None
    return (
        f"A source is under {_listed(forbidding)}, which does not allow passing on changed versions. What is here is"
        " one: ask the source's authors before you share it."
    )


def _single(name: str, sources: Sequence[str]) -> str:
    if sources == [name]:
        return f"As the source. It {TERMS[name].value}."
    return f"The latest of the sources' licences ({_listed(sources)}). It {TERMS[name].value}."


def _unknown(known: Sequence[str]) -> str:
    also = f" Others are under {_listed(known)}, whose terms hold for their parts in any case." if known else ""
    return (
        "The licence of a source is not known, so neither is the licence of what was made from it. Ask its authors"
        f" before you pass it on.{also}"
    )


def _covered(leader: str, others: Sequence[str]) -> str:
    asks = TERMS[leader].value
    return (
        f"The strictest of the sources' licences, which {asks}. It covers {_listed(others)}, whose notices stay with"
        " the parts that came under them."
    )


def _each_its_own(names: Sequence[str]) -> str:
    return f"The sources are under {_listed(names)}. All are open; every part keeps the terms of its source."


def _contradicting(terms: Mapping[str, Terms | None]) -> str:
    each = "; ".join(f"{name} {asks.value if asks else 'has terms of its own'}" for name, asks in terms.items())
    return (
        f"The sources' licences cannot be joined in one: {each}. Every part keeps the terms of its source, and the"
        " whole may only be used as all of them allow together."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
