"""The compiled part of tree-aware sampling: exact greedy picks from stale upper bounds.

docs/tags_sampling.md explains it. All compiled functions are in this file, see `compiled`.

A row's score is  weight · scale · Σ path sums  +  Σ bonus of its leaves  +  bonus of its size.  No term ever grows
while rows are picked, so a score computed earlier is an upper bound, and only rows whose bound reaches the top are
computed again. Scores are compared as *cells*: their leading 44 binary digits.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagsmith.processors.compiled import compiled, compiled_part

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]
Records = NDArray[Any]
Record = Any

CELL_BITS = 8  # binary digits of a score that do not count: 52 − 44
BUCKET_BITS = 34  # of a cell's 44 digits, those that a bucket does not look at: 1,024 buckets an octave
BUCKETS = 1 << 16
TIE = 2.0**-47  # a score this close, relatively, to the best one ties with it also across a cell's edge
NO_FLOOR = 1 << 62
NEAR = 1 / 256
PIECE = 128  # rows of a bucket that are read ahead
HASH_MASK = (1 << 42) - 1

# One record a row, so that scoring it costs few cache misses.
ROW = np.dtype(
    [
        ("start", np.int64),  # its leaves are leaves[start : start + size]
        ("weight", np.float64),
        ("size", np.int32),
        ("following", np.int32),  # the next row with the same leaves, by weight and number; −1 for none
        ("waits", np.int32),  # 1 while the row is in the queue
        ("unused", np.int32),  # 32 bytes a row: half a cache line
    ]
)
# What scoring reads of a node. One more node stands above the roots, with zeros. The sum of `inner` along a path is
# kept in two parts, since a pick changes all paths near the root and few far from it: `upper[base]` and `lower`.
NODE = np.dtype(
    [
        ("lower", np.float64),  # Σ inner from below the base to the node
        ("bonus", np.float64),  # λ Q_j log((c_j + 1 + smooth) / (c_j + smooth))
        ("base", np.int32),  # the nearest node on the path, itself included, that is one of the first len(upper) − 1
        ("parent", np.int32),
    ]
)
# What picking changes, in a cache line. `*_rest` is what rounding cut off, so that sums do not drift.
MASS = np.dtype(
    [
        ("mass", np.float64),  # (1 + degree) · v
        ("mass_rest", np.float64),
        ("anchor", np.float64),  # 1 / (v + eps) when the slope was last computed by a power, and that slope
        ("anchor_slope", np.float64),
        ("slope", np.float64),  # share · Φ'(v); in a graph Φ'
        ("inner", np.float64),  # what a node adds to a path through it: 2 · slope + below; a leaf, its end: slope
        ("share", np.float64),  # 1 / (1 + degree)
        ("hits", np.int32),
        ("first_child", np.int32),  # nodes are in levels: the children are first_child … next node's first_child − 1
    ]
)
# What picking reads of few nodes.
SIDE = np.dtype(
    [
        ("below", np.float64),  # Σ slope of the children; in a graph the gradient, Σ P · Φ'
        ("below_rest", np.float64),  # in a graph
        ("target", np.float64),  # λ Q_j
        ("covered", np.int64),  # picks on the leaf
        ("quota", np.int64),  # rows still allowed under the node, −1 without a limit
        ("child_hits", np.int64),
    ]
)
ENTRY = np.dtype([("cell", np.int64), ("row", np.int32), ("stamp", np.int32)])
# The flat label graph: entries of the matrix P by rows, then by columns.
EDGE = np.dtype([("label", np.int64), ("value", np.float64)])
STATE = np.dtype(
    [
        ("power", np.float64),
        ("eps", np.float64),
        ("smooth", np.float64),
        ("smooth_total", np.float64),  # smooth × number of leaves
        ("kl_weight", np.float64),  # λ; 0: general sampling
        ("is_relative", np.int64),  # gains are divided by the information
        ("has_quota", np.int64),
        ("information", np.float64),  # I(D)
        ("picked_leaves", np.int64),  # Z
        ("picks", np.int64),
        ("highest", np.float64),  # score at this pick
        ("scored", np.int64),  # how many scores were computed
        ("touched", np.int64),  # how many nodes the picks changed
        ("heap_size", np.int64),
        ("floor", np.int64),  # the lowest cell that goes into the heap
        ("bucket", np.int64),  # the highest bucket that may hold rows
        ("first_bucket", np.int64),
        ("ahead", np.int64),  # takes what is read only to be in the cache
    ]
)


@compiled_part
def rounded_off(a: float, b: float, total: float) -> float:
    """What a + b has beyond its rounded total."""
    part = total - a
    return (a - (total - part)) + (b - part)


@compiled_part
def path_sums(row: Record, leaves: Ints, joints: Ints, nodes: Records, masses: Records, upper: Floats) -> float:
    """Gradient times profile of a row (Eq. 8), before its weight.

    The gradient at a node is made of its slope, its parent's and its children's. Along a path from a leaf upward that
    is the leaf's slope, then `inner` of each node, and at the end the slope of the node above.
    """
    total = 0.0
    for entry in range(row["start"], row["start"] + row["size"]):
        leaf = nodes[leaves[entry]]
        total += leaf["lower"] + upper[leaf["base"]]
        if len(joints) > 0:
            joint = nodes[joints[entry]]
            total -= (joint["lower"] + upper[joint["base"]]) - masses[joints[entry]]["slope"]
    return float(total)


@compiled_part
def score(
    row: Record,
    leaves: Ints,
    joints: Ints,
    nodes: Records,
    masses: Records,
    upper: Floats,
    sizes: Floats,
    state: Record,
) -> float:
    """The row's score, up to a term that all rows share."""
    state["scored"] += 1
    total = row["weight"] * path_sums(row, leaves, joints, nodes, masses, upper)
    if state["kl_weight"] > 0.0:
        if state["is_relative"]:
            total /= state["information"]
        for entry in range(row["start"], row["start"] + row["size"]):
            total += nodes[leaves[entry]]["bonus"]
        total += sizes[row["size"]]
    state["highest"] = max(state["highest"], total)
    return float(total)


