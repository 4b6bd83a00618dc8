# SPDX-License-Identifier: GPL-2.0-only
"""Trials of the fault suite -> judgement, table, plot. Pure but for the plot's file.

What is felt is the 99th percentile of the response time in each of the last
seconds of a trial; lower is better. An improvement is 1 - median(runner) /
median(no-op), so 0.5 is half the response time and below 0 is harm. Intervals
are 95 % bootstrap percentiles: of one trial over its seconds, in blocks of two
because a second's queue is the next one's; of a mean over its scenarios.

What a kept change is worth is read from the oracle's trial of the very same change,
which is compared with the same load seconds before and after it; two trials of one
scenario differ by more than most changes do, on a busy host.

A trial in which the kernel killed the load (out of memory) is compared with none: what
is felt is then that the fault is gone, and what it cost is not.
"""
import random
import re
import statistics
from pathlib import Path

from scenarios import BY_NAME

BLOCK = 2
DRAWS = 1000
HEADER = Path(__file__).resolve().parents[2] / "include/llamux/actions.h"
# The runners that choose, in the order of the table.
CHOOSERS = ("random", "rules", "model")
# By how much the p99 of two trials differs in which nothing was changed.
BETWEEN_TRIALS = 0.15
# What is wanted: at least or, of times, at most.
WANTED = {"cause": 0.90, "right": 0.90, "no_op_healthy": 0.98, "of_oracle": 0.85, "kept_after_s": 15, "rank_ms": 300}


def causes_by_words(text=None):
    """{"another group takes the cpu": "CPU_CONTENTION", ...}"""
    text = HEADER.read_text() if text is None else text
    table = text[text.index("#define LLAMUX_CAUSES(X)") :].split("\n\n")[0]
    return {words: name for name, words in re.findall(r'X\((\w+), "([^"]+)"\)', table)}


# ---- one trial -----------------------------------------------------------------


def felt_us(second):
    """A second without a single answer is one in which everybody waited for all of it."""
    return second["p99_us"] if second["done"] else max(1_000_000, second["p99_us"])


def judged_seconds(trial):
    """A service that swaps may not even get to counting: nobody was answered then."""
    felt = [felt_us(second) for second in trial["seconds"] if second["at"] > trial["judged_from"]]
    return felt or [1_000_000]


def resampled(values, draw):
    """As many values, drawn in blocks."""
    starts = max(1, len(values) - BLOCK + 1)
    out = []
    while len(out) < len(values):
        at = draw.randrange(starts)
        out += values[at : at + BLOCK]
    return out[: len(values)]


def interval(values):
    ordered = sorted(values)
    return ordered[int(0.025 * len(ordered))], ordered[int(0.975 * (len(ordered) - 1))]


def improvement(without, with_it, seed=1):
    """(estimate, low, high) of 1 - median(with) / median(without)."""
    draw = random.Random(seed)

    def of(a, b):
        return 1 - statistics.median(b) / max(statistics.median(a), 1)

    draws = [of(resampled(without, draw), resampled(with_it, draw)) for _ in range(DRAWS)]
    return of(without, with_it), *interval(draws)


def onset_of(trial):
    """When the fault began: with the load, or before all else where there is none."""
    scenario = BY_NAME[trial["scenario"]]
    return trial["onset"] if scenario.load or scenario.asks else 0


def action_of(candidate):
    return candidate["knob"], candidate["direction"], candidate["cgroup"]


def is_change(candidate):
    return bool(candidate) and candidate["direction"] != "keep"


def seen(trial, words):
    """(causes, candidate) of the first change that was written, or else of the first that was
    suggested: what the agent does not see again it drops. Without one, of the first trouble."""
    if "facts" in trial:
        causes = [fact["cause"] for fact in trial["facts"]]
        chosen = trial.get("suggested")
        return causes, chosen if is_change(chosen) else None
    written = [e["change"]["plan"]["id"] for e in changes(trial, "applied")][:1]
    before_it = [e["suggestion"] for e in trial["events"]
                 if "suggestion" in e and e["suggestion"]["id"] in written]  # fmt: skip
    for suggestion in before_it or suggestions(trial):
        causes = [fact["cause"] for fact in suggestion["facts"]]
        return causes, suggestion["candidates"][suggestion["chosen"]]
    for event in trial["events"]:
        if event["event"] == "trouble" and event["at"] >= onset_of(trial):
            return [name for text, name in words.items() if event["text"].startswith(text)], None
    return [], None


