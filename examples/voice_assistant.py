"""A voice assistant: transcribe a question, answer it with an agent and its tools, and speak the answer.

python examples/voice_assistant.py [UID] [UID of speech to text] [UID of text to speech] [FILE] [OUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from langchain_xinference_bridge import ChatXinference, XinferenceSpeech, XinferenceTranscriber
from xinference_bridge import XinferenceConnection, XinferenceError

WEATHER = {"Paris": "It's sunny.", "London": "It's raining."}
QUESTION = Path(__file__).parent / "sounds" / "question.wav"


@tool
def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return WEATHER.get(city, f"Error: unknown city {city!r}.")


def main(
    uid: str = "qwen3",
    ears: str = "whisper",
    mouth: str = "kokoro",
    question: str | Path = QUESTION,
    out: str | Path = "answer.mp3",
) -> None:
    """Transcribe the question, answer it, and write the spoken answer sentence by sentence."""
    with XinferenceConnection() as connection:
        heard = XinferenceTranscriber(model_uid=ears, connection=connection).transcribe(question)
        print(f"> {heard.text}")
        agent = create_agent(ChatXinference(model_uid=uid, connection=connection, temperature=0), tools=[get_weather])
        answer = agent.invoke({"messages": [HumanMessage(heard.text)]})["messages"][-1].text
        print(answer)
        with Path(out).open("wb") as file:
            file.writelines(
                XinferenceSpeech(model_uid=mouth, connection=connection).stream(answer)
            )  # a player could begin here
        print(f"spoken into {Path(out).name}")


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:6])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