@compiled_part
def set_size_bonuses(sizes: Floats, state: Record) -> None:
    """−λ log(Z + size + smooth_total) by size; the same for the largest size, which all rows share, is taken off."""
    room = state["picked_leaves"] + state["smooth_total"]
    for size in range(len(sizes)):
        sizes[size] = state["kl_weight"] * np.log1p((len(sizes) - 1 - size) / (room + size))


@compiled_part
def power_near_one(rise: float, power: float) -> float:
    """(1 + rise)^power for a rise of at most NEAR, by the binomial series: as exact as `**` and much faster."""
    c1 = power
    c2 = c1 * (power - 1.0) * (1 / 2)
    c3 = c2 * (power - 2.0) * (1 / 3)
    c4 = c3 * (power - 3.0) * (1 / 4)
    c5 = c4 * (power - 4.0) * (1 / 5)
    c6 = c5 * (power - 5.0) * (1 / 6)
    square = rise * rise
    return 1.0 + (rise * (c1 + rise * c2) + (square * rise) * ((c3 + rise * c4) + square * (c5 + rise * c6)))


@compiled_part
def add_mass(node: int, arriving: float, masses: Records, power: float, eps: float, measures: bool) -> float:
    """Information arrives at a node, and its slope falls. Returns what Φ gains, if asked."""
    mine = masses[node]
    share, mass, old = mine["share"], mine["mass"], mine["slope"]
    total = mass + arriving
    before = (mass + mine["mass_rest"]) * share + eps
    rest = mine["mass_rest"] + rounded_off(mass, arriving, total)
    level = (total + rest) * share + eps
    mine["mass"] = total
    mine["mass_rest"] = rest
    rise = level * mine["anchor"] - 1.0
    if rise < NEAR:
        new = mine["anchor_slope"] * power_near_one(rise, power - 1.0)
    else:
        new = power * share * level ** (power - 1.0)
        mine["anchor"] = 1.0 / level
        mine["anchor_slope"] = new
    mine["slope"] = new
    return float((new * level - old * before) / (power * share)) if measures else 0.0


