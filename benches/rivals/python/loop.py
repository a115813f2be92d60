"""The supervised loop on the agent SDK for Python, in the least code that does it.

usage: loop.py CLAUDE TASK CRITIC_PROMPT_FILE
"""

import asyncio
import sys
from pathlib import Path

from claude_agent_sdk import ClaudeAgentOptions, ResultMessage, query

claude, task, prompt_file = sys.argv[1:]


async def turn(text, **options):
    answer = None
    async for message in query(prompt=text, options=ClaudeAgentOptions(cli_path=claude, **options)):
        if isinstance(message, ResultMessage):
            answer = message
    if answer is None or answer.is_error:
        raise SystemExit(f"no result: {answer}")
    return answer


async def main():
    prompt = Path(prompt_file).read_text()
    first = await turn(task)
    print(first.result)
    while True:
        verdict = (await turn(prompt, resume=first.session_id, fork_session=True, permission_mode="dontAsk")).result
        print(verdict)
        if verdict.rstrip().endswith("[TASK_COMPLETED]"):
            return
        print((await turn(verdict, resume=first.session_id)).result)


asyncio.run(main())
