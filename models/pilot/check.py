#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Does the engine say what the trainer says? Token ids and greedy answers.

  check.py --generator TOOL --complete TOOL --weights DIR MODEL.gguf

Both tokenise the same prompts and continue them greedily; ids must be equal
always, answers nearly always (F16 rounds, so a tie may fall the other way).
"""
import argparse
import json
import subprocess
import sys

import torch

import corpus
from network import Llama

ANSWER_TOKENS = 96
LEAST_EQUAL = 0.97


def greedy(model, prompt, eos):
    tokens = list(prompt)
    for _ in range(ANSWER_TOKENS):
        with torch.no_grad():
            token = int(model.next_logits(tokens)[-1].argmax())
        if token == eos:
            break
        tokens.append(token)
    return tokens[len(prompt):]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generator", required=True)
    parser.add_argument("--complete", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("model")
    args = parser.parse_args()

    saved = torch.load(f"{args.weights}/answer.pt")
    tokenizer = corpus.Tokenizer(f"{args.weights}/vocabulary.model")
    model = Llama(saved["config"])
    model.load_state_dict(saved["model"])
    model.eval()
    scenes = corpus.generate(args.generator, args.prompts, 4242, held_out=True)
    samples = [scene["samples"][i % len(scene["samples"])] for i, scene in enumerate(scenes)]
    samples = samples[:args.prompts]
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    done = subprocess.run([args.complete, args.model], input=lines, text=True, check=True,
                          capture_output=True)
    equal = 0
    for sample, line in zip(samples, done.stdout.splitlines(), strict=True):
        engine = json.loads(line)
        prompt = tokenizer.prompt(sample["segments"])
        if engine["prompt"] != prompt:
            sys.exit(f"check: other tokens for {sample['segments']}:\n"
                     f"  engine  {engine['prompt']}\n  trainer {prompt}")
        answer = greedy(model, prompt, tokenizer.eos)
        equal += engine["answer"] == answer
        if engine["answer"] != answer:
            print(f"engine:  {tokenizer.text(engine['answer'])}\n"
                  f"trainer: {tokenizer.text(answer)}")
    print(f"{len(samples)} prompts: token ids equal, {equal} answers equal")
    sys.exit(0 if equal >= LEAST_EQUAL * len(samples) else 1)


if __name__ == "__main__":
    main()
