#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes the table of kmod/engine/unicode.c, and compares it with Python's own.

    table.py --print            # the rows, from this Python's unicodedata
    table.py --check UNICODE_C  # exit status 1: they differ

The check leaves out what this Python's Unicode has not assigned yet.
"""
import re
import sys
import unicodedata

CLASSES = ["OTHER", "LETTER", "NUMBER", "SPACE", "PUNCTUATION"]
# White_Space in PropList.txt; it has not changed since Unicode 6.3.
SPACES = [*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
          0x202F, 0x205F, 0x3000]
PER_LINE = 7


def class_of(point):
    if point in SPACES:
        return "SPACE"
    by_letter = {"L": "LETTER", "N": "NUMBER", "P": "PUNCTUATION"}
    return by_letter.get(unicodedata.category(chr(point))[0], "OTHER")


def print_table():
    rows = []
    last = None
    for point in range(0x110000):
        if class_of(point) != last:
            last = class_of(point)
            rows.append(f"0x{point << 3 | CLASSES.index(last):06x},")
    print(f"Unicode {unicodedata.unidata_version}, {len(rows)} rows")
    for i in range(0, len(rows), PER_LINE):
        print("\t" + " ".join(rows[i:i + PER_LINE]))


def check(path):
    text = open(path, encoding="ascii").read()
    rows = [int(row, 16) for row in re.findall(r"\b0x([0-9a-f]{6}),", text)]
    if rows != sorted(rows) or not rows or rows[0] >> 3:
        sys.exit(f"{path}: the table is not in order")
    wrong = 0
    seen = 0
    for row, after in zip(rows, [*rows[1:], 0x110000 << 3]):
        for point in range(row >> 3, after >> 3):
            if unicodedata.category(chr(point)) == "Cn":
                continue
            seen += 1
            if class_of(point) != CLASSES[row & 7]:
                wrong += 1
                print(f"U+{point:04X} is {class_of(point)}, the table says {CLASSES[row & 7]}")
    print(f"{len(rows)} rows, {seen} characters of Unicode {unicodedata.unidata_version}, {wrong} wrong")
    if wrong or seen < 100000:
        sys.exit(1)


if sys.argv[1:] == ["--print"]:
    print_table()
elif len(sys.argv) == 3 and sys.argv[1] == "--check":
    check(sys.argv[2])
else:
    sys.exit(__doc__)
