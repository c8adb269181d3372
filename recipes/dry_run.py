"""`--dry_run`: what a run would ask for, and what that would cost, without sending anything."""

from datasets import Dataset

from tagsmith.processors.endpoint.limits import TEMPLATE_TOKENS
from tagsmith.processors.generation_processor import REJECTED, GenerationProcessor, rows_of

# Bytes of English text a token, by the usual byte-pair tokenizers: a rule of thumb, good to a third.
BYTES_PER_TOKEN = 4.0


def dry_run(dataset: Dataset, processor: GenerationProcessor) -> list[tuple[str, str]]:
    """Lines (what, how much) of an estimate: requests, those in the store already, tokens, cost when prices are given.

    Repairs cannot be foreseen and are not in it. Reply tokens are the mean of this model's stored replies where there
    are any, else `max_new_tokens`, which is an upper bound.
    """
    client, endpoint = processor.client, processor.settings
    keys: dict[bytes, int] = {}
    rejected = 0
    for batch in dataset.iter(batch_size=1000):
        for row in rows_of(batch):
            rendered = processor.render(row) if row.get("status") != REJECTED else "rejected"
            if isinstance(rendered, str):
                rejected += 1
                continue
            for request in rendered:
                keys[client.key_of(request)] = request.text_bytes
    stored = client.store.get_many(list(keys))
    new = [size for key, size in keys.items() if key not in stored]
    prompt_tokens = sum(new) / BYTES_PER_TOKEN + TEMPLATE_TOKENS * len(new) / 4
    mean, seen = client.store.mean_tokens(client.server.model)
    reply_each = mean if seen else float(processor.parameters.max_new_tokens)
    basis = f"mean of {seen:,} stored replies" if seen else "upper bound: max_new_tokens"
    lines = [
        ("model", client.server.model),
        ("rows", f"{len(dataset):,}"),
        ("rows rejected unasked", f"{rejected:,}"),
        ("distinct requests", f"{len(keys):,}"),
        ("in the store already", f"{len(keys) - len(new):,}"),
        ("requests to send", f"{len(new):,}"),
        ("prompt tokens (about)", f"{prompt_tokens:,.0f}"),
        (f"reply tokens ({basis})", f"{reply_each * len(new):,.0f}"),
    ]
    cost = endpoint.cost(prompt_tokens, reply_each * len(new))
    if cost is None:
        lines.append(("cost", "give --prompt_price and --reply_price (a million tokens) to see it"))
    else:
        lines.append(("cost (about)", f"{cost:,.4f}"))
    return lines
