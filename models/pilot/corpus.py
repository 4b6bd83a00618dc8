# SPDX-License-Identifier: GPL-2.0-only
"""Scenes from the generator -> token trees.

All samples of a scene begin with the same facts. They are laid out as one
sequence: the common beginning once, then a branch per sample that sees the
beginning and itself but no other branch. That is a third of the tokens. A change
that was to be had but is not the best one is a branch too, to be ranked.
"""
import json
import os
import subprocess

import numpy as np
import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as spm_model

MAX_TREE = 640  # tokens of one tree; rarer, longer ones lose branches
UNRANKED = -1
PADDING = (0, 0, -1, -1, UNRANKED)


def generate(tool, scenes, seed, held_out=False, accept=False, choices=False):
    command = [tool, "--scenes", str(scenes), "--seed", str(seed)]
    command += ["--held-out"] * held_out + ["--accept"] * accept + ["--choices"] * choices
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def train_vocabulary(tool, prefix, size, seed):
    lines = []
    for scene in generate(tool, 6000, seed, choices=True):
        samples = scene["samples"]
        # the facts once a scene, the rest of every sample
        lines += "".join(samples[0]["segments"]).split("\n")
        for sample in samples:
            lines += "".join(sample["segments"][1:]).split("\n")
            lines.append(sample["target"])
    text = prefix + ".txt"
    with open(text, "w", encoding="utf-8") as out:
        out.write("\n".join(line.strip() for line in lines if line.strip()))
    spm.SentencePieceTrainer.train(
        input=text, model_prefix=prefix, model_type="bpe", vocab_size=size,
        byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=True,
        remove_extra_whitespaces=False, split_digits=True, character_coverage=1.0,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, num_threads=1, minloglevel=1)
    os.remove(text)


class Tokenizer:
    """llx_prompt_encode(): the first segment gets the space prefix, others do not."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.proto = spm_model.ModelProto.FromString(file.read())
        self.first = spm.SentencePieceProcessor(model_proto=self.proto.SerializeToString())
        self.proto.normalizer_spec.add_dummy_prefix = False
        self.later = spm.SentencePieceProcessor(model_proto=self.proto.SerializeToString())
        self.proto.normalizer_spec.add_dummy_prefix = True
        self.bos, self.eos = 1, 2
        self.size = len(self.proto.pieces)

    def prompt(self, segments):
        tokens = [self.bos] + self.first.encode(segments[0])
        for segment in segments[1:]:
            tokens += self.later.encode(segment)
        return tokens

    def text(self, tokens):
        return self.later.decode(tokens)


def common_length(rows):
    least = min(len(row) for row in rows)
    n = 0
    while n < least and all(row[n] == rows[0][n] for row in rows):
        n += 1
    return n


def said_and_ranked(tokenizer, sample):
    """(text that follows the prompt, rank): 0 the right one, 1... what was passed over."""
    others = [text for text in sample.get("candidates", ()) if text != sample["target"]]
    ranked = 0 if others else UNRANKED
    yield tokenizer.later.encode(sample["target"]), ranked
    for rank, text in enumerate(others, 1):
        yield tokenizer.later.encode(text), rank


def tree(tokenizer, samples):
    """tokens, positions, branches, labels (-1: no loss) and ranks of one scene."""
    prompts = [tokenizer.prompt(sample["segments"]) for sample in samples]
    trunk = min(common_length(prompts), min(len(p) for p in prompts) - 1)
    tokens = list(prompts[0][:trunk])
    positions = list(range(trunk))
    branches = [0] * trunk
    labels = [-1] * trunk
    ranks = [UNRANKED] * trunk
    number = 0
    for sample, prompt in zip(samples, prompts):
        for text, rank in said_and_ranked(tokenizer, sample):
            # the end of the text is learned from what is said, and is not ranked
            target = text + [tokenizer.eos] if rank <= 0 else text
            branch = prompt[trunk:] + target[:-1]
            if len(tokens) + len(branch) > MAX_TREE and number > 0:
                break
            number += 1
            before = len(prompt) - trunk - 1
            tokens += branch
            positions += range(trunk, trunk + len(branch))
            branches += [number] * len(branch)
            labels += [-1] * before + target
            ranks += [UNRANKED] * before + [rank] * len(text) + [UNRANKED] * (len(target) - len(text))
    return [np.array(x, np.int64) for x in (tokens, positions, branches, labels, ranks)]


def batches(trees, tokens_per_batch, random):
    """Trees of like length together; padding has branch -1."""
    order = sorted(range(len(trees)), key=lambda i: len(trees[i][0]))
    groups, group = [], []
    for i in order:
        if group and (len(group) + 1) * len(trees[i][0]) > tokens_per_batch:
            groups.append(group)
            group = []
        group.append(i)
    if group:
        groups.append(group)
    random.shuffle(groups)
    for group in groups:
        longest = max(len(trees[i][0]) for i in group)
        batch = [np.full((len(group), longest), fill, np.int64) for fill in PADDING]
        for row, i in enumerate(group):
            for out, values in zip(batch, trees[i]):
                out[row, :len(values)] = values
        yield batch
