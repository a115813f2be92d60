#!/usr/bin/env bash
# Fills fuzz/corpus/ with what fuzzing begins from: the fixtures, cut to pieces that a fuzzer can work with, and fuzz/inputs/.
# Everything here is made anew from what is checked in; what fuzzing itself has added stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=fuzz/corpus

# pieces TARGET FRONT LINES FILE...: the files in pieces of so many lines, each with FRONT before it.
pieces() {
  local target=$1 front=$2 lines=$3 file n
  shift 3
  for file in "$@"; do
    n=$(basename "$(dirname "$file")")-$(basename "$file" .jsonl)
    # Lines beyond what a fuzzer mutates well are cut, as a full disk or a dying process cuts them.
    cut -b 1-4000 "$file" | split -l "$lines" --additional-suffix=.seed --filter="{ printf '$front'; cat; } >\$FILE" \
      - "$out/$target/$n-"
  done
}

for target in frames messages journal config redactor verdict core keys composer markdown control hooks; do
  mkdir -p "$out/$target"
  cp -r fuzz/inputs/"$target"/. "$out/$target/"
done
pieces frames '\377\144' 6 fixtures/streams/*/*.jsonl
pieces frames '\100\007' 6 fixtures/streams/2.1.332/*.jsonl
pieces control '\377\144' 4 fixtures/control/*/*.jsonl
pieces hooks 'w\n' 12 fixtures/hooks/*/*.jsonl
pieces messages '!0\n' 24 fixtures/streams/*/*.jsonl
pieces redactor "" 1 fixtures/streams/2.1.332/{permission_denied,tools,text}.jsonl
for run in fixtures/runs/*/ fixtures/compat/*/; do
  cp "$run/journal.jsonl" "$out/journal/$(basename "$run").seed"
  tail -n +2 "$run/journal.jsonl" >fuzz/corpus/entries.tmp
  # The first byte says whose header the target puts before them.
  front='\n'
  if head -n 1 "$run/journal.jsonl" | grep -q '"kind":"command"'; then front=c; fi
  split -l 12 --additional-suffix=.seed --filter="{ printf '$front'; cat; } >\$FILE" fuzz/corpus/entries.tmp \
    "$out/journal/$(basename "$run")-"
  rm fuzz/corpus/entries.tmp
done

# Every word of the protocols that the fixtures hold, for the fuzzer to put together.
grep -ohE '"[A-Za-z_]{2,40}"' fixtures/streams/*/*.jsonl fixtures/hooks/*/*.jsonl fixtures/runs/*/journal.jsonl fuzz/inputs/config/* | sort -u |
  sed 's/"/\\"/g; s/.*/"&"/' >fuzz/corpus/words.dict
du -sh "$out"/* | sed 's/^/seeds: /'
