#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Writes chats as the templates of model files do, and records llama.cpp's tokens.

Usage: make_fixtures.py MAKE_TINY_MODEL OUTPUT

Needs the Python package jinja2, and what tests/golden/bpe/make_fixtures.py needs. The
templates are those of the families' own files; they are rendered as the package
transformers does (trim_blocks, lstrip_blocks).
"""
import datetime
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

# name: bos, eos, template
TEMPLATES = {
    # TinyLlama/TinyLlama-1.1B-Chat-v1.0
    "zephyr": ("<s>", "</s>", """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""),
    # HuggingFaceTB/SmolLM2-135M-Instruct
    "chatml": ("<|im_start|>", "<|im_end|>", """\
{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system
You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""),
    # meta-llama/Llama-2-7b-chat-hf
    "llama-2": ("<s>", "</s>", """\
{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}\
{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}\
{% set system_message = false %}{% endif %}{% for message in loop_messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles') }}\
{% endif %}{% if loop.index0 == 0 and system_message != false %}\
{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}\
{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}\
{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}\
{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""),
    # meta-llama/Meta-Llama-3-8B-Instruct
    "llama-3": ("<|begin_of_text|>", "<|eot_id|>", """\
{% set loop_messages = messages %}{% for message in loop_messages %}\
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ \
message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}\
{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""),
}
# What the engine says before a user's text, and a user's text.
SYSTEM = "You are Llamux and look after a Linux machine. You run inside its kernel. Answer briefly."
VOCABULARY = {"zephyr": "F32", "chatml": "bpe:smollm", "llama-2": "F32", "llama-3": "bpe:llama-bpe"}
USER = ["Hello AI", "Why is it slow?\nIt wasn't \u00e9 1234."]


def render(name, messages):
    bos, eos, text = TEMPLATES[name]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    rendered = environment.from_string(text).render(
        messages=messages, bos_token=bos, eos_token=eos, add_generation_prompt=True)
    # The tokenizer adds it.
    return rendered.removeprefix(bos) if name.startswith("llama") else rendered


def load_recorder():
    path = pathlib.Path(__file__).parent.parent / "bpe" / "make_fixtures.py"
    spec = importlib.util.spec_from_file_location("bpe", path)
    recorder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorder)
    return recorder


def main():
    make_tiny_model, output = sys.argv[1:]
    recorder = load_recorder()
    lib, version = recorder.load_llama_cpp()
    lines = ["# SPDX-License-Identifier: GPL-2.0-only",
             f"# jinja2 {jinja2.__version__}, xllamacpp {version}, {datetime.date.today()}, by",
             "# tests/golden/chat/make_fixtures.py build/tests/support/make_tiny_model FILE",
             "# template NAME HEX; then chat, hex of what the user says, hex of the prompt, its",
             "# tokens with the vocabulary of the tiny model"]
    for name in TEMPLATES:
        lines.append(f"template {name} {TEMPLATES[name][2].encode().hex()}")
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/{name}.gguf"
            subprocess.run([make_tiny_model, VOCABULARY[name], path], check=True)
            llama_cpp = recorder.LlamaCpp(lib, path)
        for user in USER:
            messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
            prompt = render(name, messages)
            ids = " ".join(map(str, llama_cpp.encode(prompt.encode(), True)))
            lines.append(f"chat {user.encode().hex()} {prompt.encode().hex()} {ids}")
    with open(output, "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


main()
