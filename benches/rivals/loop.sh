#!/bin/sh
# The supervised loop by pipes and nothing else: no recovery, no bounds, no record, the critic may write what it likes.
# usage: loop.sh CLAUDE TASK CRITIC_PROMPT_FILE
set -eu
claude=$1 task=$2 prompt=$(cat "$3")
session=$(cat /proc/sys/kernel/random/uuid)
"$claude" -p --session-id "$session" "$task" </dev/null
while :; do
    verdict=$("$claude" -p --resume "$session" --fork-session "$prompt" </dev/null)
    printf '%s\n' "$verdict"
    case $verdict in *"[TASK_COMPLETED]") exit 0 ;; esac
    "$claude" -p --resume "$session" "$verdict" </dev/null
done