def suggestions(trial):
    return [e["suggestion"] for e in trial["events"] if "suggestion" in e and e["at"] >= onset_of(trial)]


def changes(trial, state):
    return [e for e in trial["events"] if e["event"] == state and e["at"] > onset_of(trial)]


def judge_choice(scenario, trial, words):
    """What a choosing runner saw, did and left in force."""
    causes, chosen = seen(trial, words)
    kept = changes(trial, "kept")
    return {
        "causes": causes,
        "cause_found": bool(set(causes) & set(scenario.causes)) or (
            not causes and "NONE" in scenario.causes
        ),
        "chosen": action_of(chosen) if chosen else None,
        "right": (action_of(chosen) in scenario.actions) if chosen else not scenario.actions,
        "kept": [action_of(e["change"]["plan"]) for e in kept],
        "undone": len(changes(trial, "undone")),
        "kept_after_s": kept[0]["at"] - onset_of(trial) if kept else None,
        "rank_ms": [s["rank_ns"] / 1e6 for s in suggestions(trial) if s["ranked_by"] == "model"],
    }  # fmt: skip


def judge_oracle(trial):
    """Each candidate's improvement, best first."""
    out = []
    for tried in trial.get("trials", ()):

        def seconds_in(windows):
            return [felt_us(s) for s in trial["seconds"] if any(a < s["at"] <= b for a, b in windows)]

        effect = improvement(seconds_in(tried["without"]), seconds_in(tried["with"]))
        candidate = tried["candidate"]
        out.append({"action": action_of(candidate), "phrase": candidate["phrase"],
                    "improvement": effect})  # fmt: skip
    return sorted(out, key=lambda item: -item["improvement"][0])


# ---- to learn from -------------------------------------------------------------

NO_CHANGE = "no change"  # the phrase of the candidate that is always there


def episodes(recorded):
    """Measured effects as models/pilot/train.py reads them: one for each recorded scenario.

    recorded: {kernel: {scenario: what gym --record has kept}}. Right is what helped most,
    by more than chance; where nothing did, it is to change nothing.
    """
    out = []
    for series, scenarios in recorded.items():
        for name, found in sorted(scenarios.items()):
            tried = found["candidates"]
            if not tried or not found["prompt"]:
                continue
            helpful = [c for c in tried if c["improvement"][1] > 0]
            best = max(helpful, key=lambda c: c["improvement"][0])["phrase"] if helpful else NO_CHANGE
            phrases = [c["phrase"] for c in tried] + [NO_CHANGE]
            sample = {"kind": "advise", "class": found["causes"][0], "segments": [found["prompt"]],
                      "target": f" {best}", "candidates": [f" {phrase}" for phrase in phrases]}  # fmt: skip
            out.append({"scenario": f"{series} {name}", "samples": [sample]})
    return out


# ---- all of a kernel -----------------------------------------------------------


def worth(row, effects):
    """Of what the runner kept: the oracle's improvement, 0 for nothing, None where unknown."""
    if not row["kept"]:
        return (0.0, 0.0, 0.0)
    return effects.get(row["kept"][0])


def oracle_rows(trials, recorded):
    """A row for each scenario whose candidates were tried: by these trials, or earlier."""
    rows = [
        {"scenario": trial["scenario"], "runner": "oracle", "seed": trial.get("seed"),
         "release": trial.get("kernel", ""), "prompt": trial.get("prompt", ""),
         "causes": [fact["cause"] for fact in trial.get("facts", ())], "candidates": judge_oracle(trial)}
        for trial in trials if trial["runner"] == "oracle" and not trial.get("failed")
    ]  # fmt: skip
    done = {row["scenario"] for row in rows}
    for scenario, found in recorded.items():
        if scenario not in done:
            tried = [{**c, "action": tuple(c["action"]), "improvement": tuple(c["improvement"])}
                     for c in found["candidates"]]
            rows.append({"scenario": scenario, "runner": "oracle", "recorded": found["date"],
                         "candidates": tried})  # fmt: skip
    return rows


def was_killed(trial):
    """Service or load."""
    return bool(trial.get("died"))


