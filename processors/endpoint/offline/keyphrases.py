"""Keyphrases of a text: runs of content words, scored by degree over frequency (RAKE, Rose et al., 2010)."""

import re
from collections import Counter

_TOKEN = re.compile(r"[^\W\d_][\w'’+#-]*|[^\w\s]|\n")
_MAX_CHARACTERS = 2_000
_MAX_WORDS = 3

# Function words, and the words by which requests ask: neither says what a request is about.
_STOP_TEXT = """
a able about above according accurate accurately across add after again against all allow allows almost along
already also although always am among an and another answer answering any anyone anything appropriate are aren't
around arrange article as asked assign at avoid away back based be became because become becomes been before began
begin behind being believe below best better between big both brief briefly bring bringing build but by calculate
called calling came can can't cannot cause causes causing certain change character characteristics choose classify
combine come common compare compile complete compose concept concise conduct consider consist construct contain
contains context contrast convert convey correct correctly could couldn't cover create creating creative current
customize day days deal dealing decrease define demonstrate describe describing description design detail detailed
details determine develop did didn't difference differences different discover discuss discussing display do does
doesn't doing don't done down draft during each edit effective either else emphasize enable encourage end engage
enhance enough ensure entitle equal estimate etc evaluate even ever every everyone everything exactly example
examples explain explaining explanation explore explored explores exploring express feel feels felt few fill find
first five fix following for form format found four from full further gain gave generate generated get gets getting
give given gives go goes going good got great had handle happen happens has hasn't have haven't having he hello
help helping helps her here hers herself hi high highlight him himself his how however i i'd i'll i'm i've identify
if imagine important improve improved improves improving in include includes including increase increased increases
increasing indicate information input instead instruction instructions interpret into introduce involve involves is
isn't it it's item items its itself just keep keeps kind know known large last lead leading leads least leave left
less let let's like likely line lines list lived living long look looking lose made main maintain major make makes
making manage many match may maybe me mean meaning means meant meet mention mentioned might mine modify more most
much must my myself name need needs never new next no non none nor not nothing now number occur of off offer offers
often ok old on once one ones only or order other others our ours out outline output over own paragraph part
passage people per perhaps person phrase pick play plays please point points popular possible predict prepare
present prevent primary produce promote propose protect protecting provide provided provides providing put question
questions quite ran rank rather reach read really reason reasons receive received recommend reduce reduced reduces
reducing relate related remove rephrase replace represent request require required requires respond response
rewrite right run running s said same saw say saying says second see seem seems select sent sentence sentences
serve setting several shall share she short should show showing shows similar simple since single six small so
solve some someone something somewhat soon sort sound sounds specific spend spent stand start state statement stay
step steps still stop submit such suggest suggestion suggestions suitable sum summarize summary support sure take
taken task tell tells ten text than thank thanks that that's the their them themselves then there there's these
they they're thing things think thinking this those though three through thus time to together too took topic
toward towards transform translate treat try trying turn two type types under underlined understand understanding
unique until up upon us use used useful user uses using usually various very via visit walked want wanted wants was
wasn't way ways we well went were weren't what what's whatever when where whether which while who whole whom whose
why will with within without won won't word words work worked working works would wouldn't write writing wrote year
years yes yet you you're your yours yourself
"""
STOP_WORDS = frozenset(_STOP_TEXT.split())


def keyphrases(text: str, limit: int, min_words: int = 1) -> list[str]:
    """Up to `limit` phrases of `min_words` to three words in lower case, the most telling first."""
    phrases: list[tuple[str, ...]] = []
    run: list[str] = []
    for word in _TOKEN.findall(text[:_MAX_CHARACTERS].lower()):
        word = word.strip("'’-") if len(word) > 1 else word
        word = word.removesuffix("'s").removesuffix("’s")
        if len(word) < 3 or word in STOP_WORDS or word.endswith(("ly", "n't")):
            if run:
                phrases.append(tuple(run))
                run = []
        else:
            run.append(word)
    if run:
        phrases.append(tuple(run))

    frequency: Counter[str] = Counter()
    degree: Counter[str] = Counter()
    for phrase in phrases:
        for word in phrase:
            frequency[word] += 1
            degree[word] += min(len(phrase), _MAX_WORDS)
    scores: dict[str, float] = {}
    for phrase in phrases:
        # The end of a noun phrase carries its head: of a long run, the last words are kept.
        kept = phrase[-_MAX_WORDS:]
        if kept[-1].endswith("ed") and len(kept) > 1:
            kept = kept[:-1]
        if len(kept) >= min_words:
            scores[" ".join(kept)] = sum(degree[word] / frequency[word] for word in kept)
    # Dictionaries keep order: among equal scores the phrase that comes first in the text wins.
    return sorted(scores, key=scores.__getitem__, reverse=True)[:limit]
