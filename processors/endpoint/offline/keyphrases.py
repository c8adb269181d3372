"""Keyphrases of a text: runs of content words, scored by degree over frequency (RAKE, Rose et al., 2010)."""

import re
from collections import Counter

_TOKEN = re.compile(r"[^\W\d_][\w'’+#-]*|[^\w\s]|\n")
_MAX_CHARACTERS = 2_000
_MAX_WORDS = 3

# Function words, and the words by which requests ask: neither says what a request is about.
STOP_WORDS = frozenset(
    """
a about above across after again against all almost along already also although always am among an and another any
anyone anything are aren't around as at away back be became because become been before behind being below best better
between both but by can can't cannot come could couldn't did didn't different do does doesn't doing don't done down
during each either else enough etc even ever every everyone everything few first following for found from further get
gets getting give given gives go goes going good got had has hasn't have haven't having he her here hers herself him
himself his how however i i'd i'll i'm i've if in instead into is isn't it it's its itself just keep kind know known
last least less let let's like likely made main make makes making many may maybe me might mine more most much must my
myself need needs never new next no non none nor not nothing now of off often ok on once one ones only or other others
our ours out over own part per perhaps please possible put quite rather really s same say see seem seems several shall
she should since so some someone something somewhat soon still such sure take taken tell than thank thanks that that's
the their them themselves then there there's these they they're thing things think this those though three through
thus to together too toward towards try two type types under until up upon us use used useful uses using usually
various very via want wants was wasn't way ways we well were weren't what what's whatever when where whether which
while who whole whom whose why will with within without won't would wouldn't yes yet you you're your yours yourself
able accurate accurately add answer appropriate arrange article assign based brief briefly build calculate change
choose classify come compare complete compose concise consider construct contain contains context contrast convert
correct correctly create creating creative describe describing description design detail detailed details determine
develop difference differences discuss draft edit end ensure equal evaluate example examples exactly explain
explaining explanation express fill find fix form format generate generated get help highlight identify imagine
important include includes including information input instruction instructions interpret item items line lines list
look match meaning mention name need number offer order outline output paragraph passage phrase point points predict
produce propose provide provided question questions rank read reason reasons recommend related remove rephrase replace
request respond response rewrite second select sentence sentences short show simple single solve sort specific start
state statement step steps suggest suggestion suggestions sum summarize summary task text time topic transform
translate turn understand word words work write writing wrote year years day days people person user hi hello
according allow allows answering asked avoid become becomes began begin believe bring bringing called calling came cause
causes causing combine compile complete conduct consist convey cover customize deal dealing decrease define demonstrate
discover discussing display emphasize enable encourage engage enhance entitle estimate explore explores explored
exploring feel feels felt gain gave handle happen happens helping helps improve improved improves improving increase
increased increases increasing indicate introduce involve involves keep keeps lead leads leading leave left lived living
looking lose maintain manage mean means meant meet mentioned modify occur offers pick play plays predict prepare present
prevent promote protect protecting provides providing put ran reach received receive reduce reduced reduces reducing
relate replace represent requires require required run running said saw saying says seems sent serve setting share
showing shows sound sounds spend spent stand stay stop submit support tells think thinking took treat trying understanding
visit walked wanted went won worked working works wrote appropriate character characteristics common concept good great
following big certain current different effective five four full high large long main major new old popular possible
primary right several short similar simple six small specific suitable ten three underlined unique
""".split()
)


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
