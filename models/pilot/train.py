#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Trains the pilot model on one machine without a GPU; progress on stdout.

  train.py --generator TOOL --out DIR [--steps N] [--episodes FILE]

Writes vocabulary, checkpoint (resumes from it) and the finished weights to DIR.
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
from torch.nn import functional as F

import corpus
from network import Llama, Muon

CONFIG = dict(dim=256, layers=4, heads=4, kv_heads=2, head_dim=64, ffn=768, eps=1e-5,
              rope_base=10000.0, context=1024)
SCENES_PER_CHUNK = 2000
WARM_UP = 40
EPISODES_PER_CHUNK = 200  # drawn from the file's
DECAY = 0.45  # last part of the run, in which the rate falls to nothing


def has_bf16():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return "avx512_bf16" in file.read()


def read_episodes(path):
    if not path:
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def data(tool, tokenizer, seed, tokens_per_batch, episodes, skip):
    """Endless batches; `skip` of them are passed over without being used."""
    chunk = 0
    while True:
        shuffle = random.Random(seed * 1000003 + chunk)
        rows = corpus.generate(tool, SCENES_PER_CHUNK, seed * 1000003 + chunk)
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


def loss_of(model, batch):
    tokens, positions, branches, labels = batch
    hidden = model.hidden(tokens, positions, branches)
    wanted = labels >= 0
    return F.cross_entropy(model.logits(hidden[wanted]).float(), labels[wanted])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=2400)
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

    checkpoint = os.path.join(args.out, "checkpoint.pt")
    start = 0
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        for (optimizer, _), state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        start = saved["step"]
        print(f"resumed at step {start}", flush=True)

    batches = data(args.generator, tokenizer, args.seed + 1, args.batch_tokens,
                   read_episodes(args.episodes), start)
    began, seen, smooth = time.time(), 0, None
    for step in range(start, args.steps):
        batch = next(batches)
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate(step, args.steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            loss = loss_of(model, batch)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
        seen += int((batch[2] >= 0).sum())
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        if step % 20 == 19:
            left = (time.time() - began) / (step + 1 - start) * (args.steps - step - 1)
            print(f"step {step + 1}/{args.steps} loss {smooth:.3f} "
                  f"{seen / (time.time() - began):.0f} tokens/s, {left / 60:.0f} min left",
                  flush=True)
        if step % 50 == 49:
            torch.save({"model": model.state_dict(), "step": step + 1,
                        "optimizers": [o.state_dict() for o, _ in optimizers]},
                       checkpoint + ".new")
            os.replace(checkpoint + ".new", checkpoint)
    torch.save({"model": model.state_dict(), "config": config},
               os.path.join(args.out, "weights.pt"))
    print("done", flush=True)


if __name__ == "__main__":
    main()
