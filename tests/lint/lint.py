#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Checks that the tree keeps the rules of the house; each rule is a ctest case.

  lint.py RULE...      check the files git knows or would add (no RULE: all)
  lint.py --list       the names of the rules
  lint.py --selftest   every rule rejects its bad samples and accepts the good

Exit status 1 and one "file:line: rule: message" per finding.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
from rules import REPO, RULES, check_subjects  # noqa: E402

COMMITS = "commits"


def git(*words):
    command = ["git", "-c", "safe.directory=*", "-C", str(REPO), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"lint: {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def tree():
    names = git("ls-files", "-co", "--exclude-standard", "-z").split("\0")
    return sorted(n for n in names if n and (REPO / n).is_file() and not (REPO / n).is_symlink())


def check(rule):
    paths = [path for path in tree() if rule.applies(path)]
    # nothing to check is a mistake in applies(), not a success
    findings = list(rule.check(REPO, paths)) if paths else [("lint", 0, "no file to check")]
    for path, line, message in findings:
        print(f"{path}:{line}: {rule.name}: {message}")
    print(f"{rule.name}: {len(paths)} files, {len(findings)} findings")
    return not findings


def check_commits():
    subjects = git("log", "--no-merges", "--format=%s", "HEAD").splitlines()
    findings = list(check_subjects(subjects))
    for finding in findings:
        print(f"commit: {finding}")
    print(f"{COMMITS}: {len(subjects)} subjects, {len(findings)} findings")
    return not findings


def finds(rule, path, text):
    """Whether the rule, as used on the tree, objects to this sample."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, newline="")
        if path == "bpf/a.bpf.c":
            (root / "include/uapi").mkdir(parents=True)
            (root / "include/uapi/llamux.h").touch()
        return rule.applies(path) and bool(list(rule.check(root, [path])))


def selftest():
    wrong = 0
    for rule in RULES:
        if not rule.bad or not rule.good:
            wrong += 1
            print(f"{rule.name}: has no samples")
        for verdict, samples in ((True, rule.bad), (False, rule.good)):
            for path, text in samples:
                if finds(rule, path, text) != verdict:
                    wrong += 1
                    print(f"{rule.name}: {'misses' if verdict else 'rejects'} {path}: {text[:60]!r}")
    for subject in ("no scope", "a: " + "x" * 70, "scope: ends in a dot.", "scope:text"):
        if not list(check_subjects([subject])):
            wrong += 1
            print(f"{COMMITS}: misses {subject!r}")
    if list(check_subjects(["tests/vm: do one thing", 'Revert "a: b"'])):
        wrong += 1
        print(f"{COMMITS}: rejects a good subject")
    samples = sum(len(rule.bad) + len(rule.good) for rule in RULES)
    print(f"selftest: {len(RULES) + 1} rules, {samples} samples, {wrong} wrong")
    return wrong == 0


def main(words):
    names = [rule.name for rule in RULES] + [COMMITS]
    if words == ["--list"]:
        print(*names, sep="\n")
        return 0
    if words == ["--selftest"]:
        return 0 if selftest() else 1
    for word in words:
        if word not in names:
            sys.exit(f"lint: no rule {word}; there are: {' '.join(names)}")
    wanted = words or names
    good = [check(rule) for rule in RULES if rule.name in wanted]
    if COMMITS in wanted:
        good.append(check_commits())
    return 0 if all(good) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except RuntimeError as error:
        sys.exit(f"lint: {error}")
