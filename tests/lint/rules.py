# SPDX-License-Identifier: GPL-2.0-only
"""The rules that lint.py checks, each with samples it must reject and accept.

A rule looks only at the text of files. Its samples are (path, text) pairs,
because what is allowed depends on where a file lies.
"""
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent


@dataclass
class Rule:
    """One rule. check(root, paths) gives (path, line number, what is wrong)."""

    name: str
    applies: Callable  # path -> bool
    check: Callable
    bad: list = field(default_factory=list)
    good: list = field(default_factory=list)


def by_text(check_text):
    """Makes check(root, paths) out of a check of one file's text."""

    def check(root, paths):
        for path in paths:
            text = (root / path).read_bytes().decode(errors="replace")
            for line, message in check_text(path, text):
                yield path, line, message

    return check


def by_line(pattern, message, code_only=False):
    """Makes check(root, paths) that refuses every line with the pattern."""
    pattern = re.compile(pattern)

    def check_text(path, text):
        text = strip_comments(text) if code_only else text
        for number, line in enumerate(text.splitlines(), 1):
            found = pattern.search(line)
            if found:
                yield number, message.format(found[0].strip())

    return by_text(check_text)


def strip_comments(text):
    """C or C++ text with comments and literals blanked; lines stay in place."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S
    )

    def blank(match):
        # 1'000: a digit separator is no character literal
        if match[0][0] == "'" and text[match.start() - 1].isalnum():
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])

    return token.sub(blank, text)


def suffix(*endings):
    return lambda path: path.endswith(endings)


C_FAMILY = (".c", ".h", ".cpp", ".hpp")


def is_kernel_c(path):
    return path.startswith(("kmod/", "bpf/", "include/")) and path.endswith((".c", ".h"))


def is_cpp(path):
    return path.startswith(("agent/", "tests/")) and path.endswith((".cpp", ".hpp"))


def is_text(path):
    """Not data, pictures and the like."""
    text = C_FAMILY + (".py", ".sh", ".md", ".cmake", ".txt", ".json", "Makefile", "Kbuild")
    return path.endswith(text) or "." not in Path(path).name


# --- Who may include whom (a list of allowed targets per folder) --------------

CPP_STD = r"[a-z_]+"  # <vector>, <cstdint>: the C++ library has no ".h"
ABI_SYS = r"linux/(types|ioctl)\.h"
# what vector code may know of the engine: types and layouts, no logic
ENGINE_SEAM = ["kmod/engine/port.h", "kmod/engine/quant.h", "kmod/engine/tensor.h"]
STAGES = ("sense", "advise", "apply", "verify", "rollback", "report", "metrics")
STAGE_MAY = ["agent/core/", "agent/kernel/", "include/"]

# Longest prefix wins: prefix of the file -> (repository paths, system headers).
INCLUDES = {
    "include/uapi/": (["include/uapi/"], ABI_SYS),
    "include/": (["include/"], ABI_SYS),
    "kmod/simd/": (ENGINE_SEAM + ["kmod/simd/"], r"immintrin\.h"),
    "kmod/math/": (
        ENGINE_SEAM + ["kmod/simd/kernels.h", "kmod/math/"],
        None,
    ),
    "kmod/engine/": (
        ["kmod/engine/", "kmod/math/ops.h", "kmod/simd/kernels.h", "include/"],
        None,
    ),
    "kmod/engine/port_kernel.h": ([], r"(linux|asm)/.*"),
    "kmod/engine/port_user.": (["kmod/engine/"], r"[a-z]+\.h|linux/types\.h"),
    "kmod/": (["kmod/", "include/"], r"(linux|asm|uapi/linux|trace)/.*"),
    "bpf/": (["bpf/", "include/llamux/"], r"linux/(bpf|types)\.h|bpf/.*|vmlinux\.h"),
    "agent/core/": (["agent/core/", "include/"], CPP_STD),
    "agent/validate/": (["agent/validate/", "agent/core/", "include/"], rf"{CPP_STD}|fmt/.*"),
    "agent/kernel/": (["agent/kernel/", "agent/core/", "include/"], ".*"),
    **{f"agent/{s}/": ([*STAGE_MAY, f"agent/{s}/"], ".*") for s in STAGES},
    # detects anew what was recorded, by the code of the kernel
    "agent/replay/": (["agent/", "kmod/engine/", "include/"], ".*"),
    "agent/": (["agent/", "include/"], ".*"),
    "tests/": (["tests/", "kmod/", "bpf/", "agent/", "include/"], ".*"),
    # the training pipeline drives the engine through the tests' C++ wrappers
    "models/": (["models/", "kmod/", "include/", "tests/support/"], ".*"),
}
ROOTS = ("include", "kmod", "agent", "bpf", "tests/support", "tests")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
# made by the build, so not found in the tree
GENERATED = re.compile(r".*\.skel\.h|kmod/.*\.mod\.c")


def find_include(root, path, quote, name):
    """Repository path of an included file, or None for a system header."""
    places = [Path(path).parent] if quote == '"' else []
    for place in [*places, *map(Path, ROOTS)]:
        target = (root / place / name).resolve()
        if target.is_file() and target.is_relative_to(root):
            return str(target.relative_to(root))
    return None


def check_includes(root, paths):
    root = root.resolve()
    for path in paths:
        rule = max((p for p in INCLUDES if path.startswith(p)), key=len, default=None)
        if rule is None:
            yield path, 1, "no include rule for this folder: add it to HOUSE's table and here"
            continue
        ours, system = INCLUDES[rule]
        text = (root / path).read_text(errors="replace")
        for match in INCLUDE.finditer(text):
            target = find_include(root, path, match[1], match[2])
            if target:
                allowed = target.startswith(tuple(ours)) if ours else False
            else:
                # a quoted name that is nowhere in the tree is generated
                allowed = bool(GENERATED.fullmatch(match[2])) or (
                    system is not None and re.fullmatch(system, match[2])
                )
            if not allowed:
                line = text.count("\n", 0, match.start()) + 1
                yield path, line, f"{rule}* may not include {target or match[2]}"


# --- Sizes --------------------------------------------------------------------

MAX_LINES = 600
MAX_HEADER_LINES = 200
MAX_FUNCTION_LINES = 120
# A public header that documents each field of a whole ABI in one place.
LONG_HEADERS = ("include/uapi/",)

# "...) {" with what may stand between; control statements are no functions
FUNCTION_HEAD = re.compile(r"\)\s*(?:const|noexcept|override|final|mutable|->\s*[\w:<>,&* ]+|\s)*$")
CONTROL = re.compile(r"(?:^|[;{}\s])(?:if|for|while|switch|catch|constexpr|\w*for_each\w*)\s*\($")


def function_sizes(text):
    """(first line, number of lines) of each function body in C or C++."""
    code = strip_comments(text)
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), code, flags=re.M)
    stack = []
    for match in re.finditer(r"[{}]", code):
        if match[0] == "{":
            before = code[max(0, match.start() - 2000) : match.start()].rstrip()
            stack.append(match.start() if is_function(before) else None)
        elif stack:
            start = stack.pop()
            if start is not None:
                first = code.count("\n", 0, start) + 1
                yield first, code.count("\n", start, match.start()) + 1


def is_function(before):
    """Whether the text before a "{" ends in a function's head."""
    head = FUNCTION_HEAD.search(before)
    if not head:
        return False
    depth = 0
    for at in range(head.start(), -1, -1):
        depth += {")": 1, "(": -1}.get(before[at], 0)
        if depth == 0:
            return not CONTROL.search(before[: at + 1])
    return False