@compiled_part
def set_inner(node: int, masses: Records, sides: Records) -> None:
    """What the node adds to a path, after its slope or its children's changed."""
    mine = masses[node]
    if mine["first_child"] == masses[node + 1]["first_child"]:
        mine["inner"] = mine["slope"]
    else:
        mine["inner"] = 2.0 * mine["slope"] + sides[node]["below"]


@compiled_part
def sum_lower(first: int, last: int, nodes: Records, masses: Records) -> None:
    """`lower` of neighbouring siblings and all that is under them."""
    while first < last:
        for node in range(first, last):
            nodes[node]["lower"] = nodes[nodes[node]["parent"]]["lower"] + masses[node]["inner"]
        first, last = masses[first]["first_child"], masses[last]["first_child"]


@compiled_part
def sum_upper(nodes: Records, masses: Records, upper: Floats) -> None:
    """The sums along the paths near the root."""
    for node in range(len(upper) - 1):
        upper[node] = upper[nodes[nodes[node]["parent"]]["base"]] + masses[node]["inner"]


@compiled_part
def pick_in_tree(
    row: Record,
    leaves: Ints,
    joints: Ints,
    nodes: Records,
    masses: Records,
    sides: Records,
    upper: Floats,
    touched: Ints,
    state: Record,
) -> None:
    """Add a row's information to the tree (Eq. 5-7)."""
    top = len(nodes) - 1
    joint = top
    count = 0
    for entry in range(row["start"], row["start"] + row["size"]):
        if len(joints) > 0:
            joint = int(joints[entry])
        node = int(leaves[entry])
        while node != joint:
            if masses[node]["hits"] == 0:
                touched[count] = node
                count += 1
            masses[node]["hits"] += 1
            node = int(nodes[node]["parent"])
    for i in range(count):
        sides[nodes[touched[i]]["parent"]]["child_hits"] += masses[touched[i]]["hits"]

    power, eps, measures = state["power"], state["eps"], state["is_relative"] != 0
    gained, others = 0.0, 0
    for i in range(count):
        node = int(touched[i])
        around = masses[node]["hits"] + masses[nodes[node]["parent"]]["hits"] + sides[node]["child_hits"]
        gained += add_mass(node, row["weight"] * around, masses, power, eps, measures)
    # All children of a picked node change: the sum of their slopes is made anew and cannot drift.
    for i in range(count):
        node = int(touched[i])
        arriving = row["weight"] * masses[node]["hits"]
        below = 0.0
        for child in range(masses[node]["first_child"], masses[node + 1]["first_child"]):
            if masses[child]["hits"] == 0:
                gained += add_mass(child, arriving, masses, power, eps, measures)
                set_inner(child, masses, sides)
                others += 1
            below += masses[child]["slope"]
        sides[node]["below"] = below
        set_inner(node, masses, sides)
    state["information"] += gained
    state["touched"] += count + others

    for i in range(count):
        node = int(touched[i])
        if sides[node]["quota"] > 0:
            sides[node]["quota"] -= 1
        masses[node]["hits"] = 0
        sides[node]["child_hits"] = 0
        if node < len(upper) - 1:
            children = max(int(masses[node]["first_child"]), len(upper) - 1)
            sum_lower(children, int(masses[node + 1]["first_child"]), nodes, masses)
        elif nodes[node]["parent"] == top:
            sum_lower(node, node + 1, nodes, masses)
    sides[top]["child_hits"] = 0
    sum_upper(nodes, masses, upper)