def base_of(bases, number):
    """The one of the same number, or the last, or None."""
    done = [base for base in bases or () if not base.get("failed")]
    return done[min(number, len(done) - 1)] if done else None


def compared(base, trial, key):
    """{key: improvement over the base}; {} where they cannot be compared."""
    if base is None or was_killed(base) or was_killed(trial):
        return {}
    return {key: improvement(judged_seconds(base), judged_seconds(trial))}


def judge(trials, recorded):
    """Trials of one kernel -> rows, one for each scenario and runner that has a result.

    recorded: of the oracle, {scenario: what gym --record has kept of it}.
    """
    words = causes_by_words()
    grouped = {}
    for trial in trials:
        grouped.setdefault((trial["scenario"], trial["runner"]), []).append(trial)
    rows = oracle_rows(trials, {name: of for name, of in recorded.items()
                                if any(t["scenario"] == name for t in trials)})  # fmt: skip
    effects = {}
    for row in rows:
        known = effects.setdefault(row["scenario"], {})
        known |= {item["action"]: item["improvement"] for item in row["candidates"]}
    for (name, runner), same in grouped.items():
        scenario = BY_NAME[name]
        for number, trial in enumerate(same):
            row = {"scenario": name, "runner": runner, "seed": trial.get("seed")}
            if trial.get("failed"):
                rows.append(row | {"failed": trial["failed"]})
                continue
            if runner == "oracle":
                continue
            rows.append(row)
            row["p99_ms"] = statistics.median(judged_seconds(trial)) / 1000
            row["killed"] = was_killed(trial)
            untouched = base_of(grouped.get((name, "no-op")), number)
            if runner != "no-op":
                row |= compared(untouched, trial, "improvement")
            if runner == "model":
                row |= compared(base_of(grouped.get((name, "rules")), number), trial, "against_rules")
            if runner in CHOOSERS:
                row |= judge_choice(scenario, trial, words)
                row["worth"] = worth(row, effects.get(name, {}))
                measured = row["worth"] or row.get("improvement")
                killed_by_it = row["killed"] and not (untouched and was_killed(untouched))
                row["harmful"] = bool(row["kept"] and (killed_by_it or (measured and measured[2] < 0)))
    return rows


def best_of_oracle(rows):
    """{scenario: improvement of the best candidate}, where it is more than noise."""
    out = {}
    for row in rows:
        if row["runner"] == "oracle" and row.get("candidates"):
            best = row["candidates"][0]["improvement"]
            if best[1] > 0:
                out[row["scenario"]] = max(best[0], out.get(row["scenario"], 0))
    return out


def share(rows, what):
    """(how many, of how many) rows for which what(row) is true; None: not counted."""
    answers = [answer for answer in map(what, rows) if answer is not None]
    return sum(map(bool, answers)), len(answers)


def mean_interval(values, seed=1):
    if not values:
        return None
    draw = random.Random(seed)
    draws = [statistics.fmean(draw.choices(values, k=len(values))) for _ in range(DRAWS)]
    return statistics.fmean(values), *interval(draws)


def is_worse(effect):
    return bool(effect) and effect[2] < 0 and effect[0] < -BETWEEN_TRIALS


def summarise(rows):
    """{runner: figures}; see docs/GYM.md for what each means."""
    best = best_of_oracle(rows)
    out = {}
    for runner in (*CHOOSERS, "tuned"):
        mine = [row for row in rows if row["runner"] == runner and "failed" not in row]
        if not mine:
            continue
        of = [BY_NAME[row["scenario"]] for row in mine]
        figures = out[runner] = {"trials": len(mine)}
        curable = [row for row in mine if row["scenario"] in best]
        figures["improvement"] = mean_interval(
            [row["improvement"][0] for row in curable if "improvement" in row]
        )
        if runner == "tuned":
            continue
        known = [row for row in curable if row["worth"]]
        figures["worth"] = mean_interval([row["worth"][0] for row in known])
        figures["of_oracle"] = mean_interval([row["worth"][0] / best[row["scenario"]] for row in known])
        pairs = list(zip(mine, of, strict=True))
        figures |= {
            "cause": share(pairs, lambda p: p[0]["cause_found"]),
            "right": share(pairs, lambda p: p[0]["right"] if p[1].tunable else None),
            "left_alone": share(
                pairs, lambda p: None if p[1].tunable or p[1].healthy else not p[0]["chosen"]
            ),
            "no_op_healthy": share(pairs, lambda p: not p[0]["chosen"] if p[1].healthy else None),
            "kept": sum(len(row["kept"]) for row in mine),
            "harmful": sum(row["harmful"] for row in mine),
            "kept_after_s": [row["kept_after_s"] for row in mine if row["kept_after_s"] is not None],
            "rank_ms": [ms for row in mine for ms in row["rank_ms"]],
            "worse_than_rules": [row["scenario"] for row in mine if is_worse(row.get("against_rules"))],
        }
    return out