def check_sizes(path, text):
    lines = text.count("\n")
    header = path.endswith((".h", ".hpp")) and not path.startswith(LONG_HEADERS)
    limit = MAX_HEADER_LINES if header else MAX_LINES
    if lines > limit:
        yield limit, f"{lines} lines, at most {limit}: split it by what it is about"
    if path.endswith(C_FAMILY):
        for line, size in function_sizes(text):
            if size > MAX_FUNCTION_LINES:
                yield line, f"function of {size} lines, at most {MAX_FUNCTION_LINES}"


# --- SPDX, white space --------------------------------------------------------

SPDX = "SPDX-License-Identifier: GPL-2.0-only"


CODE = C_FAMILY + (".py", ".sh", ".cmake", "CMakeLists.txt", "Makefile", "Kbuild")


def is_script(root, path):
    return path.endswith(".sh") or (root / path).read_bytes()[:9] == b"#!/bin/sh"


def has_no_suffix(path):
    return "." not in Path(path).name or path == ".ci/run"


def check_spdx(path, text):
    if not path.endswith(CODE) and not text.startswith("#!"):
        return
    lines = [*text.splitlines()[:2], "", ""]
    line = lines[1] if lines[0].startswith("#!") else lines[0]
    want = f"{SPDX} WITH Linux-syscall-note" if path.startswith("include/uapi/") else SPDX
    if line.removesuffix("*/").strip(" /*#") != want:
        yield 1, f'first line is not "{want}"'