@compiled_part
def pick_in_graph(
    row: Record,
    leaves: Ints,
    nodes: Records,
    masses: Records,
    sides: Records,
    starts: Longs,
    edges: Records | None,
    touched: Ints,
    state: Record,
) -> None:
    """Add a row's information to the label graph: mass along rows of P, the gradient back along its columns."""
    power, eps = state["power"], state["eps"]
    count = 0
    for entry in range(row["start"], row["start"] + row["size"]):
        for at in range(starts[leaves[entry]], starts[leaves[entry] + 1]):
            mine = masses[edges[at]["label"]]
            if mine["hits"] == 0:
                mine["hits"] = 1
                touched[count] = edges[at]["label"]
                count += 1
            arriving, mass = row["weight"] * edges[at]["value"], mine["mass"]
            mine["mass"] = mass + arriving
            mine["mass_rest"] += rounded_off(mass, arriving, mass + arriving)
    state["touched"] += count
    labels = len(nodes) - 1
    for i in range(count):
        label = touched[i]
        masses[label]["hits"] = 0
        old = masses[label]["slope"]
        level = masses[label]["mass"] + masses[label]["mass_rest"] + eps
        new = power * level ** (power - 1.0)
        masses[label]["slope"] = new
        state["information"] += (new * level - (old / power) ** (power / (power - 1.0)) * power) / power
        for at in range(starts[labels + 1 + label], starts[labels + 2 + label]):
            other = edges[at]["label"]
            theirs = sides[other]
            below = theirs["below"]
            grown = below + new * edges[at]["value"]
            fallen = grown - old * edges[at]["value"]
            theirs["below_rest"] += rounded_off(below, new * edges[at]["value"], grown)
            theirs["below_rest"] += rounded_off(grown, -(old * edges[at]["value"]), fallen)
            theirs["below"] = fallen
            nodes[other]["lower"] = fallen + theirs["below_rest"]
    state["touched"] += count


@compiled_part
def pick(
    row: Record,
    leaves: Ints,
    joints: Ints,
    nodes: Records,
    masses: Records,
    sides: Records,
    upper: Floats,
    starts: Longs,
    edges: Records | None,
    touched: Ints,
    sizes: Floats,
    state: Record,
) -> None:
    """Take a row."""
    if edges is None:
        pick_in_tree(row, leaves, joints, nodes, masses, sides, upper, touched, state)
    else:
        pick_in_graph(row, leaves, nodes, masses, sides, starts, edges, touched, state)
    state["picks"] += 1
    state["highest"] = 0.0
    state["picked_leaves"] += row["size"]
    if state["kl_weight"] > 0.0:
        for entry in range(row["start"], row["start"] + row["size"]):
            leaf = leaves[entry]
            sides[leaf]["covered"] += 1
            nodes[leaf]["bonus"] = sides[leaf]["target"] * np.log1p(1.0 / (sides[leaf]["covered"] + state["smooth"]))
        set_size_bonuses(sizes, state)


@compiled_part
def is_full(row: Record, leaves: Ints, nodes: Records, sides: Records) -> bool:
    """Whether a quota above one of the row's leaves is used up."""
    for entry in range(row["start"], row["start"] + row["size"]):
        node = int(leaves[entry])
        while node < len(nodes) - 1:
            if sides[node]["quota"] == 0:
                return True
            node = int(nodes[node]["parent"])
    return False


@compiled_part
def cell_of(value: float) -> int:
    """The leading digits of a non-negative score, as an integer that grows with it."""
    return int(np.float64(value).view(np.int64)) >> CELL_BITS


@compiled_part
def is_before(entry: Record, cell: int, row: int) -> bool:
    """Heap order: the larger cell, then the lower row number."""
    return bool(entry["cell"] > cell or (entry["cell"] == cell and entry["row"] < row))


@compiled_part
def put(entry: Record, cell: int, row: int, stamp: int) -> None:
    """Fill a heap entry."""
    entry["cell"] = cell
    entry["row"] = row
    entry["stamp"] = stamp


