#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the agent prints and writes, against docs/agent.schema.json.

  schema.py NAME EXPRESSION FILE

Each line of the file is an object as the schema has it below NAME, and the
expression holds for o: the object, or the list of them if there are several.
"""
import json
import pathlib
import sys

import jsonschema

REPO = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((REPO / "docs" / "agent.schema.json").read_text(encoding="utf-8"))


def check(name, value):
    """@value is what the schema says of what the command @name prints."""
    schema = {**SCHEMA, "$ref": "#/$defs/" + name.replace(" ", "%20")}
    jsonschema.Draft202012Validator(schema).validate(value)


def main():
    name, expression, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        objects = [json.loads(line) for line in file]
    for one in objects:
        check(name, one)
    o = objects[0] if len(objects) == 1 else objects
    return 0 if eval(expression, {"o": o}) else 1


if __name__ == "__main__":
    sys.exit(main())
