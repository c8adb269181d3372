"""Fit `TagNormalizer` on made tags, and compare its clusters with scikit-learn's and its rules with mlxtend's.

Tags are composed of words (qualifier, topic, task), with spelling variants, near-synonyms and Zipf frequencies; some
always come together. By default their vectors are made too: sums of word vectors with the spectrum of a sentence
embedding, in which near-synonyms nearly coincide. `--embed` uses the real model instead. With `--alpha 1`, the default,
every tag reaches the clustering: the hardest case. The paper's is `--alpha 20`.

    python benchmarks/normalize_tags.py
    python benchmarks/normalize_tags.py --alpha 20 --embed --check-full
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import Dataset
from mlxtend.frequent_patterns import association_rules, fpgrowth
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

from tagsmith.processors.embedding import TextEmbedder
from tagsmith.processors.instag.association_aggregation import mine_rules
from tagsmith.processors.instag.normalizer import TagNormalizer
from tagsmith.processors.rule_aggregation import rule_aggregation
from tagsmith.processors.semantic_aggregation import dbscan
from tagsmith.processors.tag_sets import TagSets, read_tag_sets

QUALIFIERS = """advanced applied basic business clinical comparative creative detailed digital early environmental
ethical european fictional financial formal global historical industrial informal interactive introductory japanese
legal linear local marine medical medieval modern molecular multilingual musical online personal philosophical
political practical private public regional scientific seasonal short simple social spatial statistical structural
sustainable symbolic technical theoretical traditional tropical urban visual"""
TOPICS = """accounting agriculture algebra algorithm animal anthropology architecture argument art astronomy audio
biography biology bird bridge budget calculus camera career chemistry children cinema climate clothing cloud coding
company computer conflict contract cooking country course crime culture customer dance database data debate dessert
diet dialogue disease drama dream economics education electricity email emotion employee energy engineering essay event
family fashion festival film finance fitness folklore forest furniture game garden gender genetics geography geology
geometry gift government grammar graph harbour health history hobby holiday home horse hospital humour hygiene identity
image insurance interview invention investment island javascript journey kitchen language law leadership letter library
literature logic machine management market marriage mathematics memory metal migration mountain museum music mythology
narrative nature network novel nutrition ocean opera optics painting parenting patent peace philosophy photography
physics planet plant poem poetry policy poverty privacy probability product programming psychology python railway
recipe religion rhythm river robot sales school science sculpture security sentence shopping sleep society software
soil sound space speech sport statistics story strategy student sweets tax technology theatre tourism toy trade traffic
travel university vaccine vegetable vehicle vocabulary volcano water weather website wedding wildlife wine women"""
TASKS = """advice analysis assessment automation brainstorming calculation categorization check classification coaching
comparison completion conversion correction creation critique debugging definition derivation description design
development diagnosis discussion editing estimation evaluation example explanation extraction forecast formatting
generation guide identification implementation improvement inference inquiry integration interpretation introduction
list maintenance measurement modelling negotiation optimization ordering organization outline overview paraphrase
planning prediction preparation preservation presentation problem proof question ranking reasoning recommendation
reconstruction reflection repair report request research review scheduling selection simulation solution specification
suggestion summary teaching testing training transformation translation troubleshooting tutorial understanding
validation verification visualization"""
SYNONYMS = {"summary": "outline", "suggestion": "recommendation", "poetry": "poem", "creation": "generation",
            "assessment": "evaluation", "coding": "programming", "testing": "check", "personal": "private"}  # fmt: skip


@dataclass
class MadeEmbedder:
    """Vectors of tags without a model: words' vectors summed, a synonym's nearly its word's, and some noise a tag."""

    model: str = "made-vectors"
    dim: int = 384
    words: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # The spread along each axis is that of all-MiniLM-L6-v2 on real tags: half of the variance on 40 of 384 axes.
        scale = (np.arange(self.dim) + 4.0) ** -0.33
        vectors = np.random.default_rng(1).standard_normal((len(texts), self.dim), np.float32) * (0.12 * scale)
        for row, text in enumerate(texts):
            for word in text.split():
                vectors[row] += self.vector(word) * scale
        vectors += 0.12  # what all tags have in common
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def vector(self, word: str) -> NDArray[np.float64]:
        if word not in self.words:
            own = np.random.default_rng(list(word.encode())).standard_normal(self.dim)
            synonym = SYNONYMS.get(word)
            of = word in ("of", "for", "in")
            self.words[word] = self.vector(synonym) + 0.15 * own if synonym else own * (0.15 if of else 1.0)
        return self.words[word]


