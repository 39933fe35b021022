"""Batches of a stage, made in a worker process ahead of the trainer. A batch depends on (seed, stage, step) only."""

import multiprocessing
import random

import numpy as np

from .data import facts, recall
from .data.mixture import Mixture
from .tokenizer import ChatTokenizer


class BatchMaker:
    def __init__(self, tokenizer_folder, data_root, seed):
        self.tokenizer = ChatTokenizer.load(tokenizer_folder)
        self.mixture = Mixture(data_root, self.tokenizer, "train", seed)
        self.seed = seed

    def make(self, stage, step):
        """(ids, targets, weights, positions), each [rows, length]."""
        rng = random.Random(f"{self.seed}/{stage.name}/{step}")
        rows = max(1, stage.batch_tokens // stage.length)
        ids = np.zeros((rows, stage.length + 1), np.int64)
        weights = np.zeros((rows, stage.length + 1), np.float32)
        positions = np.zeros((rows, stage.length), np.int64)
        for row in range(rows):
            if stage.mixture:
                self.mixture.options = facts.Options(**facts_options(self.mixture, stage, rng))
                some, loss = self.mixture.pack(rng, stage.length + 1, stage.mixture)
            else:
                some, loss = recall.recall_ids(
                    rng, stage.length + 1, (16, stage.vocab), rng.randint(*stage.keys), pair_share=0.25)
            ids[row], weights[row] = some, thinned(rng, loss)
            positions[row] = stretched(rng, ids[row, :-1], self.tokenizer.start, stage.reach)
        return ids[:, :-1], ids[:, 1:], weights[:, 1:], positions


def stretched(rng, ids, start, reach):
    """Positions [length] of a row that reach up to `reach`: gaps of random sizes before up to four of its turns.

    Long distances are learned at the price of short rows (Zhu et al., PoSE, arXiv:2309.10400).
    """
    positions = np.arange(len(ids))
    turns = np.nonzero(ids == start)[0][1:]
    if reach <= len(ids) or not len(turns) or rng.random() < 0.25:
        return positions
    cuts = sorted(rng.sample(list(turns), min(len(turns), rng.randint(1, 4))))
    room = int((reach - len(ids)) * rng.random() ** 0.5)
    shares = sorted(rng.random() for _ in cuts[1:])
    gaps = np.diff([0.0, *shares, 1.0]) * room
    for cut, gap in zip(cuts, gaps):
        positions[cut:] += int(gap)
    return positions


def facts_options(mixture, stage, rng):
    """The number of facts a conversation may hold is drawn per row up to the stage's limit."""
    options = dict(min_facts=min(4, stage.keys[0]), max_facts=rng.randint(*stage.keys),
                   plain=rng.random() < stage.plain, fresh_share=stage.fresh, rush=rng.choice(stage.rush),
                   tokens_per_fact=rng.randint(*stage.spacing), restate_share=stage.restate,
                   unknown_share=stage.unknown, update_share=stage.updates, pair_share=stage.pairs,
                   pieces=mixture.pieces() if stage.strange else (), strange_share=stage.strange)
    if mixture.options.passages:
        options["passages"] = mixture.options.passages
    return options


def thinned(rng, weights):
    """Context tokens (weight below 0.3) are trained on one time in three, three times as strongly: logits are dear."""
    draws = np.array([rng.random() for _ in range(len(weights))])
    weights = np.asarray(weights, np.float32)
    light = (weights > 0) & (weights < 0.3)
    return np.where(light, np.where(draws < 1 / 3, weights * 3, 0), weights)


def _start(folder, data_root, seed):
    global _maker
    _maker = BatchMaker(folder, data_root, seed)


def _make(stage, step):
    return _maker.make(stage, step)


class Prefetcher:
    """Yields the batches of a stage in order; `depth` are made ahead in another process."""

    def __init__(self, tokenizer_folder, data_root, seed, workers=1):
        context = multiprocessing.get_context("spawn")
        self.pool = context.Pool(workers, _start, (tokenizer_folder, data_root, seed))
        self.depth = 5 + workers

    def batches(self, stage, first):
        waiting = []
        for step in range(first, stage.steps):
            while len(waiting) < self.depth and step + len(waiting) < stage.steps:
                waiting.append(self.pool.apply_async(_make, (stage, step + len(waiting))))
            yield step, waiting.pop(0).get()

    def close(self):
        self.pool.terminate()
        self.pool.join()
