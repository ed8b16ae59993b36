"""What the errors of servers with OpenAI's API mean. The texts are those of the servers named beside them."""

from __future__ import annotations

import re

from gork.engines.spot import ServerKind
from gork.errors import BadReply, Busy, Died, ModelMissing, PromptTooLong, Refused, Unreachable


class StillLoading(Busy):
    """Raised when a server says that its model is not in memory yet."""


_LOG = "see the server's log"
_LATER = (Busy, "try again later")
OPENAI = ServerKind(
    question="is the URL that of an OpenAI-compatible API? It usually ends in /v1",
    down="is it running?",
    texts=(
        # llama-server, LM Studio and llama-cpp-python, OpenAI; vLLM: "This model's maximum context length is 512 tokens".
        (
            re.compile(
                r"exceed_context_size|context_length_exceeded|exceeds the (available |model'?s )?context|maximum context length"
                r"|longer than the context|input length exceeds|input_tokens|context (window|size|length) (is )?(exceeded|too small)",
                re.IGNORECASE,
            ),
            PromptTooLong,
            "ask with less text or a larger context",
        ),
        (
            re.compile(r"^loading model|model is (still |being )?load(ing|ed)\b|not ready yet", re.IGNORECASE),
            StillLoading,
            "wait until it has",
        ),
        (  # llm-d says in plain text what became of a request in its line: "saturated", "evicted", "expired"
            re.compile(
                r"server busy|maximum pending requests|overloaded|saturated|rate.?limit|too many requests|queue is full"
                r"|request.{0,40}(evicted|expired)",
                re.IGNORECASE,
            ),
            *_LATER,
        ),
        (
            re.compile(r"insufficient.{0,3}(quota|credit|balance)|payment required", re.IGNORECASE),
            Refused,
            "see your account with the provider",
        ),
        (re.compile(r"requires more system memory|out of memory", re.IGNORECASE), Refused, "free memory or use a smaller model"),
        (
            re.compile(
                r"unexpectedly stopped|process (has terminated|no longer running)|enginedead|engine (core )?(has )?(died|is dead)"
                r"|error was encountered while running the model|unexpected EOF|: EOF$|connection reset|broken pipe|forcibly closed",
                re.IGNORECASE,
            ),
            Died,
            _LOG,
        ),
        (
            re.compile(
                r"model.{1,200}(not found|does not exist|is not (available|loaded|served|installed))|model_not_found", re.IGNORECASE
            ),
            ModelMissing,
            "name one that the server has: `doctor` lists them",
        ),
    ),
    statuses={
        **dict.fromkeys((401, 403, 407), (Refused, "{key}")),
        402: (Refused, "see your account with the provider"),
        **dict.fromkeys((404, 405), (BadReply, "is the URL right? It usually ends in /v1")),
        429: _LATER,  # llm-d says so in plain text
        **dict.fromkeys((502, 504), (Unreachable, "this is a proxy's answer: is the server that it stands for running?")),
        503: (Unreachable, "is the server that should answer there running?"),
    },
    decisive={
        **dict.fromkeys((401, 403), (Refused, "{key}")),
        402: (Refused, "see your account with the provider"),
        **dict.fromkeys((404, 405), (BadReply, "is the URL right? It usually ends in /v1")),
        429: _LATER,
        499: (Died, ""),
        503: _LATER,
    },
)