@compiled_part
def sink(i: int, heap: Records, size: int, cell: int, row: int, stamp: int) -> None:
    """Put an entry at place i of the heap and let it sink."""
    while 2 * i + 1 < size:
        child = 2 * i + 1
        if child + 1 < size and is_before(heap[child + 1], heap[child]["cell"], heap[child]["row"]):
            child += 1
        if not is_before(heap[child], cell, row):
            break
        put(heap[i], heap[child]["cell"], heap[child]["row"], heap[child]["stamp"])
        i = child
    put(heap[i], cell, row, stamp)


@compiled_part
def drop_top(heap: Records, state: Record) -> None:
    """Take the best entry out of the heap."""
    state["heap_size"] -= 1
    last = heap[state["heap_size"]]
    if state["heap_size"] > 0:
        sink(0, heap, state["heap_size"], last["cell"], last["row"], last["stamp"])


@compiled_part
def insert(cell: int, row: int, heads: Ints, links: Ints, heap: Records, state: Record) -> None:
    """Into the heap, or, below its floor, into the cell's bucket."""
    if cell < state["floor"]:
        bucket = max(0, (cell >> BUCKET_BITS) - state["first_bucket"])
        links[row] = heads[bucket]
        heads[bucket] = row
        return
    i = state["heap_size"]
    state["heap_size"] += 1
    while i > 0 and not is_before(heap[(i - 1) >> 1], cell, row):
        up = heap[(i - 1) >> 1]
        put(heap[i], up["cell"], up["row"], up["stamp"])
        i = (i - 1) >> 1
    put(heap[i], cell, row, state["picks"])


@compiled_part
def open_bucket(
    rows: Records,
    leaves: Ints,
    joints: Ints,
    nodes: Records,
    masses: Records,
    upper: Floats,
    sizes: Floats,
    heads: Ints,
    links: Ints,
    heap: Records,
    aside: Ints,
    state: Record,
) -> bool:
    """Lower the floor by a bucket that holds rows, and score them anew. False when there is none."""
    bucket = state["bucket"]
    while bucket >= 0 and heads[bucket] < 0:
        bucket -= 1
    state["bucket"] = bucket - 1
    state["floor"] = (bucket + state["first_bucket"]) << BUCKET_BITS if bucket > 0 else 0
    if bucket < 0:
        return False
    row = int(heads[bucket])
    heads[bucket] = -1
    while row >= 0:
        # A piece of the list first, then its scores: so the processor waits for many rows' memory at once.
        count = 0
        while row >= 0 and count < PIECE:
            aside[count] = row
            count += 1
            state["ahead"] ^= leaves[rows[row]["start"]]
            row = int(links[row])
        for i in range(count):
            cell = cell_of(score(rows[aside[i]], leaves, joints, nodes, masses, upper, sizes, state))
            insert(cell, aside[i], heads, links, heap, state)
    return True


@compiled_part
def fill(
    rows: Records,
    leaves: Ints,
    joints: Ints,
    nodes: Records,
    masses: Records,
    upper: Floats,
    sizes: Floats,
    heads: Ints,
    links: Ints,
    heap: Records,
    state: Record,
) -> None:
    """Score all rows that wait, in the order of memory, and put them into their buckets."""
    highest = 0
    for row in range(len(rows)):
        if rows[row]["waits"]:
            links[row] = cell_of(score(rows[row], leaves, joints, nodes, masses, upper, sizes, state)) >> BUCKET_BITS
            highest = max(highest, links[row])
    heads[:] = -1
    state["heap_size"] = 0
    state["floor"] = NO_FLOOR
    state["first_bucket"] = max(0, highest - BUCKETS + 1)
    state["bucket"] = highest - state["first_bucket"]
    for row in range(len(rows) - 1, -1, -1):
        if rows[row]["waits"]:
            bucket = max(0, int(links[row]) - state["first_bucket"])
            links[row] = heads[bucket]
            heads[bucket] = row


