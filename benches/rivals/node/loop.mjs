// The supervised loop on the agent SDK for Node, in the least code that does it.
// usage: node loop.mjs CLAUDE TASK CRITIC_PROMPT_FILE
import { readFileSync } from "node:fs";
import { query } from "@anthropic-ai/claude-agent-sdk";

const [claude, task, promptFile] = process.argv.slice(2);
const prompt = readFileSync(promptFile, "utf8");

async function turn(text, options) {
  for await (const message of query({ prompt: text, options: { pathToClaudeCodeExecutable: claude, ...options } })) {
    if (message.type === "result") {
      if (message.is_error) throw new Error(message.result);
      return message;
    }
  }
  throw new Error("no result");
}

let { session_id: session, result } = await turn(task, {});
console.log(result);
for (;;) {
  const verdict = (await turn(prompt, { resume: session, forkSession: true, permissionMode: "dontAsk" })).result;
  console.log(verdict);
  if (verdict.trimEnd().endsWith("[TASK_COMPLETED]")) break;
  console.log((await turn(verdict, { resume: session })).result);
}
