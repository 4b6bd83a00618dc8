#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Trains the pilot model on one machine without a GPU; progress on stdout.

  train.py --generator TOOL --out DIR --stage STAGE --steps N [--episodes FILE]

Writes vocabulary, checkpoint (resumes from it) and the finished weights to DIR, as
STAGE.pt. Stages: choose, from nothing; then answer, from choose.pt.
--episodes: what a fault suite measured (tests/gym/gym --export), among the
generator's scenes.
Every scene is seen once: data is made as it is needed, chunk by chunk from
seeds, so a run is repeatable on one kind of CPU.
"""
import argparse
import json
import os
import random
import time

import torch

import corpus
from network import Llama, Muon

CONFIG = dict(dim=256, layers=4, heads=4, kv_heads=2, head_dim=64, ffn=768, eps=1e-5,
              rope_base=10000.0, context=1024)
SCENES_PER_CHUNK = 2000
WARM_UP = 40
EPISODES_PER_CHUNK = 200  # drawn from the file's
MAX_CANDIDATES = 8  # LLAMUX_MAX_CANDIDATES
RANK_TEMPERATURE = 0.125  # nats per token
# Answers have a stage of their own: while ranking is learned they stay behind. `scenes`
# sets the seed of a stage's data apart.
STAGES = {"choose": dict(begins_with=None, scenes=1, rank_weight=0.5, choices=True, rate=1.0),
          "answer": dict(begins_with="choose", scenes=2, rank_weight=0.1, choices=False, rate=0.5)}
DECAY = 0.45  # last part of the run, in which the rate falls to nothing


def has_bf16():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return "avx512_bf16" in file.read()


def read_episodes(path):
    if not path:
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def data(tool, tokenizer, seed, tokens_per_batch, choices, episodes, skip):
    """Endless batches; `skip` of them are passed over without being used."""
    chunk = 0
    while True:
        shuffle = random.Random(seed * 1000003 + chunk)
        rows = corpus.generate(tool, SCENES_PER_CHUNK, seed * 1000003 + chunk, choices=choices)
        rows += shuffle.choices(episodes, k=EPISODES_PER_CHUNK) if episodes else []
        trees = [corpus.tree(tokenizer, row["samples"]) for row in rows]
        for batch in corpus.batches(trees, tokens_per_batch, shuffle):
            if skip > 0:
                skip -= 1
            else:
                yield [torch.from_numpy(part) for part in batch]
        chunk += 1


def rate(step, steps):
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return min(1.0, (steps - step) / (steps * DECAY))


def said_loss(logprobs, ranks):
    """Nats per token of all that should be said."""
    return -logprobs[ranks <= 0].mean()


def ranking_loss(logprobs, ranks, rows):
    """
    Nats per scene: how improbable the right change is among those that were to be
    had, by the score that the engine ranks by (kmod/engine/advise.c).
    """
    ranked = ranks >= 0
    scene_and_rank = rows[ranked] * MAX_CANDIDATES + ranks[ranked]
    size = (int(rows.max()) + 1) * MAX_CANDIDATES
    total = torch.zeros(size).index_add(0, scene_and_rank, logprobs[ranked])
    count = torch.zeros(size).index_add(0, scene_and_rank, torch.ones(int(ranked.sum())))
    score = total / count.clamp(min=1) / RANK_TEMPERATURE
    score = score.masked_fill(count == 0, -1e9).view(-1, MAX_CANDIDATES)
    score = score[count.view(-1, MAX_CANDIDATES)[:, 0] > 0]
    return -torch.log_softmax(score, -1)[:, 0].mean() if len(score) else logprobs.sum() * 0


def losses_of(model, batch):
    tokens, positions, branches, labels, ranks = batch
    hidden = model.hidden(tokens, positions, branches)
    wanted = labels >= 0
    logprobs = torch.log_softmax(model.logits(hidden[wanted]).float(), -1)
    logprobs = logprobs.gather(1, labels[wanted][:, None])[:, 0]
    rows = wanted.nonzero()[:, 0]
    return said_loss(logprobs, ranks[wanted]), ranking_loss(logprobs, ranks[wanted], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--vocabulary", type=int, default=1536)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--episodes")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    vocabulary = os.path.join(args.out, "vocabulary")
    if not os.path.exists(vocabulary + ".model"):
        print("vocabulary: training", flush=True)
        corpus.train_vocabulary(args.generator, vocabulary, args.vocabulary, args.seed)
    tokenizer = corpus.Tokenizer(vocabulary + ".model")
    config = dict(CONFIG, vocab=tokenizer.size)
    model = Llama(config)
    fast = has_bf16()
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() != 2 or "embed" in n]
    optimizers = [
        (Muon(matrices, lr=0.02, dtype=torch.bfloat16 if fast else torch.float32), 0.02),
        (torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0), 3e-3)]
    n = sum(p.numel() for p in model.parameters())
    print(f"model: {n / 1e6:.2f} M parameters, {'bf16' if fast else 'f32'}", flush=True)

    stage = STAGES[args.stage]
    if stage["begins_with"]:
        before = os.path.join(args.out, f"{stage['begins_with']}.pt")
        model.load_state_dict(torch.load(before)["model"])
    checkpoint = os.path.join(args.out, f"{args.stage}.checkpoint")
    start = 0
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        for (optimizer, _), state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        start = saved["step"]
        print(f"resumed at step {start}", flush=True)

    batches = data(args.generator, tokenizer, args.seed + stage["scenes"], args.batch_tokens,
                   stage["choices"], read_episodes(args.episodes), start)
    began, seen, smooth = time.time(), 0, None
    for step in range(start, args.steps):
        batch = next(batches)
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * stage["rate"] * rate(step, args.steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            said, ranking = losses_of(model, batch)
        loss = said + stage["rank_weight"] * ranking
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
        seen += int((batch[2] >= 0).sum())
        now = torch.stack((said, ranking)).detach()
        smooth = now if smooth is None else 0.95 * smooth + 0.05 * now
        if step % 20 == 19:
            left = (time.time() - began) / (step + 1 - start) * (args.steps - step - 1)
            print(f"step {step + 1}/{args.steps} said {smooth[0]:.3f} ranked {smooth[1]:.3f} "
                  f"{seen / (time.time() - began):.0f} tokens/s, {left / 60:.0f} min left",
                  flush=True)
        if step % 50 == 49:
            torch.save({"model": model.state_dict(), "step": step + 1,
                        "optimizers": [o.state_dict() for o, _ in optimizers]},
                       checkpoint + ".new")
            os.replace(checkpoint + ".new", checkpoint)
    torch.save({"model": model.state_dict(), "config": config},
               os.path.join(args.out, f"{args.stage}.pt"))
    print("done", flush=True)


if __name__ == "__main__":
    main()
