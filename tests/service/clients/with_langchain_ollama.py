"""What users of LangChain do with `ChatOllama`; the service's URL is the argument."""

import sys

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from pydantic import BaseModel


class City(BaseModel):
    """A city."""

    name: str
    people: int


@tool
def weather(city: str) -> str:
    """Say the weather."""
    return city


model = ChatOllama(model="gork-heavy-lite", base_url=sys.argv[1])
assert model.invoke([("system", "Be brief."), ("human", "hi")]).content
assert "".join(chunk.content for chunk in model.stream("hi")).strip()
assert isinstance(model.with_structured_output(City, method="json_schema").invoke("hi"), City)
assert model.bind_tools([weather]).invoke("weather in Oslo?").content
called = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Oslo"}, "id": "1"}])
assert model.invoke([HumanMessage("weather?"), called, ToolMessage("4 C", tool_call_id="1")]).content