def ratings(scenario, trial):
    """[(probability, right)] of each choice that the model made after the onset."""
    out = []
    for suggestion in suggestions(trial):
        if suggestion["ranked_by"] != "model":
            continue
        chosen = suggestion["candidates"][suggestion["chosen"]]
        out.append((chosen["probability_permille"] / 1000, action_of(chosen) in scenario.actions))
    return out


def reliability(trials):
    """([(from, to, n, mean probability, right)], expected calibration error) of the model's choices."""
    rated = [rating for trial in trials if trial["runner"] == "model" and not trial.get("failed")
             for rating in ratings(BY_NAME[trial["scenario"]], trial)]  # fmt: skip
    bins = []
    error = 0
    for tenth in range(10):
        low, high = tenth / 10, (tenth + 1) / 10
        mine = [r for r in rated if low <= r[0] < high or (high == 1 and r[0] == 1)]
        if mine:
            sure = statistics.fmean(r[0] for r in mine)
            right = statistics.fmean(r[1] for r in mine)
            bins.append((low, high, len(mine), sure, right))
            error += len(mine) / len(rated) * abs(sure - right)
    return bins, error


def origin(made_with, recorded):
    """What the trials were made with, and when the oracle's were."""
    dates = sorted({f"{found['release']}, {found['date']}" for found in recorded.values()})
    parts = ", ".join(f"{part} {digest}" for part, digest in made_with.items())
    return f"Made with {parts}." + (f" Oracle recorded on {'; '.join(dates)}." if dates else "")


# ---- text ----------------------------------------------------------------------


def percent(effect):
    if effect is None:
        return "-"
    return f"{100 * effect[0]:.0f} % ({100 * effect[1]:.0f} to {100 * effect[2]:.0f})"


def short(action):
    return " ".join(word for word in action if word) if action else "no change"


def killed(row):
    return ", load killed" if row["killed"] else ""


def of(pair):
    return f"{pair[0]} of {pair[1]}" if pair[1] else "-"


def markdown(head, body):
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def summary_table(summary):
    body = []
    for runner, f in summary.items():
        chose = [of(f[key]) for key in ("cause", "right", "left_alone", "no_op_healthy")] + [
            f"{f['kept']}, {f['harmful']}",
            f"{statistics.median(f['kept_after_s']):.0f} s" if f["kept_after_s"] else "-",
            f"{statistics.median(f['rank_ms']):.0f} ms" if f["rank_ms"] else "-",
        ] if "cause" in f else ["-"] * 7  # fmt: skip
        body.append([runner, *chose, percent(f.get("worth")), percent(f.get("of_oracle")),
                     percent(f["improvement"])])  # fmt: skip
    return markdown(
        ["runner", "cause found", "right action", "left alone what has no cure", "no-op on healthy",
         "changes kept, harmful ones", "onset to kept", "ranking", "worth of what was kept", "share of the oracle's",
         "own trial against no-op's"],
        body,
    )  # fmt: skip


def goal_lines(f):
    """[(goal, wanted, what came out, whether it is met; None: nothing to tell from)]"""

    def part(key):
        n, total = f[key]
        return f"at least {WANTED[key]:.0%}", of(f[key]), n / total >= WANTED[key] if total else None

    def within(key, unit):
        in_time = sum(value <= WANTED[key] for value in f[key])
        met = in_time == len(f[key]) if f[key] else None
        return f"at most {WANTED[key]} {unit}", f"{of((in_time, len(f[key])))} in time", met

    oracle = f["of_oracle"]
    worse = f["worse_than_rules"]
    return [
        ("cause found", *part("cause")),
        ("right action, where there is one", *part("right")),
        ("no change on a healthy machine", *part("no_op_healthy")),
        ("harmful changes kept", "0", f["harmful"], f["harmful"] == 0),
        ("share of the oracle's improvement", f"at least {WANTED['of_oracle']:.0%}", percent(oracle),
         oracle[0] >= WANTED["of_oracle"] if oracle else None),
        ("onset to a kept change", *within("kept_after_s", "s")),
        ("the ranking itself", *within("rank_ms", "ms")),
        ("in its own trial worse than the rules", "nowhere", ", ".join(worse) or "nowhere", not worse),
    ]  # fmt: skip


