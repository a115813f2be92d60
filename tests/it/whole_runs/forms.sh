#!/bin/sh
# An MCP server on stdio with one tool, `ask`, which asks the user for a name and tells the model what came of it.
# It reads one JSON-RPC message a line.
id() { printf '%s' "$1" | sed -n 's/.*"id":\([0-9]*\).*/\1/p'; }
while IFS= read -r line; do
    case $line in
    *'"method":"initialize"'*)
        printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"forms","version":"1"}}}\n' "$(id "$line")"
        ;;
    *'"method":"tools/list"'*)
        printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"ask","description":"Asks for a name","inputSchema":{"type":"object","properties":{}}}]}}\n' "$(id "$line")"
        ;;
    *'"method":"tools/call"'*)
        call=$(id "$line")
        printf '{"jsonrpc":"2.0","id":900,"method":"elicitation/create","params":{"message":"Your name?","requestedSchema":{"type":"object","properties":{"name":{"type":"string","title":"Name"}},"required":["name"]}}}\n'
        ;;
    *'"id":900'*)
        action=$(printf '%s' "$line" | sed -n 's/.*"action":"\([a-z]*\)".*/\1/p')
        printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"the form was: %s"}]}}\n' "$call" "$action"
        ;;
    *'"id":'*)
        printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}\n' "$(id "$line")"
        ;;
    esac
done