def check_whitespace(path, text):
    tabs_indent = is_kernel_c(path)
    spaces_indent = path.endswith((".py", ".cpp", ".hpp", ".cmake", ".json", "CMakeLists.txt"))
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield number, "white space at the end of the line"
        if re.match(r"\s* \t", line):
            yield number, "blank before a tab"
        if tabs_indent and line.startswith(" " * 8):
            yield number, "indented with blanks, kernel style has tabs"
        if spaces_indent and re.match(r"\s*\t", line):
            yield number, "indented with a tab"
    if "\r" in text:
        yield 1, "carriage return"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no newline at the end of the file"


# --- Tools --------------------------------------------------------------------


def run_tool(command, pattern):
    # in build/, because checkpatch leaves a cache in the folder it runs in
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=REPO / "build"
    )
    found = False
    for line in (done.stdout + done.stderr).splitlines():
        match = re.match(pattern, line)
        if match:
            found = True
            yield match[1], int(match[2]), match[3]
    if done.returncode and not found:
        raise RuntimeError(f"{command[0]}: {done.stderr or done.stdout}")


def check_checkpatch(root, paths):
    """The kernel's own checker; what is ignored and why is in checkpatch.conf."""
    tool = REPO / "build" / "downloads" / "checkpatch" / "checkpatch.pl"
    if not tool.exists():
        raise RuntimeError(f"{tool} is missing: run `make setup`")
    lines = (HERE / "checkpatch.conf").read_text().splitlines()
    ignored = [line.split() for line in lines if line and not line.startswith("#")]
    options = [f"--ignore={words[0]}" for words in ignored if len(words) == 1]
    command = [str(tool), "--no-tree", "--strict", "--terse", "--show-types", "--no-summary"]
    command += ["--max-line-length=100", f"--typedefsfile={HERE}/typedefs", *options, "-f"]
    pattern = rf"{re.escape(str(root))}/([^:]+):(\d+): (.*)"
    for path, line, message in run_tool([*command, *(f"{root}/{p}" for p in paths)], pattern):
        here = any(w[1:] == [path] and f":{w[0]}:" in message for w in ignored)
        if not here and not has_exponent(root / path, line, message):
            yield path, line, message


def has_exponent(path, line, message):
    """checkpatch takes the exponent of 1e-6f or 0x1p-24f for a subtraction."""
    text = path.read_text().splitlines()[line - 1]
    return ":SPACING:" in message and re.search(r"\b(0x[\da-f.]+p|\d[\d.]*e)[-+]\d", text, re.I)


def check_clang_format(root, paths):
    command = ["clang-format", "--dry-run", "-Werror", f"--style=file:{REPO}/.clang-format"]
    pattern = rf"{re.escape(str(root))}/([^:]+):(\d+):\d+: error: (.*)"
    findings = run_tool([*command, *(f"{root}/{path}" for path in paths)], pattern)
    yield from sorted(set(findings))  # one per line is enough


def check_shellcheck(root, paths):
    scripts = [f"{root}/{path}" for path in paths if is_script(root, path)]
    # SC2154: variables that arrive from the environment of a guest
    command = ["shellcheck", "--severity=warning", "--exclude=SC2154", "--format=gcc"]
    pattern = rf"{re.escape(str(root))}/([^:]+):(\d+):\d+: (.*)"
    yield from run_tool([*command, *scripts], pattern)


# --- Commits ------------------------------------------------------------------

SUBJECT = re.compile(r"[a-zA-Z0-9_./,{} -]+: \S.*[^.]")