def goal_table(f):
    words = {True: "yes", False: "no", None: "-"}
    body = [[goal, wanted, found, words[met]] for goal, wanted, found, met in goal_lines(f)]
    return markdown(["with the model", "wanted", "found", "met"], body)


def reliability_table(trials):
    bins, error = reliability(trials)
    body = [[f"{low:.0%} to {high:.0%}", n, f"{sure:.0%}", f"{right:.0%}"]
            for low, high, n, sure, right in bins]  # fmt: skip
    head = ["the model's probability", "choices", "mean probability", "right"]
    return f"{markdown(head, body)}\n\nExpected calibration error {error:.3f}."


def scenario_table(rows):
    names = list(dict.fromkeys(row["scenario"] for row in rows))
    body = []
    for name in names:
        by = {}
        for row in rows:
            if row["scenario"] == name:
                by.setdefault(row["runner"], row)
        untouched = by.get("no-op", {})
        line = [name, f"{untouched['p99_ms']:.0f}{killed(untouched)}" if "p99_ms" in untouched else "-"]
        model = by.get("model", {})
        line.append(", ".join(model.get("causes", [])) or "nothing" if "causes" in model else "-")
        for runner in (*CHOOSERS, "tuned"):
            row = by.get(runner)
            if row is None or "failed" in row:
                line.append(row["failed"] if row else "-")
                continue
            told = percent(row.get("improvement"))
            if runner in CHOOSERS:
                mark = "" if row["right"] else " (wrong)"
                kept = ", kept" if row["kept"] else ", undone" if row["undone"] else ""
                told = f"{short(row['chosen'])}{mark}{kept}; {told}"
            line.append(told + killed(row))
        oracle = by.get("oracle", {}).get("candidates")
        line.append(f"{short(oracle[0]['action'])}; {percent(oracle[0]['improvement'])}" if oracle else "-")
        body.append(line)
    return markdown(
        ["scenario", "p99 without, ms", "cause the model's run saw", "random", "rules", "model", "TuneD", "oracle"],
        body,
    )  # fmt: skip


def plot(rows_by_kernel, path):
    """Improvement by scenario and runner, a panel for each kernel."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runners = ("random", "rules", "model", "tuned")
    figure, panels = pyplot.subplots(
        len(rows_by_kernel), 1, figsize=(14, 5 * len(rows_by_kernel)), squeeze=False
    )
    for panel, (kernel, rows) in zip(panels[:, 0], rows_by_kernel.items(), strict=True):
        names = list(dict.fromkeys(row["scenario"] for row in rows))
        for number, runner in enumerate(runners):
            mine = {r["scenario"]: r["improvement"] for r in rows
                    if r["runner"] == runner and "improvement" in r}  # fmt: skip
            at = [names.index(name) + 0.2 * (number - 1.5) for name in mine]
            values = [max(-1, effect[0]) for effect in mine.values()]
            errors = [[max(0, v - max(-1, e[1])) for v, e in zip(values, mine.values(), strict=True)],
                      [max(0, e[2] - v) for v, e in zip(values, mine.values(), strict=True)]]  # fmt: skip
            panel.bar(at, values, 0.2, yerr=errors, label=runner, error_kw={"lw": 0.7})
        best = best_of_oracle(rows)
        panel.plot([names.index(name) for name in best], list(best.values()), "k_", ms=24,
                   label="oracle: best single change")  # fmt: skip
        panel.set_xticks(range(len(names)), names, rotation=35, ha="right")
        panel.axhline(0, color="black", lw=0.7)
        panel.set_ylim(-1.05, 1.05)
        panel.set_ylabel("less p99 than without (1: none left)")
        panel.set_title(f"Linux {kernel}: improvement of the response time, 95 % intervals")
        panel.legend(loc="lower left", ncols=5)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
