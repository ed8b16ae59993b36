"""Everything that users of the package `ollama` do; the service's URL is the argument."""

import sys

import ollama

MODEL = "gork-heavy-lite"
client = ollama.Client(host=sys.argv[1])


def weather(city: str) -> str:
    """Say the weather.

    Args:
      city: where
    """
    return city


hi = [{"role": "user", "content": "hi"}]
assert client.list().models[0].model == f"{MODEL}:latest"
assert client.chat(MODEL, messages=hi).message.content
assert "".join(part.message.content or "" for part in client.chat(MODEL, messages=hi, stream=True)).strip()
assert client.chat(MODEL, messages=hi, tools=[weather]).message.content
assert client.chat(MODEL, messages=[{"role": "system", "content": "Say hi."}]).message.content
first = client.generate(MODEL, prompt="My name is Ada.", think=False)
assert client.generate(MODEL, prompt="Who am I?", context=first.context).response
assert client.pull(MODEL).status == "success"