def check_subjects(subjects):
    for subject in subjects:
        if len(subject) > 72:
            yield f"{len(subject)} characters, at most 72: {subject}"
        elif not SUBJECT.fullmatch(subject) and not subject.startswith('Revert "'):
            yield f'not "scope: text": {subject}'


# --- The list -----------------------------------------------------------------

FLOAT = r"\b(float|double|_Float16|__bf16|__m(64|128|256|512)[di]?h?|_mm(256|512)?_\w+|\d+\.\d*[fF]?)(?!\w)"
C_OK = "// SPDX-License-Identifier: GPL-2.0-only\n"
LONG_BODY = "\tf();\n" * (MAX_FUNCTION_LINES + 5)

RULES = [
    Rule(
        "includes",
        suffix(*C_FAMILY),
        check_includes,
        bad=[
            ("kmod/engine/a.c", "#include <linux/slab.h>\n"),
            ("kmod/engine/a.c", "#include <string.h>\n"),
            ("kmod/math/a.c", "#include <math.h>\n"),
            ("kmod/device.c", "#include <stdio.h>\n"),
            ("bpf/a.bpf.c", "#include <uapi/llamux.h>\n"),
            ("agent/core/a.hpp", "#include <unistd.h>\n"),
            ("agent/validate/a.cpp", "#include <sys/stat.h>\n"),
            ("include/llamux/a.h", "#include <stdint.h>\n"),
            ("new_folder/a.c", "int x;\n"),
        ],
        good=[
            ("kmod/device.c", "#include <linux/fs.h>\n"),
            ("kmod/simd/a.c", "#include <immintrin.h>\n"),
            ("agent/kernel/a.cpp", '#include <unistd.h>\n#include "llamux.skel.h"\n'),
            ("agent/core/a.hpp", "#include <string_view>\n"),
        ],
    ),
    Rule(
        "float-border",
        lambda p: is_kernel_c(p) and not p.startswith(("kmod/math/", "kmod/simd/")),
        by_line(FLOAT, "{} outside kmod/math and kmod/simd", code_only=True),
        bad=[
            ("kmod/engine/a.c", "static float x;\n"),
            ("kmod/device.c", "u32 f(double y);\n"),
            ("kmod/engine/a.h", "__m256i v;\n"),
            ("bpf/a.bpf.c", "int x = 0.5 * 2;\n"),
            ("kmod/engine/a.c", "_mm256_setzero_si256();\n"),
        ],
        good=[
            ("kmod/engine/a.c", '/* a float in 0.5 */ f("float"); // double\nint double_tap;\n'),
            ("kmod/math/a.c", "float x = 0.5f;\n"),
        ],
    ),
    Rule(
        "kernel-seam",
        lambda p: is_kernel_c(p) and not p.startswith(("kmod/engine/port", "include/uapi/")),
        by_line(r"\b__KERNEL__\b", "{} outside the seam (kmod/engine/port*.h)", code_only=True),
        bad=[("kmod/engine/a.c", "#ifdef __KERNEL__\n"), ("include/llamux/a.h", "#ifdef __KERNEL__\n")],
        good=[("kmod/engine/port.h", "#ifdef __KERNEL__\n")],
    ),
    Rule(
        "kernel-version",
        lambda p: is_kernel_c(p) and p not in ("kmod/compat.h", "kmod/engine/port_kernel.h"),
        by_line(r"\bLINUX_VERSION_CODE\b", "{} outside kmod/compat.h", code_only=True),
        bad=[("kmod/device.c", "#if LINUX_VERSION_CODE < 1\n")],
        good=[("kmod/compat.h", "#if LINUX_VERSION_CODE < 1\n")],
    ),
    Rule(
        "checkpatch",
        is_kernel_c,
        check_checkpatch,
        bad=[
            ("kmod/a.c", C_OK + "\nvoid f(void)\n{\n\tif(x)\n\t\tg();\n}\n"),
            ("kmod/a.c", C_OK + "void f(void)\n{\n\tif (x == 1)\n\t{\n\t\tg();\n\t}\n}\n"),
        ],
        good=[
            ("kmod/a.c", C_OK + "\nint f(void)\n{\n\treturn 1;\n}\n"),
            ("kmod/math/a.c", C_OK + "\nstatic const float x = 2.12e-4f, y = 0x1p-3f;\n"),
        ],
    ),
    Rule(
        "clang-format",
        is_cpp,
        check_clang_format,
        bad=[("agent/a.cpp", "int  f( ){return 1;}\n")],
        good=[("agent/a.cpp", "int f() {\n    return 1;\n}\n")],
    ),
    Rule(
        "shellcheck",
        lambda p: p.endswith(".sh") or has_no_suffix(p),
        check_shellcheck,
        bad=[("tests/a.sh", "#!/bin/sh\nrm -rf $(cat x)/$y\n"), ("tests/a", "#!/bin/sh\nif\n")],
        good=[("tests/a.sh", '#!/bin/sh\necho "$1"\n')],
    ),
    Rule(
        "spdx",
        lambda p: p.endswith(CODE) or has_no_suffix(p),
        by_text(check_spdx),
        bad=[
            ("tests/a", "#!/usr/bin/python3\n"),
            ("kmod/a.c", "int x;\n"),
            ("agent/a.cpp", "// SPDX-License-Identifier: MIT\n"),
            ("tests/a.sh", f"#!/bin/sh\necho\n# {SPDX}\n"),
            ("include/uapi/a.h", f"/* {SPDX} */\n"),
        ],
        good=[
            ("kmod/a.c", C_OK),
            ("tests/a.sh", f"#!/bin/sh\n# {SPDX}\n"),
            ("include/uapi/a.h", f"/* {SPDX} WITH Linux-syscall-note */\n"),
        ],
    ),
    Rule(
        "sizes",
        suffix(".py", *C_FAMILY),
        by_text(check_sizes),
        bad=[
            ("kmod/a.c", "x\n" * (MAX_LINES + 1)),
            ("kmod/a.h", "x\n" * (MAX_HEADER_LINES + 1)),
            ("kmod/a.c", "int f(int x)\n{\n" + LONG_BODY + "}\n"),
            ("agent/a.cpp", "namespace a {\nauto C::f() const -> int {\n" + LONG_BODY + "}\n}\n"),
        ],
        good=[
            ("kmod/a.c", "x\n" * MAX_LINES),
            ("kmod/a.c", "static const int table[] = {\n" + "\t1,\n" * 200 + "};\n"),
            ("agent/a.cpp", "namespace a {\n" + "int f();\n" * 200 + "}\n"),
        ],
    ),
    Rule(
        "todo",
        lambda p: is_text(p) and p != "tests/lint/rules.py",
        by_line(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))", "{} without an issue: TODO(#12)"),
        bad=[("kmod/a.c", "/* TODO: later */\n"), ("agent/a.cpp", "// FIXME\n")],
        good=[("kmod/a.c", "/* TODO(#12): later */\n")],
    ),
    Rule(
        "no-dead-code",
        suffix(*C_FAMILY),
        by_line(r"^\s*#\s*if\s+0\b", "{}: delete it, git remembers"),
        bad=[("kmod/a.c", "#if 0\n")],
        good=[("kmod/a.c", "#if 0x10 > BITS\n")],
    ),
    Rule(
        "whitespace",
        is_text,
        by_text(check_whitespace),
        bad=[
            ("kmod/a.c", "x \n"),
            ("kmod/a.c", "        x\n"),
            ("kmod/a.c", " \tx\n"),
            ("agent/a.cpp", "\tx\n"),
            ("docs/a.md", "x\r\n"),
            ("docs/a.md", "x"),
        ],
        good=[("kmod/a.c", "\tx\n"), ("agent/a.cpp", "    x\n"), ("Makefile", "\tx\n")],
    ),
    Rule(
        "machine-paths",
        lambda p: is_text(p) and p != "tests/lint/rules.py",
        by_line(
            r"(?<![\w.}/])/(work|root|home/\w+|Users/\w+|builds)/[\w.]",
            "{}: a path of the machine it was written on",
        ),
        bad=[("docs/a.md", "cd /home/jane/llamux\n"), ("tests/a.sh", "x=/builds/llamux\n")],
        good=[("docs/a.md", "/proc/llamux /sys/fs and upper/work/dir\n")],
    ),
]
