#!/usr/bin/env python3
"""The times and counts of `trapline stat --json` a second time, from docs/stat.md alone: prints what does not agree.

`stat.py TRACE JSON`, with a trace that has all records. Each process has its life as a list of spans here, and every
duration is kept, so quantiles are exact.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from reader import head, records

# Numbers of abi/src/record.rs and abi/src/syscall.rs.
KINDS = {1: "boot", 6: "filled", 7: "trap", 9: "call", 10: "result", 11: "tick", 12: "armed", 13: "saved", 14: "loaded"}
KINDS |= {15: "leave", 17: "wake", 19: "killed", 22: "idle", 30: "wake"}
REASONS = ("preempted", "yielded", "slept", "ended", "idle", "blocked")
# The calls of Linux, and the one of Trapline.
CALLS = {*range(335), *range(424, 463), 1024}
SYSCALL, INT80, EXCEPTIONS, READY, PERIODIC, HOST_STOP = 0xFE, 0x80, 32, 9, 0, 131


class Life:
    """What a process did and when; also the kernel itself, and whoever has the CPU when neither has."""

    def __init__(self):
        self.spans, self.state, self.since, self.trap, self.is_awake = [], None, 0, None, False
        self.counts, self.traps = Counter(), []

    def turn(self, state, now):
        if self.state:
            self.spans.append((self.state, now - self.since))
        self.state, self.since = state, now

    def spent(self, *states, first=0):
        return sum(time for state, time in self.spans[first:] if state in states)


class Traps:
    """The traps of a vector, or the calls of a number."""

    def __init__(self):
        self.count, self.errors, self.times, self.ready, self.asleep = 0, 0, [], 0, 0


class Run:
    def __init__(self, data):
        self.lives, self.vectors, self.calls = defaultdict(Life), defaultdict(Traps), defaultdict(Traps)
        self.kernel, self.system, self.ticks, self.asked = self.lives[0], Life(), 0, 0
        self.whole, self.save_to_load, self.wait, self.period, self.jitter = defaultdict(list), [], [], [], []
        self.saved_at = self.leaving = self.last_tick = self.due = self.reload = stop = None
        for origin, number, self.now, kind, process, detail, words in records(data):
            if origin == 0 and number == 0:
                self.system.turn("boot", self.now)
            if kind in KINDS:
                getattr(self, KINDS[kind])(self.lives[process], process, detail, words)
            if origin == 0:
                last = self.now
            elif kind == HOST_STOP:
                stop = self.now
        for life in (self.system, *self.lives.values()):
            life.turn(None, max(last, stop or 0))
        del self.lives[0]

    def take_cpu(self, life, state):
        self.system.turn(None, self.now)
        life.turn(state, self.now)

    def boot(self, life, _process, step, _words):
        if step == READY:
            self.take_cpu(life, "scheduler")

    def idle(self, life, *_):
        self.take_cpu(life, "idle")

    def filled(self, life, *_):
        life.turn("ready", self.now)

    def trap(self, life, process, _detail, words):
        # The frame: its address, 15 registers, the vector.
        vector = words[16]
        self.take_cpu(life, "kernel" if process else "scheduler")
        life.trap = {"vector": vector, "entered": self.now, "first": len(life.spans), "of": [self.vectors[vector]]}
        self.vectors[vector].count += 1
        life.counts["faults"] += vector < EXCEPTIONS

    def call(self, life, _process, _detail, words):
        call = self.calls[words[0] if words[0] in CALLS else None]
        call.count += 1
        life.counts["system_calls"] += 1
        life.trap["of"].append(call)

    def result(self, life, _process, _detail, words):
        if words[0] >= (1 << 64) - 4095:
            life.counts["errors"] += 1
            self.killed(life)

    def killed(self, life, *_):
        for traps in () if life.trap.get("failed") else life.trap["of"]:
            traps.errors += 1
        life.trap["failed"] = True

    def end_trap(self, life):
        states = ("kernel", "scheduler"), ("ready",), ("asleep",)
        kernel, ready, asleep = (life.spent(*state, first=life.trap["first"]) for state in states)
        life.traps.append(kernel)
        for traps in life.trap["of"]:
            traps.times.append(kernel)
            traps.ready, traps.asleep = traps.ready + ready, traps.asleep + asleep
        life.trap = None

    def leave(self, life, process, *_):
        self.take_cpu(life, "user" if process else "scheduler")
        if life.trap:
            self.end_trap(life)
        if process and self.leaving:
            reason, entered = self.leaving
            self.whole[reason].append(self.now - entered)
            self.leaving = None

    def saved(self, life, _process, reason, _words):
        reason = REASONS[reason]
        sleeps = "ready" if life.is_awake else "asleep"
        waits = {"ended": None, "idle": None, "slept": sleeps, "blocked": sleeps}.get(reason, "ready")
        life.is_awake, self.saved_at = False, self.now
        life.turn(waits, self.now)
        self.system.turn("switching", self.now)
        self.leaving = (reason, life.trap["entered"]) if life.trap else None
        if reason == "ended":
            self.end_trap(life)

    def loaded(self, life, process, *_):
        self.save_to_load.append(self.now - self.saved_at)
        life.counts["turns"] += 1
        if not process:
            self.leaving = None
        elif life.state == "ready":
            self.wait.append(self.now - life.since)
        self.take_cpu(life, "kernel" if process else "scheduler")

    def wake(self, life, *_):
        if life.state == "asleep":
            life.turn("ready", self.now)
        else:
            life.is_awake = True

    def armed(self, _life, _process, timer, words):
        self.asked, self.due = words[1], self.now + words[1]
        self.reload = words[1] if timer == PERIODIC else None

    def tick(self, life, *_):
        self.ticks += 1
        life.counts["ticks"] += 1
        if self.last_tick is not None:
            self.period.append(self.now - self.last_tick)
        if self.due is not None:
            self.jitter.append(abs(self.now - self.due))
        self.last_tick, self.due = self.now, self.reload and self.now + self.reload


def in_form(run, khz):
    """The numbers in the form of the JSON."""

    def ns(cycles):
        return cycles * 1_000_000 // khz if khz else 0

    def spent(life, *states):
        return {f"{state}_ns": ns(life.spent(state)) for state in states}

    def times(times):
        count, total, times = len(times), ns(sum(times)), sorted(times) or [0]
        # Of n, the smallest that q percent do not exceed has the rank nq/100, rounded up.
        form = {f"p{q}_ns": ns(times[max(0, -(-count * q // 100) - 1)]) for q in (50, 90, 99)}
        return form | {"count": count, "total_ns": total, "mean_ns": total // max(count, 1), "max_ns": ns(times[-1])}

    def traps(of):
        waits = {"ready_ns": ns(of.ready), "asleep_ns": ns(of.asleep)}
        return {"count": of.count, "errors": of.errors, "kernel": times(of.times)} | waits

    def process(life):
        counts = {key: life.counts[key] for key in ("system_calls", "errors", "faults", "ticks", "turns")}
        return counts | {"traps": times(life.traps)} | spent(life, "user", "kernel", "ready", "asleep")

    user, kernel = (ns(sum(life.spent(state) for life in run.lives.values())) for state in ("user", "kernel"))
    own = spent(run.kernel, "scheduler", "idle") | spent(run.system, "boot", "switching", "unknown")
    switches = {"save_to_load": run.save_to_load, "wait": run.wait}
    return {
        "cpu": {"programs_ns": user, "kernel_ns": kernel} | own,
        "system_calls": {number: traps(of) for number, of in run.calls.items()},
        "traps": {vector: traps(of) for vector, of in run.vectors.items()},
        "processes": {number: process(life) for number, life in run.lives.items()},
        "switches": {name: times(of) for name, of in switches.items()}
        | {"count": len(run.save_to_load), "whole": {reason: times(of) for reason, of in run.whole.items()}},
        "ticks": {"period": times(run.period), "jitter": times(run.jitter)}
        | {"count": run.ticks, "asked_ns": ns(run.asked)},
    }


def leaves(value, path):
    """Each number by where it stands; what is in a list by its number or vector."""
    if isinstance(value, list):
        value = {one.pop("number", None) if "number" in one else one.pop("vector"): one for one in value}
    if isinstance(value, dict):
        for key in value.keys() - {"name", "end", "histogram"}:
            yield from leaves(value[key], f"{path}.{key}")
    else:
        yield path, value


def agree(path, ours, theirs):
    """A nanosecond is rounding, and quantiles are true to a part in a thousand."""
    if not path.endswith("_ns") or None in (ours, theirs):
        return ours == theirs
    return -1 <= theirs - ours <= 1 + ours * bool(re.search(r"\.p\d+_ns$", path)) / 1000


data, theirs = (Path(path).read_bytes() for path in sys.argv[1:3])
form = in_form(Run(data), head(data)["tsc_khz"])
theirs = json.loads(theirs)["traces"][0]
ours, theirs = (dict(leaves({section: of[section] for section in form}, "stat")) for of in (form, theirs))
for path in sorted(ours.keys() | theirs.keys()):
    if not agree(path, ours.get(path), theirs.get(path)):
        print(f"{path}: {ours.get(path)}, stat has {theirs.get(path)}")
print(f"{len(theirs)} numbers")