@compiled_part
def raise_best(
    rows: Records,
    leaves: Ints,
    joints: Ints,
    nodes: Records,
    masses: Records,
    upper: Floats,
    sizes: Floats,
    heads: Ints,
    links: Ints,
    heap: Records,
    aside: Ints,
    state: Record,
) -> bool:
    """Bring the best row to the heap's top. False when no row is left."""
    refill_at = state["scored"] + max(256, len(rows) // 16)
    while True:
        if state["scored"] > refill_at:
            fill(rows, leaves, joints, nodes, masses, upper, sizes, heads, links, heap, state)
            refill_at = NO_FLOOR
        if state["heap_size"] == 0:
            if not open_bucket(rows, leaves, joints, nodes, masses, upper, sizes, heads, links, heap, aside, state):
                return False
            continue
        if heap[0]["stamp"] == state["picks"]:
            return True
        row = int(heap[0]["row"])
        cell = cell_of(score(rows[row], leaves, joints, nodes, masses, upper, sizes, state))
        if cell < state["floor"]:
            drop_top(heap, state)
            insert(cell, row, heads, links, heap, state)
        else:
            sink(0, heap, state["heap_size"], cell, row, state["picks"])


@compiled_part
def settle_tie(
    rows: Records,
    leaves: Ints,
    joints: Ints,
    nodes: Records,
    masses: Records,
    upper: Floats,
    sizes: Floats,
    heads: Ints,
    links: Ints,
    heap: Records,
    aside: Ints,
    state: Record,
) -> None:
    """If the best score lies at its cell's lower edge, a tied row may be in the cell below: the lowest number wins."""
    cell = heap[0]["cell"]
    if state["has_quota"]:  # the highest score may be that of a row that a quota kept out
        state["highest"] = score(rows[heap[0]["row"]], leaves, joints, nodes, masses, upper, sizes, state)
    limit = state["highest"] * (1.0 - TIE)
    if cell_of(limit) == cell:
        return
    chosen = int(heap[0]["row"])
    count, end = 0, len(heap)
    while True:
        while (state["heap_size"] == 0 or heap[0]["cell"] < cell - 1) and state["floor"] > max(0, cell - 1):
            open_bucket(rows, leaves, joints, nodes, masses, upper, sizes, heads, links, heap, aside, state)
        if state["heap_size"] == 0 or heap[0]["cell"] < cell - 1:
            break
        row = int(heap[0]["row"])
        drop_top(heap, state)
        value = score(rows[row], leaves, joints, nodes, masses, upper, sizes, state)
        count += 1
        put(heap[end - count], cell_of(value), row, state["picks"])  # the heap's unused end
        if row < chosen and value >= limit:
            chosen = row
    # The chosen row's cell is raised by one, which brings it to the top.
    for i in range(1, count + 1):
        row = int(heap[end - i]["row"])
        insert(cell + 1 if row == chosen else int(heap[end - i]["cell"]), row, heads, links, heap, state)


@compiled
def greedy(
    rows: Records,
    leaves: Ints,
    joints: Ints,
    nodes: Records,
    masses: Records,
    sides: Records,
    upper: Floats,
    starts: Longs,
    edges: Records | None,
    sizes: Floats,
    heads: Ints,
    links: Ints,
    heap: Records,
    touched: Ints,
    aside: Ints,
    states: Records,
    taken: Ints,
    picks: Ints,
    gains: Floats,
) -> int:
    """Take the rows `taken`, then pick `len(picks)` of those that wait (Alg. 1). Returns the number picked.

    It is lower when no row is left. The rows that wait are the first of each set of rows with the same leaves.
    """
    state = states[0]
    if edges is None:
        sum_upper(nodes, masses, upper)
        for node in range(len(upper) - 1, len(nodes) - 1):
            nodes[node]["lower"] = nodes[nodes[node]["parent"]]["lower"] + masses[node]["inner"]
    set_size_bonuses(sizes, state)
    for i in range(len(taken)):
        pick(rows[taken[i]], leaves, joints, nodes, masses, sides, upper, starts, edges, touched, sizes, state)
    fill(rows, leaves, joints, nodes, masses, upper, sizes, heads, links, heap, state)
    done = 0
    while done < len(picks):
        if not raise_best(rows, leaves, joints, nodes, masses, upper, sizes, heads, links, heap, aside, state):
            break
        settle_tie(rows, leaves, joints, nodes, masses, upper, sizes, heads, links, heap, aside, state)
        best = int(heap[0]["row"])
        row = rows[best]
        drop_top(heap, state)
        row["waits"] = 0
        if state["has_quota"] and is_full(row, leaves, nodes, sides):
            continue
        picks[done] = best
        gains[done] = row["weight"] * path_sums(row, leaves, joints, nodes, masses, upper)
        pick(row, leaves, joints, nodes, masses, sides, upper, starts, edges, touched, sizes, state)
        done += 1
        following = int(row["following"])
        if following >= 0:
            rows[following]["waits"] = 1
            cell = cell_of(score(rows[following], leaves, joints, nodes, masses, upper, sizes, state))
            insert(cell, following, heads, links, heap, state)
    return done


@compiled
def sort_leaves(rows: Records, leaves: Ints, hashes: NDArray[np.int64]) -> None:
    """Sort each row's leaves in place, drop repeated ones (the row's size falls) and hash what is left."""
    for number in range(len(rows)):
        first = rows[number]["start"]
        size = 0
        for entry in range(first, first + rows[number]["size"]):
            leaf = leaves[entry]
            at = first + size
            while at > first and leaves[at - 1] > leaf:
                at -= 1
            if at > first and leaves[at - 1] == leaf:
                continue
            for other in range(first + size, at, -1):
                leaves[other] = leaves[other - 1]
            leaves[at] = leaf
            size += 1
        rows[number]["size"] = size
        mixed = size
        for entry in range(first, first + size):
            mixed = ((mixed ^ int(leaves[entry])) * 1_000_003) & HASH_MASK
            mixed ^= mixed >> 21
        hashes[number] = mixed


@compiled
def find_joints(rows: Records, leaves: Ints, joints: Ints, nodes: Records, marks: Ints) -> None:
    """Clipped profile: where each leaf's path meets the paths of the row's earlier leaves."""
    marks[:] = -1
    for number in range(len(rows)):
        for entry in range(rows[number]["start"], rows[number]["start"] + rows[number]["size"]):
            node = int(leaves[entry])
            while node != len(nodes) - 1 and marks[node] != number:
                marks[node] = number
                node = int(nodes[node]["parent"])
            joints[entry] = node


@compiled
def join_alike(rows: Records, leaves: Ints, hashes: NDArray[np.int64], table: Ints, owner: Ints) -> None:
    """Give each row that waits the lowest such row with the same leaves as its owner, by an open hash table."""
    table[:] = -1
    owner[:] = -1
    for number in range(len(rows)):
        if not rows[number]["waits"]:
            continue
        slot = hashes[number] & (len(table) - 1)
        while table[slot] >= 0 and not are_alike(rows[table[slot]], rows[number], leaves):
            slot = (slot + 1) & (len(table) - 1)
        if table[slot] < 0:
            table[slot] = number
        owner[number] = table[slot]


@compiled_part
def are_alike(one: Record, other: Record, leaves: Ints) -> bool:
    """Whether two rows have the same leaves."""
    if one["size"] != other["size"]:
        return False
    for i in range(one["size"]):  # noqa: SIM110 (Numba compiles no generator)
        if leaves[one["start"] + i] != leaves[other["start"] + i]:
            return False
    return True


@compiled
def chain_alike(order: Ints, rows: Records, owner: Ints, last: Ints) -> None:
    """Link rows of one owner in the given order, the best first; only the first goes on waiting."""
    last[:] = -1
    for i in range(len(order)):
        number = order[i]
        group = owner[number]
        if last[group] >= 0:
            rows[last[group]]["following"] = number
            rows[number]["waits"] = 0
        last[group] = number