def made_names(n_tags: int, random: np.random.Generator) -> list[str]:
    """Distinct raw tags: concepts of two or three words, each in one or two spellings or orders."""
    qualifiers, topics, tasks = QUALIFIERS.split(), TOPICS.split(), TASKS.split()
    spellings = [
        lambda q, t, a: f"{q} {t} {a}".strip(),
        lambda q, t, a: f"{q} {t} {a}".strip().title(),
        lambda q, t, a: f"{q} {t} {a}s".strip(),
        lambda q, t, a: f"{q} {t} {a}".strip().replace(" ", "_"),
        lambda q, t, a: f"{a} of {q} {t}".replace("  ", " "),
        lambda q, t, a: f"{q} {a} for {t}".strip(),
    ]

    def pick(words: list[str]) -> str:
        return words[random.integers(len(words))]

    names: dict[str, None] = {}
    while len(names) < n_tags:
        qualifier = pick(qualifiers) if random.random() < 0.8 else ""
        topic, task = pick(topics), pick(tasks)
        for number in {0, int(random.integers(len(spellings))) * int(random.integers(2))}:
            names[spellings[number](qualifier, topic, task)] = None
    return list(names)[:n_tags]


def made_dataset(names: list[str], n_rows: int, mean_tags: float, random: np.random.Generator) -> Dataset:
    """Rows of tags: Zipf frequencies, every tag at least once, and 300 tags that (nearly) always bring another."""
    n_tags = len(names)
    weights = 1 / (np.arange(n_tags) + 10.0)
    n_drawn = max(int(n_rows * mean_tags) - n_tags, 0)
    drawn = random.choice(n_tags, n_drawn, p=weights / weights.sum())
    tags = np.concatenate([random.permutation(n_tags), drawn])
    rows = random.integers(0, n_rows, len(tags))
    frequent = n_tags // 20
    more_rows, more_tags = [rows], [tags]
    for antecedent in random.choice(np.arange(frequent // 10, frequent), min(300, frequent // 2), replace=False):
        with_it = rows[tags == antecedent]
        more_rows.append(with_it[random.random(len(with_it)) < 0.998])
        more_tags.append(np.full(len(more_rows[-1]), random.integers(antecedent)))
    rows, tags = np.concatenate(more_rows), np.concatenate(more_tags)
    order = np.lexsort((random.random(len(rows)), rows))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
    values = pa.array(names).take(pa.array(tags[order]))
    return Dataset(pa.table({"raw_tags": pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)}))


def compare_clusters(vectors: NDArray[np.float32], eps: float) -> dict[str, object]:
    """Our labels and scikit-learn's, at the fit's parameters and where clusters have borders."""
    figures: dict[str, object] = {"cluster_check_tags": len(vectors)}
    same = []
    for settings, name in (((eps, 2), "dbscan"), ((2 * eps, 4), "dbscan_with_borders")):
        start = time.perf_counter()
        ours = dbscan(vectors, *settings)
        figures[f"{name}_s"] = round(time.perf_counter() - start, 3)
        start = time.perf_counter()
        theirs = (
            DBSCAN(eps=settings[0], min_samples=settings[1], metric="cosine").fit(vectors.astype(np.float64)).labels_
        )
        figures[f"{name}_sklearn_s"] = round(time.perf_counter() - start, 3)
        figures[f"{name}_clusters"] = int(ours.max(initial=-1)) + 1
        same.append(bool(np.array_equal(ours, theirs)))
    return figures | {"same_clusters": all(same)}


def compare_rules(tags: TagSets, min_support: int, min_confidence: float) -> dict[str, object]:
    """Our rules and those of FP-Growth with one tag on either side."""
    start = time.perf_counter()
    rules = mine_rules(tags, min_support=min_support, min_confidence=min_confidence)
    figures: dict[str, object] = {"rule_check_rows": len(tags), "rule_check_min_support": min_support}
    figures["mine_rules_s"] = round(time.perf_counter() - start, 3)
    ours = {
        (int(a), int(b)): (int(n), float(c))
        for a, b, n, c in zip(rules.antecedents, rules.consequents, rules.supports, rules.confidences, strict=True)
    }
    start = time.perf_counter()
    frequent = np.flatnonzero(tags.tag_counts >= min_support)
    baskets = pd.DataFrame.sparse.from_spmatrix(tags.matrix()[:, frequent].astype(bool))
    # A share of the rows that no rounding lifts over the next whole number.
    itemsets = fpgrowth(baskets, min_support=(min_support - 0.5) / len(tags), max_len=2)
    table = association_rules(itemsets, metric="confidence", min_threshold=min_confidence - 1e-9)
    figures["mlxtend_s"] = round(time.perf_counter() - start, 3)
    theirs = {
        (int(frequent[min(a)]), int(frequent[min(b)])): (round(support * len(tags)), confidence)
        for a, b, support, confidence in zip(
            table["antecedents"], table["consequents"], table["support"], table["confidence"], strict=True
        )
    }
    same = ours.keys() == theirs.keys() and all(
        ours[pair][0] == theirs[pair][0] and abs(ours[pair][1] - theirs[pair][1]) < 1e-9 for pair in ours
    )
    return figures | {"rule_check_rules": len(ours), "same_rules": same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=100_000, help="distinct raw tags")
    parser.add_argument("--rows", type=int, default=306_000)
    parser.add_argument("--mean-tags", type=float, default=4.5, help="tags a row")
    parser.add_argument("--alpha", type=int, default=1)
    parser.add_argument("--eps", type=float, default=0.05)
    parser.add_argument("--embed", action="store_true", help="embed with the real model (minutes)")
    parser.add_argument("--check-size", type=int, default=8_000, help="tags, and rows / 5, to compare on")
    parser.add_argument("--check-full", action="store_true", help="compare on everything (minutes, gigabytes)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    random = np.random.default_rng(args.seed)
    dataset_names = made_names(args.tags, random)
    dataset = made_dataset(dataset_names, args.rows, args.mean_tags, random)
    normalizer = TagNormalizer(
        alpha=args.alpha, eps=args.eps, embedder=TextEmbedder() if args.embed else MadeEmbedder()
    )
    base_mb = peak_mb()
    start, cpu_start = time.perf_counter(), time.process_time()
    normalizer.fit(dataset)
    fit_s, fit_cpu_s = time.perf_counter() - start, time.process_time() - cpu_start
    report = normalizer.report()
    for row in report:
        print(f"{row['stage']:<12} {row['tags_before']:>7,} → {row['tags_after']:>7,} tags   {row['seconds']:6.2f} s")
    embed_s = sum(row["embed_seconds"] or 0 for row in report)
    figures: dict[str, object] = {
        "tags": args.tags,
        "rows": args.rows,
        "occurrences": report[0]["occurrences_before"],
        "alpha": args.alpha,
        "eps": args.eps,
        "fit_s": round(fit_s - embed_s, 3),
        "embed_s": round(embed_s, 3),
        "fit_cpu_s_with_embedding": round(fit_cpu_s, 3),
        "embedding_model": normalizer.embedder.model,
        "peak_mb": round(peak_mb()),
        "peak_before_fit_mb": round(base_mb),
        "stage_s": {row["stage"]: round(row["seconds"], 3) for row in report},
        "tags_after": {row["stage"]: row["tags_after"] for row in report},
        "rules": len(normalizer.vocabulary.rules),
    }
    start = time.perf_counter()
    lists = dataset[:]["raw_tags"]
    columns = normalizer({"raw_tags": lists})
    figures["map_rows_per_s"] = round(len(lists) / (time.perf_counter() - start))
    figures["unseen_tags"] = sum(map(len, columns["unseen_tags"]))

    names = dataset_names if args.check_full else made_names(args.check_size, random)
    clean_names = sorted({name for name in rule_aggregation(names, [1] * len(names)) if name})
    figures |= compare_clusters(normalizer.embedder.encode(clean_names), args.eps)
    some = dataset if args.check_full else dataset.select(range(min(args.rows, 5 * args.check_size)))
    support = normalizer.min_support if args.check_full else 10
    figures |= compare_rules(read_tag_sets(some, "raw_tags"), support, normalizer.min_confidence)
    print(json.dumps(figures))


def peak_mb() -> float:
    """Most memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    main()
