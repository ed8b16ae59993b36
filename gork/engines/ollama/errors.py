"""What the errors of an Ollama server mean. The rules name the versions that their texts were read from."""

from __future__ import annotations

import re

from gork.engines.spot import ServerKind
from gork.errors import BadReply, Busy, Died, ModelMissing, PromptTooLong, Refused, TimedOut, Unreachable

_LOG = "see the server's log"
_LATER = (Busy, "try again later")
OLLAMA = ServerKind(
    question="is it an Ollama server?",
    down="is it running? (`ollama serve`)",
    texts=(
        # 0.12.6-0.24: "the input length exceeds the context length"; 0.30+: a nested JSON with type exceed_context_size_error.
        (
            re.compile(r"exceed_context_size|exceeds the (available )?context|longer than the context|input length exceeds", re.IGNORECASE),
            PromptTooLong,
            "ask with less text or a larger context",
        ),
        (re.compile(r"server busy|maximum pending requests", re.IGNORECASE), *_LATER),
        (re.compile(r"requires more system memory", re.IGNORECASE), Refused, "free memory or use a smaller model"),
        (re.compile(r"timed out waiting for", re.IGNORECASE), TimedOut, _LOG),
        (re.compile(r"lookup \S+.*no such host|dial tcp", re.IGNORECASE), Unreachable, "the server itself needs network access for this"),
        # 0.30+: llama-server, before: llama runner; the last three are what Go says of a connection to a runner that is gone.
        (
            re.compile(
                r"unexpectedly stopped|process (has terminated|no longer running)|error was encountered while running the model"
                r"|error reading llama-server|unexpected EOF|: EOF$|connection reset|broken pipe|forcibly closed|request canceled",
                re.IGNORECASE,
            ),
            Died,
            _LOG,
        ),
        (
            re.compile(r"model .*not found|pull model manifest: file does not exist", re.IGNORECASE),
            ModelMissing,
            "get it with `ollama pull {tag}`",
        ),
    ),
    statuses={
        **dict.fromkeys(
            (401, 403, 407), (Refused, "credentials belong in the URL, and an Ollama bound to loopback answers no other host name")
        ),
        **dict.fromkeys((404, 405), (BadReply, "is the URL that of an Ollama server?")),
        **dict.fromkeys((502, 503, 504), (Unreachable, "this is a proxy's answer: is the Ollama that it stands for running?")),
        429: _LATER,
    },
    decisive={429: _LATER, 499: (Died, "")},  # 499: the server gave up a request that we had not
)
