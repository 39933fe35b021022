"""Trains weir-chat or weir-moe: python -m weirtrain.train --model chat --scale small --out runs/chat

A run is resumable: it saves every few minutes and goes on from there with --resume. Batches depend on the seed, the
stage and the step only, so a resumed run sees what an unbroken one would have seen.
"""

import argparse
import json
import os
import sys
import time

import torch

from . import circuit, recipes
from .batches import Prefetcher
from .curve import write_curve
from .model import Decoder
from .optimizer import optimizers

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["chat", "moe"], default="chat")
    parser.add_argument("--scale", choices=list(recipes.SIZES), default="small")
    parser.add_argument("--smoke", action="store_true", help="the whole recipe in under three minutes (--scale smoke)")
    parser.add_argument("--budget", type=float, default=1.0, help="multiplies every stage's steps")
    parser.add_argument("--batch", type=float, help="multiplies the tokens of a step; default: by --scale")
    parser.add_argument("--minutes", type=float, help="ends in this time: stages that take longer than their share of it are cut")
    parser.add_argument("--out", required=True, help="folder of the run")
    parser.add_argument("--data", default=os.path.join(HERE, "..", "..", "shared", "data"), help="texts and bAbI")
    parser.add_argument("--tokenizer", default=os.path.join(HERE, "tokenizer"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", action="store_true", help="fuse the layers' small operations (torch.compile)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--from-checkpoint", help="start with these weights (a checkpoint.pt): the same model, or for moe a dense one")
    parser.add_argument("--save-minutes", type=float, default=4)
    parser.add_argument("--muon-lr", type=float, default=0.015)
    parser.add_argument("--adam-lr", type=float, default=0.002)
    parser.add_argument("--plain-start", action="store_true", help="random weights only (see circuit.py)")
    parser.add_argument("--start", default=None, help="begin with the stage of this name")
    return parser.parse_args(argv)


class Run:
    def __init__(self, options):
        self.options = options
        scale = "smoke" if options.smoke else options.scale
        self.stages = recipes.stages(options.model, scale, options.budget, options.batch)
        self.device = torch.device(options.device)
        self.model = Decoder(recipes.model_config(options.model, scale), options.seed)
        if not options.plain_start:
            circuit.start(self.model, options.seed)
        self.model.to(self.device)
        if options.compile:
            for layer in self.model.layers:
                layer.compile(dynamic=True)
        self.optimizers = optimizers(self.model, options.muon_lr, options.adam_lr)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["base"] = group["lr"]
        self.stage, self.step, self.tokens, self.seconds, self.log = 0, 0, 0, 0.0, []
        self.smooth = None  # running (loss, share of answers right) of the stage
        self.waited = 0.0  # seconds without a batch to compute
        self.deadline = time.monotonic() + 60 * options.minutes if options.minutes else None
        self.path = os.path.join(options.out, "checkpoint.pt")

    def save(self):
        os.makedirs(self.options.out, exist_ok=True)
        state = dict(
            config=self.model.config.dictionary(), model=self.model.state_dict(),
            optimizers=[o.state_dict() for o in self.optimizers], stage=self.stage, step=self.step,
            stage_name=self.stages[self.stage].name if self.stage < len(self.stages) else "done",
            tokens=self.tokens, seconds=self.seconds, log=self.log, smooth=self.smooth, arguments=vars(self.options))
        torch.save(state, self.path + ".new")
        os.replace(self.path + ".new", self.path)
        with open(os.path.join(self.options.out, "log.json"), "w") as file:
            json.dump(self.log, file)
        write_curve(os.path.join(self.options.out, "curve.svg"), self.log, f"weir-{self.options.model}")

    def load(self, path, weights_only):
        state = torch.load(path, map_location=self.device, weights_only=True)
        if self.options.model == "moe" and not state["config"]["experts"]:
            circuit.upcycled(self.model, state["model"], self.options.seed)
        else:
            self.model.load_state_dict(state["model"])
        if weights_only:
            return
        for optimizer, saved in zip(self.optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        names = [stage.name for stage in self.stages]
        self.stage = names.index(state["stage_name"]) if state["stage_name"] in names else len(names)
        self.step, self.tokens, self.seconds, self.log = state["step"], state["tokens"], state["seconds"], state["log"]
        self.smooth = state.get("smooth")

    def allowed(self):
        """Seconds that the stage may take: its share of the tokens in what is left of --minutes; None: any."""
        if self.deadline is None:
            return None
        tokens = [s.steps * max(s.batch_tokens, s.length) for s in self.stages[self.stage:]]
        return max(1.0, self.deadline - time.monotonic()) * tokens[0] / sum(tokens)

    def learning_rate(self, stage, step, progress):
        low, high = stage.lr
        done = step + sum(s.steps for s in self.stages[:self.stage])
        warm = min(1.0, (done + 1) / min(50, 0.1 * sum(s.steps for s in self.stages)))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * (low + (high - low) * progress) * warm

    def one_step(self, batch):
        """Mean loss, and (right, all) counts of answer tokens."""
        ids, targets, weights, positions = (torch.from_numpy(part).to(self.device) for part in batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss, right, where = self.model.loss(ids, targets, weights, positions)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.tokens += ids.numel()
        answers = weights.reshape(-1)[where] >= 1.0
        return loss.item(), int((right & answers).sum()), int(answers.sum())

    def train(self, source):
        saved = time.monotonic()
        while self.stage < len(self.stages):
            stage, allowed, entered = self.stages[self.stage], self.allowed(), time.monotonic()
            ended = entered
            for step, batch in source.batches(stage, self.step):
                began = time.monotonic()
                self.waited += began - ended
                spent = (began - entered) / allowed if allowed else 0.0
                progress = max(step / stage.steps, min(1.0, spent))
                self.learning_rate(stage, step, progress)
                loss, right, count = self.one_step(batch)
                self.step = step + 1
                share = right / max(1, count)
                old = self.smooth or (loss, share)
                self.smooth = (0.95 * old[0] + 0.05 * loss, 0.95 * old[1] + 0.05 * share)
                ended = time.monotonic()
                self.seconds += ended - began
                if step % 10 == 9 or step + 1 == stage.steps:
                    entry = dict(stage=stage.name, step=step + 1, tokens=self.tokens, loss=self.smooth[0],
                                 answers=self.smooth[1], seconds=self.seconds)
                    self.log.append(entry)
                    self.show(stage, entry)
                if time.monotonic() - saved > 60 * self.options.save_minutes:
                    self.save()
                    saved = time.monotonic()
                if progress >= 1:
                    break
            self.stage, self.step, self.smooth = self.stage + 1, 0, None
            self.save()

    def show(self, stage, entry):
        rate = self.tokens / max(self.seconds, 1e-9)
        waited = self.waited / max(self.waited + self.seconds, 1e-9)
        text = (f"{stage.name} {entry['step']}/{stage.steps}  {self.tokens / 1e6:.2f}M tokens  {rate:.0f}/s  "
                f"loss {entry['loss']:.3f}  answers {entry['answers']:.1%}" + f"  waiting {waited:.0%}" * (waited > 0.1))
        if sys.stderr.isatty():
            filled = int(24 * entry["step"] / stage.steps)
            print(f"\r[{'#' * filled}{'.' * (24 - filled)}] {text}   ", end="", file=sys.stderr, flush=True)
        else:
            print(text, flush=True)


def main(argv=None):
    options = arguments(argv)
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("high")  # on a GPU: TF32 outside of bfloat16's reach
    torch.set_flush_denormal(True)  # tiny gradients would otherwise cost tenfold
    data = options.data if os.path.isdir(options.data) else None
    run = Run(options)
    if options.from_checkpoint:
        run.load(options.from_checkpoint, weights_only=True)
    if options.resume and os.path.exists(run.path):
        run.load(run.path, weights_only=False)
    if options.start:
        run.stage, run.step = [stage.name for stage in run.stages].index(options.start), 0
    print(f"weir-{options.model}: {sum(p.numel() for p in run.model.parameters()) / 1e6:.2f}M parameters, "
          f"{options.threads} threads on {options.device}", flush=True)
    source = Prefetcher(options.tokenizer, data, options.seed, options.workers)
    try:
        run.train(source)
    finally:
        source.close()


if __name__ == "__main__":
    main()
