# An interface on a terminal that calls hooks as the real one does. What the agent does in turn N of the session stands in
# $TURNS/N, a script for this shell; $TURNS/count holds how many turns have begun. It says what it reads and what it is told.
session='' words='' start=startup
while [ $# -gt 0 ]; do
  case "$1" in
    --session-id) session=$2; shift 2 ;;
    --resume) session=$2 start=resume; shift 2 ;;
    --settings | --model | --disallowedTools | --allowedTools) shift 2 ;;
    --*) shift ;;
    *) words=$1; shift ;;
  esac
done
record="$CCC_SCRIPTED_HOME/$session.jsonl"
mkdir -p "$CCC_SCRIPTED_HOME"

json() { printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | tr '\n' ' '; }

# hook EVENT FIELDS [OPTION]: tells it, and prints what it is told.
hook() {
  printf '{"session_id":"%s","transcript_path":"%s","cwd":"%s","permission_mode":"default","hook_event_name":"%s"%s}' \
    "$session" "$record" "$PWD" "$1" "$2" | "$CCC_PROGRAM" hook $3
}

say() {
  printf '%s\r\n' "$1"
  printf '{"type":"assistant","text":"%s"}\n' "$(json "$1")" >> "$record"
  said=$1
}

tool() {
  hook PreToolUse ",\"tool_name\":\"Bash\",\"tool_use_id\":\"t$$\",\"tool_input\":{\"command\":\"$(json "$1")\"}"
  sh -c "$1"
  hook PostToolUse ",\"tool_name\":\"Bash\",\"tool_use_id\":\"t$$\",\"tool_input\":{\"command\":\"$(json "$1")\"},\"tool_response\":{\"stdout\":\"\",\"stderr\":\"\",\"interrupted\":false}"
}

# The request fails; no stop follows.
fails() {
  printf 'API Error: %s\r\n' "$1"
  hook StopFailure ",\"error\":\"$1\",\"error_details\":\"$2\",\"last_assistant_message\":\"API Error\""
  failed=yes
}

# Waits for Esc, which interrupts the turn: no hook tells of that.
until_esc() {
  modes=$(stty -g)
  stty -icanon -echo min 1
  printf 'Esc interrupts.\r\n'
  until [ "$(dd bs=1 count=1 2>/dev/null | od -An -tx1)" = ' 1b' ]; do :; done
  stty "$modes"
  printf 'Interrupted.\r\n'
  failed=yes
}

play() {
  count=$(($(cat "$TURNS/count" 2>/dev/null || echo 0) + 1))
  echo "$count" > "$TURNS/count"
  printf '{"type":"user","uuid":null,"text":"%s","model":"m"}\n' "$(json "$1")" >> "$record"
  said='' failed=''
  if [ -e "$TURNS/$count" ]; then . "$TURNS/$count"; else say 'There is no further turn.'; fi
  printf '{"type":"turn_ended"}\n' >> "$record"
}

turn() {
  printf 'you: %s\r\n' "$1"
  hook UserPromptSubmit ",\"prompt\":\"$(json "$1")\""
  play "$1"
  while [ -z "$failed" ]; do
    told=$(hook Stop ",\"stop_hook_active\":false,\"last_assistant_message\":\"$(json "$said")\",\"background_tasks\":[],\"session_crons\":[]" --wait)
    case "$told" in
      *'"decision":"block"'*) printf 'told: %s\r\n' "$told"; play "$told" ;;
      *) break ;;
    esac
  done
}

hook SessionStart ",\"source\":\"$start\",\"model\":\"m\""
printf 'the interface begins (%s)\r\n' "$start"
[ -z "$words" ] || turn "$words"
while printf '> ' && IFS= read -r line; do
  [ "$line" = /exit ] && break
  [ -z "$line" ] || turn "$line"
done
hook SessionEnd ',"reason":"prompt_input_exit"'
printf 'bye\r\n'
