"""Vowpal Wabbit and Pelton learn the same clicks, in turns, on one core.

scripts/bench-peers runs it in a Python that has the package vowpalwabbit. The stream is the one of
`pelton bench learn`: 13 numbers as ln(1 + x), 26 categories, 2^22 weights, every event predicted
and then learned, one pass. Vowpal Wabbit reads its own binary cache, where parsing and hashing are
done; Pelton reads decoded columns and hashes. A missing number and a zero are left out of VW's
text: it has the fewer features to go through. CPU time is that of the pass alone, weights
allocated, without the start of Python and without `pelton generate`.
"""

import argparse
import csv
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

VW = {
    "vw": [],
    "vw --ftrl": ["--ftrl"],
    "vw --sgd": ["--sgd"],
}
PELTON = ["ftrl", "adagrad", "sgd", "auto"]
NUMBERS = slice(2, 15)
CATEGORIES = slice(15, 41)
LABEL = 41
VW_SHAPE = ["--loss_function", "logistic", "-b", "22", "--quiet"]


def convert(source, target):
    """Writes clicks from CSV as Vowpal Wabbit's text."""
    with open(source, newline="") as rows, open(target, "w") as out:
        reader = csv.reader(rows)
        next(reader)
        for row in reader:
            numbers = " ".join(
                f"i{i}:{math.log1p(int(x)):.6g}"
                for i, x in enumerate(row[NUMBERS], 1)
                if x not in ("", "0")
            )
            categories = " ".join(f"c{i}={x}" for i, x in enumerate(row[CATEGORIES], 1))
            label = "1" if row[LABEL] == "1" else "-1"
            out.write(f"{label} |n {numbers} |c {categories}\n")


def learn(text, cache, options):
    """One pass of Vowpal Wabbit, by the program's own reader; prints what it took."""
    from vowpalwabbit import Workspace

    cpu, wall = time.process_time(), time.perf_counter()
    vw = Workspace(arg_list=["-d", text, "--cache_file", cache, *VW_SHAPE, *options])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    loss = vw.get_sum_loss() / vw.get_weighted_examples()
    vw.finish()
    print(json.dumps({"cpu_seconds": cpu, "wall_seconds": wall, "log_loss": loss}))


def pinned(core, command):
    """The JSON that a command prints, run on one core."""
    ran = subprocess.run(["taskset", "-c", str(core), *command], check=True, stdout=subprocess.PIPE)
    return json.loads(ran.stdout)


def prepare(program, events, seed, folder):
    """The stream as text, and the cache that Vowpal Wabbit makes of it."""
    stream = folder / f"clicks-{events}-{seed}.csv"
    text, cache = stream.with_suffix(".vw"), stream.with_suffix(".cache")
    if not cache.exists():
        generate = ["generate", "clicks", "--events", str(events), "--seed", str(seed)]
        subprocess.run([program, *generate, "--output", stream], check=True, stdout=sys.stderr)
        convert(stream, text)
        stream.unlink()
        # Another name until it is whole: a cut-off cache would be a shorter stream.
        part = cache.with_suffix(".part")
        part.unlink(missing_ok=True)
        make = [sys.executable, __file__, "--learn", text, part]
        subprocess.run(make, check=True, stdout=sys.stderr)
        part.rename(cache)
    return text, cache


def turns(program, events, seed, rounds, core, folder):
    """Runs everyone in turns; events per CPU-second and log loss of each pass, by name."""
    text, cache = prepare(program, events, seed, folder)
    rates, losses = {}, {}
    for turn in range(rounds):
        for name, options in VW.items():
            command = [sys.executable, __file__, "--learn", text, cache, *options]
            pass_ = pinned(core, command)
            rates.setdefault(name, []).append(events / pass_["cpu_seconds"])
            losses[name] = pass_["log_loss"]
        for optimizer in PELTON:
            shape = ["--events", str(events), "--seed", str(seed), "--passes", "1", "--json"]
            command = [program, "bench", "learn", "--optimizer", optimizer, *shape]
            pass_ = pinned(core, command)
            name = f"pelton {optimizer}"
            rates.setdefault(name, []).append(pass_["events_per_cpu_second"])
            losses[name] = pass_["log_loss"]
        print(f"turn {turn + 1} of {rounds} done", file=sys.stderr)
    return rates, losses


def report(rates, losses, events, rounds, target):
    """Prints medians and ratios, and writes them."""
    medians = {name: statistics.median(of_passes) for name, of_passes in rates.items()}
    print(f"{'learner':<18}{'events/CPU-s':>14}{'log loss':>10}{'/ vw':>8}{'/ vw --ftrl':>13}")
    rows = {}
    for name, rate in medians.items():
        ratios = {peer: rate / medians[peer] for peer in ("vw", "vw --ftrl")}
        print(
            f"{name:<18}{rate:>14.0f}{losses[name]:>10.4f}"
            f"{ratios['vw']:>8.2f}{ratios['vw --ftrl']:>13.2f}"
        )
        rows[name] = {
            "events_per_cpu_second": rate,
            "of_each_pass": rates[name],
            "log_loss": losses[name],
            "ratio_to_vw": ratios["vw"],
            "ratio_to_vw_ftrl": ratios["vw --ftrl"],
        }
    import vowpalwabbit

    figures = {
        "bench": "peers",
        "events": events,
        "rounds": rounds,
        "weights": 1 << 22,
        "vowpalwabbit": vowpalwabbit.__version__,
        "learners": rows,
    }
    if target:
        target.write_text(json.dumps(figures) + "\n")


def main():
    if sys.argv[1:2] == ["--learn"]:
        text, cache, *options = sys.argv[2:]
        learn(text, cache, options)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True, help="the pelton to measure")
    parser.add_argument("--folder", required=True, type=pathlib.Path, help="for the stream")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=0, help="the core that all are pinned to")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file")
    given = parser.parse_args()
    run = turns(given.program, given.events, given.seed, given.rounds, given.core, given.folder)
    report(*run, given.events, given.rounds, given.json)


if __name__ == "__main__":
    main()
