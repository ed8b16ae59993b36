"""Everything that users of the package `openai` do; the service's URL is the argument."""

import sys
import uuid
from datetime import date

import openai
from pydantic import BaseModel, Field, HttpUrl

MODEL = "gork-heavy-lite"
client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", max_retries=0)


class City(BaseModel):
    """With the fields that no grammar had."""

    id: uuid.UUID
    name: str = Field(max_length=4000, pattern="^[A-Z].*")
    founded: date
    tags: set[str]
    page: HttpUrl | None


hi = [{"role": "user", "content": "hi"}]
tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
assert client.models.list().data[0].id == MODEL
assert client.chat.completions.create(model=MODEL, messages=hi).choices[0].message.content
chunks = list(client.chat.completions.create(model=MODEL, messages=hi, stream=True, stream_options={"include_usage": True}))
assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == 0
assert client.chat.completions.create(model=MODEL, messages=hi, tools=[tool]).choices[0].message.content
try:
    client.chat.completions.create(model=MODEL, messages=hi, tools=[tool], tool_choice="required")
except openai.BadRequestError as error:
    refusal = str(error)
else:
    refusal = ""
assert "does not support tools" in refusal
completion = client.chat.completions.create(
    model=MODEL, messages=hi, response_format={"type": "json_schema", "json_schema": {"name": "City", "schema": City.model_json_schema()}}
)
assert completion.choices[0].message.content.startswith('{"id"')
assert client.completions.create(model=MODEL, prompt="hi").choices[0].text
first = client.responses.create(model=MODEL, input="hi")
assert first.output_text
assert client.responses.create(model=MODEL, input="again", previous_response_id=first.id).output_text
with client.responses.stream(model=MODEL, input="hi") as stream:
    for _ in stream:
        pass
    assert stream.get_final_response().output_text
