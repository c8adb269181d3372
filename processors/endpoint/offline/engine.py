"""From a checked body to a finished reply: admission, validation, waiting, generation."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tagsmith.processors.endpoint.offline import wire
from tagsmith.processors.endpoint.offline.bodies import Parameters
from tagsmith.processors.endpoint.offline.failures import overloaded
from tagsmith.processors.endpoint.offline.faults import Faults
from tagsmith.processors.endpoint.offline.generation import Generation, Prompt, generate
from tagsmith.processors.endpoint.offline.settings import OfflineSettings
from tagsmith.processors.endpoint.offline.validation import Valid, validate, validate_best_of


@dataclass(frozen=True)
class Reply:
    """A finished generation with what the answer reports about it."""

    generation: Generation
    others: list[Generation] | None
    valid: Valid

    @property
    def input_length(self) -> int:
        return len(self.valid.input_tokens)


class Engine:
    """Generates replies, as many at a time as the settings allow."""

    def __init__(self, settings: OfflineSettings, faults: Faults) -> None:
        self._settings = settings
        self._faults = faults
        self._in_flight = 0
        # One thread: the embedding model is not made for several, and one after the other keeps replies repeatable.
        self._embedding_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judge")

    async def run(self, inputs: str, parameters: Parameters, prompt: Prompt) -> Reply:
        """Validate, wait as long as the settings say, and generate. Like TGI, refuse before validating when full."""
        sequences = validate_best_of(parameters)
        if self._in_flight + sequences > self._settings.max_concurrent_requests:
            raise overloaded()
        self._in_flight += sequences
        try:
            valid = validate(parameters, inputs, self._settings)
            if parameters.truncate is not None:
                text = "".join(valid.input_tokens)
                prompt = Prompt(text, text)
            if delay_sec := self._faults.delay_sec(prompt.whole):
                await asyncio.sleep(delay_sec)
            generations = [await self._generation(prompt, parameters, valid, sequence) for sequence in range(sequences)]
        finally:
            self._in_flight -= sequences
        best = max(generations, key=wire.mean_logprob) if sequences > 1 else generations[0]
        others = [each for each in generations if each is not best] if sequences > 1 else None
        return Reply(best, others, valid)

    async def _generation(self, prompt: Prompt, parameters: Parameters, valid: Valid, sequence: int) -> Generation:
        arguments = (prompt, parameters, valid.grammar, valid.max_new_tokens, self._settings, self._faults, sequence)
        if prompt.slow:
            return await asyncio.get_running_loop().run_in_executor(self._embedding_thread, generate, *arguments)
        return generate(*arguments)
