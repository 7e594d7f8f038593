"""Answers every call its own way, with callctl's Event Socket room alone: no queue, no database.

Start it, and send a call there: <action application="socket" data="127.0.0.1:8084 async full"/>
"""

import trio

from callctl.esl import commands
from callctl.esl.outbound import CallSocket, OutboundListener


async def answer(call: CallSocket) -> None:
    """Say the caller's number back, wait for a key, and hang up."""
    call.follow("CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP")
    await call.execute("answer")
    await call.execute("say", f"en number iterated {call.data.get('Caller-Caller-ID-Number')}")
    pressed = await call.execute("play_and_get_digits", r"1 1 1 5000 # silence_stream://250 '' key \d")
    print(f"{call.uuid} pressed {pressed.variable('key') or 'nothing'}")
    await call.request(commands.hangup("NORMAL_CLEARING"))


if __name__ == "__main__":
    trio.run(lambda: OutboundListener(answer, allow=["127.0.0.0/8"]).serve(host="127.0.0.1", port=8084))
