#!/usr/bin/env python3
"""A stand-in for the agent that does nothing but stream: one partial message per line, at an even rate.

As the agent it streams BENCH_LINES_PER_S lines a second for BENCH_STREAM_S seconds in its one turn, each with the words BENCH_WORDS (with BENCH_STAMP, the time instead);
or, with BENCH_CALLS, as many tool calls with their results, BENCH_CALLS_PER_S or at full speed; or, with BENCH_ANSWER_MB, an answer of so many megabytes,
streamed at full speed and then told whole. With BENCH_GO it waits for that file to appear before it begins, and with BENCH_HOLD it
stays in the turn after its last words. As the critic (a fork) it approves at once. The lines have the form of the real CLI's.
"""

import json
import os
import sys
import time

if "--version" in sys.argv:
    print("2.1.332 (Claude Code)")
    sys.exit(0)
is_critic = "--fork-session" in sys.argv
session = next((sys.argv[i + 1] for i, a in enumerate(sys.argv) if a in ("--session-id", "--resume")), "s")
if is_critic:
    session = "00000000-0000-4000-8000-00000000c817"
# One write a message, as the real CLI does; with BENCH_BUFFERED as many a write as 64 KiB hold.
out = open(1, "wb", buffering=65536 if os.environ.get("BENCH_BUFFERED") else 0, closefd=False)
words = os.environ.get("BENCH_WORDS", "some words of the answer ")
go = os.environ.get("BENCH_GO")
stamps = os.environ.get("BENCH_STAMP")


def say(**message):
    out.write(json.dumps({**message, "session_id": session}, separators=(",", ":")).encode() + b"\n")


def stamp(number):
    """The time in milliseconds. Each character differs from that of the stamp before, because a screen paints only what changes."""
    key = number % 10
    digits = "".join(str((int(digit) + key) % 10) for digit in str(time.time_ns() // 1_000_000))
    return f"{'abcdefghij'[key]}{digits}{'klmnopqrst'[key]}\n\n"


def partial(event):
    say(type="stream_event", event=event, parent_tool_use_id=None, uuid="00000000-0000-4000-8000-000000000009")


for line in sys.stdin:
    user = json.loads(line)
    if user.get("type") != "user":
        continue
    turn = user["uuid"]
    say(type="system", subtype="session_state_changed", state="running", uuid="00000000-0000-4000-8000-000000000001")
    for state in ("queued", "started"):
        say(type="command_lifecycle", command_uuid=turn, state=state, uuid="00000000-0000-4000-8000-000000000002")
    say(type="system", subtype="init", cwd=os.getcwd(), tools=["Bash"], model="claude-opus-5-5", permissionMode="default",
        claude_code_version="2.1.332", uuid="00000000-0000-4000-8000-000000000003")
    say(type="user", message=user["message"], parent_tool_use_id=None, uuid=turn, isReplay=True)
    text = "All is there.\n\n[TASK_COMPLETED]" if is_critic else "Done."
    partial({"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [], "model": "claude-opus-5-5"}})
    partial({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    calls = int(os.environ.get("BENCH_CALLS", "0"))
    megabytes = int(os.environ.get("BENCH_ANSWER_MB", "0"))
    while go and not is_critic and not os.path.exists(go):
        time.sleep(0.01)
    if not is_critic and calls:
        pace = float(os.environ.get("BENCH_CALLS_PER_S", "0"))
        began = time.monotonic()
        for number in range(calls):
            ahead = began + number / pace - time.monotonic() if pace else 0
            if ahead > 0:
                time.sleep(ahead)
            call = {"type": "tool_use", "id": f"toolu_{number:024}", "name": "Bash", "input": {"command": f"echo {number}", "description": "Print"}}
            say(type="assistant", message={"id": "msg_1", "role": "assistant", "content": [call], "model": "claude-opus-5-5"},
                parent_tool_use_id=None, uuid=f"00000000-0000-4000-8001-{number:012}")
            result = {"type": "tool_result", "tool_use_id": call["id"], "content": f"{number}", "is_error": False}
            say(type="user", message={"role": "user", "content": [result]}, parent_tool_use_id=None,
                uuid=f"00000000-0000-4000-8002-{number:012}")
    elif not is_critic and megabytes:
        paragraph = "".join(f"Line {number:02} of a paragraph of the long answer, as wide as a terminal is.\n" for number in range(12)) + "\n"
        for _ in range(megabytes * 1_000_000 // len(paragraph)):
            partial({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": paragraph}})
        text = paragraph * (megabytes * 1_000_000 // len(paragraph)) + "The last line of the long answer."
    elif not is_critic:
        rate = float(os.environ.get("BENCH_LINES_PER_S", "1000"))
        lines = int(rate * float(os.environ.get("BENCH_STREAM_S", "20")))
        began = time.monotonic()
        for number in range(lines):
            ahead = began + number / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            text_now = stamp(number) if stamps else words
            partial({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text_now}})
        print(f"{lines} lines in {time.monotonic() - began:.2f} s", file=sys.stderr)
    say(type="assistant", message={"id": "msg_1", "role": "assistant", "content": [{"type": "text", "text": text}],
        "model": "claude-opus-5-5"}, parent_tool_use_id=None, uuid="00000000-0000-4000-8000-000000000004")
    if not is_critic and os.environ.get("BENCH_HOLD"):
        out.flush()
        sys.stdin.read()
        sys.exit(0)
    partial({"type": "content_block_stop", "index": 0})
    partial({"type": "message_stop"})
    say(type="result", subtype="success", is_error=False, result=text, num_turns=1, stop_reason="end_turn", total_cost_usd=0,
        user_message_uuid=turn, user_message_uuids=[turn], uuid="00000000-0000-4000-8000-000000000005")
    say(type="command_lifecycle", command_uuid=turn, state="completed", uuid="00000000-0000-4000-8000-000000000006")
    say(type="system", subtype="session_state_changed", state="idle", uuid="00000000-0000-4000-8000-000000000007")
    out.flush()
