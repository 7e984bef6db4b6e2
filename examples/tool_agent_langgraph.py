"""A LangGraph agent that calls tools until it can answer. It prints each step.

python examples/tool_agent_langgraph.py [UID]
"""

from __future__ import annotations

import sys

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from langchain_xinference_bridge import ChatXinference
from xinference_bridge import XinferenceError

WEATHER = {"Paris": "It's sunny.", "London": "It's raining."}


@tool
def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return WEATHER.get(city, f"Error: unknown city {city!r}.")


def main(uid: str = "qwen3", question: str = "What is the weather in Paris and in London?") -> None:
    """Ask a question and print each step of the agent."""
    agent = create_agent(ChatXinference(model_uid=uid, temperature=0), tools=[get_weather])
    print(f"> {question}")
    for step in agent.stream({"messages": [HumanMessage(question)]}, stream_mode="updates"):
        for update in step.values():
            for message in update["messages"]:
                for call in getattr(message, "tool_calls", []):
                    print(f"  calls {call['name']} with {call['args']}")
                if message.text:
                    print(f"  {message.type}: {message.text}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:3])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
