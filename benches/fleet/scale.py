#!/usr/bin/env python3
"""Measures a fleet at scale on this machine, with agents that only stream, wait or answer at once.

    cargo build --release --locked
    benches/fleet/scale.py target/release/ccc [PART...]

Parts: commands (with 1,000 runs), new, burst (50 at once), limit (50 agents whose token is limited in the same second), stream (200
agents and the dashboard), idle (1,000 agents). Without one: all. Everything is in a new directory below TMPDIR, which is removed; nothing of the user's is read.

Own processes are those of the program under test without the agents. Memory is private memory (smaps_rollup), processor time is
utime and stime of all their threads over the measured seconds.
"""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
STREAMER = os.path.join(os.path.dirname(HERE), "night", "agent.py")
TICKS = os.sysconf("SC_CLK_TCK")


class World:
    """A repository, an empty home and an empty state directory."""

    def __init__(self, ccc):
        self.ccc = os.path.realpath(ccc)
        self.root = tempfile.mkdtemp(prefix="ccc-fleet-")
        for name in ("home", "state", "project"):
            os.mkdir(os.path.join(self.root, name), 0o700)
        self.project = os.path.join(self.root, "project")
        self.env = {
            "HOME": os.path.join(self.root, "home"), "CCC_STATE_DIR": os.path.join(self.root, "state"),
            "PATH": os.environ["PATH"], "CCC_USAGE_ENABLED": "0", "TERM": "xterm-256color",
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
        }
        git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.invalid"]
        for args in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "base"]):
            subprocess.run(git + args, cwd=self.project, env=self.env, check=True)
        # The agent notes when its process starts; what it does after that is not ccc's time.
        self.begun = os.path.join(self.root, "begun")
        self.quick = self.script("quick", f'date +%s%N >> {self.begun}; exec "{self.ccc}" scripted-agent "$@"')
        self.streamer = self.script("streamer", f'exec "{sys.executable}" "{STREAMER}" "$@"')

    def script(self, name, body):
        path = os.path.join(self.root, name)
        with open(path, "w") as file:
            file.write('#!/bin/sh\n[ "$1" = --version ] && { echo "2.1.332 (Claude Code)"; exit; }\n' + body + "\n")
        os.chmod(path, 0o755)
        return path

    def plays(self, steps):
        path = os.path.join(self.root, "script.json")
        with open(path, "w") as file:
            json.dump({"agent": [steps], "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]]}, file)
        self.env["CCC_SCRIPT"] = path
        self.env["CCC_SCRIPTED_HOME"] = os.path.join(self.root, "scripted")

    def run(self, *args, **more):
        return subprocess.run([self.ccc, *args], cwd=self.project, env={**self.env, **more}, capture_output=True, text=True)

    def own(self):
        """The pids of the program's processes that are no agents."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/exe") != self.ccc:
                    continue
                words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
                if b"scripted-agent" not in words:
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def until(self, what, limit_s=300):
        end = time.monotonic() + limit_s
        while not what():
            if time.monotonic() > end:
                raise SystemExit("it took too long")
            time.sleep(0.05)

    def active(self):
        return json.loads(self.run("status-line", "--json").stdout or "{}")

    def end(self):
        self.run("nuke", "--yes")
        for pid in self.own():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        subprocess.run(["pkill", "-KILL", "-f", self.root], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


def cpu_s(pids):
    total = 0
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return total / TICKS


def private_mb(pids):
    total = 0
    for pid in pids:
        try:
            text = open(f"/proc/{pid}/smaps_rollup").read()
        except OSError:
            continue
        total += sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+)", text, re.M))
    return total / 1024


def timed(world, *args, rounds=30):
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        done = world.run(*args)
        times.append((time.perf_counter() - begin) * 1000)
        assert done.returncode == 0, done.stderr
    return f"median {statistics.median(times):.1f} ms, most {max(times):.1f}"


def commands(world):
    runs = os.path.join(world.env["CCC_STATE_DIR"], "runs")
    os.makedirs(runs, mode=0o700, exist_ok=True)
    for number in range(1000):
        run = f"20261128-{10 + number // 3600:02}{number // 60 % 60:02}{number % 60:02}-aaaa"
        where = os.path.join(runs, run)
        os.mkdir(where, 0o700)
        files = {
            "agent.json": {"version": 1, "id": run, "name": f"a{number}", "role": "worker", "created_unix_ms": number, "project": "/p"},
            "run.json": {"version": 1, "id": run, "task": "do a lot of it", "cwd": "/t", "pid": 1, "started_unix_ms": 0,
                         "updated_unix_ms": 0, "phase": "ending", "iteration": 2, "restarts": 0, "rotations": 0, "waited_ms": 0,
                         "outcome": "completed"},
        }
        for name, content in files.items():
            with open(os.open(os.path.join(where, name), os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                json.dump(content, file)
        open(os.path.join(where, "lock"), "w").close()
    for args in (["--version"], ["list"], ["list", "--json"], ["tree"], ["status-line"]):
        print(f"ccc {' '.join(args)}, 1,000 runs: {timed(world, *args)}")


def new(world):
    world.plays([{"say": "Done."}])
    times, whole = [], []
    for number in range(20):
        begin = time.time_ns()
        done = world.run("new", "do it", "--agent", world.quick, "--name", f"n{number}")
        whole.append((time.time_ns() - begin) / 1e6)
        assert done.returncode == 0, done.stderr
        world.run("wait", f"n{number}")
        times.append((int(open(world.begun).read().split()[0]) - begin) / 1e6)
        os.remove(world.begun)
    print(f"ccc new, until the agent's process starts: median {statistics.median(times):.0f} ms, most {max(times):.0f}; "
          f"until it returns: median {statistics.median(whole):.0f} ms, most {max(whole):.0f}")


def burst(world):
    world.plays([{"say": "Done."}])
    begin = time.monotonic()
    args = [world.ccc, "new", "do it", "--agent", world.quick, *at_once(world)]
    started = [subprocess.Popen(args, cwd=world.project, env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(50)]
    said = [one.communicate() for one in started]
    taken = time.monotonic() - begin
    failed = [err for one, (_, err) in zip(started, said) if one.returncode != 0]
    ids = [out.decode().strip() for out, _ in said]
    ended = world.run("wait", *ids)
    print(f"50 ccc new at once: {50 - len(failed)} succeed in {taken:.1f} s, {ended.stdout.count('completed')} complete {failed[:1]}")


class Dashboard:
    """`ccc watch` on a terminal; notes how old each time is that it paints."""

    def __init__(self, world):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(world.project)
            os.execve(world.ccc, [world.ccc, "watch"], world.env)
        self.pid, self.ages, self.seen = pid, [], set()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        rest = b""
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return
            now = time.time_ns()
            rest = (rest + data)[-4096:]
            for begin, digits, end in re.findall(rb"([a-j])(\d{13})([k-t])", rest):
                key = begin[0] - ord("a")
                stamp = int("".join(str((digit - ord("0") - key) % 10) for digit in digits))
                if end[0] - ord("k") == key and stamp not in self.seen:
                    self.seen.add(stamp)
                    self.ages.append(now / 1e6 - stamp)

    def key(self, text):
        os.write(self.fd, text)


def at_once(world):
    """Options for agents that start whatever the machine's load is."""
    return ["--ignore-load"] if "--ignore-load" in world.run("help", "new").stdout else []


def stream(world, count=200, seconds=30):
    env = {"BENCH_LINES_PER_S": "20", "BENCH_STREAM_S": "600", "BENCH_WORDS": "some words of the answer \n"}
    load = at_once(world)
    for number in range(count):
        more = {**env, "BENCH_STAMP": "1"} if number == 0 else env
        done = world.run("new", "stream", "--agent", world.streamer, "--name", f"s{number:03}", *load, **more)
        assert done.returncode == 0, done.stderr
    time.sleep(5)
    hosts = world.own()
    measured(world, f"{count} agents, 20 lines a second each", seconds)
    dashboard = Dashboard(world)
    time.sleep(3)
    dashboard.key(b"g")
    time.sleep(5)
    dashboard.ages.clear()
    begin, before = time.monotonic(), cpu_s([dashboard.pid])
    time.sleep(seconds)
    used = (cpu_s([dashboard.pid]) - before) / (time.monotonic() - begin) * 100
    ages = sorted(dashboard.ages)
    if ages:
        place = lambda share: ages[min(len(ages) - 1, int(len(ages) * share))]
        print(f"ccc watch on them: {used:.1f} % of a core, {private_mb([dashboard.pid]):.1f} MB private; a line on the screen after "
              f"p50 {place(.5):.0f} ms, p99 {place(.99):.0f} ms ({len(ages)} lines)")
    else:
        print(f"ccc watch on them: {used:.1f} % of a core; no stamped line was seen")
    measured(world, "the same with the dashboard", seconds)
    assert len(hosts) >= count, f"{len(hosts)} processes"


def measured(world, what, seconds):
    pids = world.own()
    begin, before = time.monotonic(), cpu_s(pids)
    time.sleep(seconds)
    used = (cpu_s(pids) - before) / (time.monotonic() - begin) * 100
    print(f"{what}: {len(pids)} processes of ours, {used:.1f} % of a core, {private_mb(pids):.0f} MB private")


def idle(world, count=1000, seconds=60):
    world.plays([{"sleep_ms": 3_600_000}])
    # An agent that is silent for three minutes is started again, and that is not idling.
    load = [*at_once(world), "--stall-timeout", "3h"]
    for number in range(count):
        done = world.run("new", "wait", "--agent", world.quick, "--name", f"i{number:04}", *load)
        assert done.returncode == 0, done.stderr
    time.sleep(10)
    measured(world, f"{count} idle agents", seconds)


def limit(world, count=50):
    """Agents that share two tokens, and are limited all at once on the first: each goes on with the second, once."""
    go = os.path.join(world.root, "go")
    waits = {"tool": {"name": "Bash", "input": {"command": f"while [ ! -e {go} ]; do sleep 0.1; done"}, "real": True}}
    world.plays([])
    with open(world.env["CCC_SCRIPT"], "w") as file:
        json.dump({"agent": [[waits, {"limit": {"resets_in_s": 3600}}], [{"say": "Done."}]],
                   "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]]}, file)
    world.env.update(ANTHROPIC_API_KEY="sk-ant-api03-first", ANTHROPIC_API_KEY_2="sk-ant-api03-second")
    load = [*at_once(world), "--tool-timeout", "30m"]
    ids = []
    for number in range(count):
        done = world.run("new", "work", "--agent", world.quick, "--name", f"l{number:03}", *load)
        assert done.returncode == 0, done.stderr
        ids.append(done.stdout.strip())
    world.until(lambda: open(world.begun).read().count("\n") >= count)
    time.sleep(2)
    pids = world.own()
    begin, before = time.monotonic(), cpu_s(pids)
    open(go, "w").close()
    ended = world.run("wait", *ids)
    taken, used = time.monotonic() - begin, cpu_s(pids) - before
    rotations, after = [], []
    for run in ids:
        dir = os.path.join(world.env["CCC_STATE_DIR"], "runs", run)
        rotations.append(json.load(open(os.path.join(dir, "run.json")))["rotations"])
        limited = None
        for line in open(os.path.join(dir, "journal.jsonl")).read().splitlines()[1:]:
            entry = json.loads(line)
            if limited is None and "rejected" in line and "in" in entry:
                limited = entry["t"]
            elif limited is not None and entry.get("act", {}).get("send"):
                after.append((entry["t"] - limited) / 1000)
                break
    after.sort()
    known = json.load(open(os.path.join(world.env["CCC_STATE_DIR"], "tokens.json")))["tokens"]
    print(f"{count} agents limited in the same second: {ended.stdout.count('completed')} complete after {taken:.1f} s, "
          f"{sum(rotations)} rotations ({max(rotations)} at most in one), {len(known)} tokens on record; from the limit to the next "
          f"turn {after[len(after) // 2]:.0f} ms median, {after[-1]:.0f} ms most of {len(after)}; {used:.1f} s of processor time")


PARTS = {part.__name__: part for part in (commands, new, burst, limit, stream, idle)}

for part in sys.argv[2:] or PARTS:
    name, _, count = part.partition("=")
    world = World(sys.argv[1])
    try:
        PARTS[name](world, *([int(count)] if count else []))
        sys.stdout.flush()
    finally:
        world.end()
