"""Write meeting notes: transcribe a recording with timestamps, then have a chat model summarize it.

python examples/meeting_notes.py [UID] [UID of speech to text] [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_xinference_bridge import ChatXinference, XinferenceTranscriber
from xinference_bridge import XinferenceConnection, XinferenceError

RECORDING = Path(__file__).parent / "sounds" / "meeting.wav"
PROMPT = ChatPromptTemplate.from_template(
    "Here is the transcript of a meeting, with the time of each line:\n\n{transcript}\n\n"
    "Write down who does what, each with the time at which it was said."
)


def main(uid: str = "qwen3", ears: str = "whisper", recording: str | Path = RECORDING) -> None:
    """Print the transcript with timestamps, then stream the notes."""
    with XinferenceConnection() as connection:
        transcriber = XinferenceTranscriber(model_uid=ears, connection=connection, timestamps="segment")
        heard = transcriber.transcribe(recording, on_progress=_tell)
        transcript = "\n".join(f"[{_clock(part.start)}] {part.text}" for part in heard.segments)
        print(f"{transcript}\n")
        chat = ChatXinference(model_uid=uid, connection=connection, temperature=0, max_tokens=300)
        for piece in (PROMPT | chat | StrOutputParser()).stream({"transcript": transcript}):
            print(piece, end="", flush=True)
        print()


def _tell(sent: int, total: int) -> None:
    print(f"\rsending: {sent / total:.0%}", end="\n" if sent == total else "", file=sys.stderr)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        sys.exit()
    try:
        main(*sys.argv[1:4])
    except (XinferenceError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
