"""Two LlamaIndex agents: one looks things up and hands arithmetic over to another one.

python examples/agent_workflow_llamaindex.py [UID]
"""

from __future__ import annotations

import asyncio
import sys

from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ToolCallResult

from llamaindex_xinference_bridge import XinferenceLLM
from xinference_bridge import XinferenceError


def search(query: str) -> str:
    """Search the web."""
    return "Mount Everest, 8849 m" if "mountain" in query else "nothing found"


def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return a * b


async def main(uid: str = "qwen3", question: str = "What is 6 times 7? Let the calculator do it.") -> None:
    """Ask a question and print what each agent does."""
    llm = XinferenceLLM(model_uid=uid, temperature=0)
    await llm.aprepare()  # the agents read the model's description inside the event loop: fetch it first
    workflow = AgentWorkflow(
        agents=[
            FunctionAgent(
                name="researcher",
                description="Looks things up.",
                tools=[search],
                llm=llm,
                can_handoff_to=["calculator"],
            ),
            FunctionAgent(
                name="calculator",
                description="Does arithmetic.",
                tools=[multiply],
                llm=llm,
                can_handoff_to=["researcher"],
            ),
        ],
        root_agent="researcher",
    )
    print(f"> {question}")
    handler = workflow.run(user_msg=question)
    async for event in handler.stream_events():
        if isinstance(event, ToolCallResult):
            print(f"  {event.tool_name}({event.tool_kwargs}) gave {event.tool_output.content}")
    print(f"  {await handler}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        asyncio.run(main(*sys.argv[1:3]))
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
