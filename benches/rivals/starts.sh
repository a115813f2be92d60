#!/bin/sh
# Three starts of the CLI, one text turn each: what any loop with one agent and two critics pays at least when it waits for each to exit.
# usage: starts.sh CLAUDE TASK
set -eu
for _ in 1 2 3; do "$1" -p "$2" </dev/null; done
