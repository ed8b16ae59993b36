"""What users of litellm do, in both dialects; the service's URL is the argument."""

import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

hi = [{"role": "user", "content": "hi"}]
for provider, base in (("ollama_chat", sys.argv[1]), ("openai", f"{sys.argv[1]}/v1")):
    asked = {"model": f"{provider}/gork-heavy-lite", "messages": hi, "api_base": base, "api_key": "none"}
    assert litellm.completion(**asked).choices[0].message.content
    chunks = list(litellm.completion(**asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip()
assert litellm.responses(model="openai/gork-heavy-lite", input="hi", api_base=f"{sys.argv[1]}/v1", api_key="none").output
