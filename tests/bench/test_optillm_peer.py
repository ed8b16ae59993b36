"""optillm as a peer in the bench: what its requests come to on the servers that everybody is measured on."""

from __future__ import annotations

import sys
import textwrap

import pytest

from bench import latency
from bench.optillm_peer import lacking, optillm
from final_script import Team
from gork.config.ensemble import Ensemble
from gork.errors import EngineError
from gork.turn import Answered, Question
from tests.support.scripted_model import ScriptedModel

PROXY = """
    import json, sys, urllib.request
    from http.server import BaseHTTPRequestHandler, HTTPServer
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))

    def ask(**body):
        request = urllib.request.Request(flags["--base-url"] + "/chat/completions", json.dumps(body).encode())
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            first = [{"role": "system", "content": ""}, {"role": "user", "content": "User: " + asked["messages"][-1]["content"]}]
            drafts = ask(messages=first, max_tokens=asked["max_tokens"], n=int(flags["--best-of-n"]), temperature=1)
            rating = ask(messages=[*first, {"role": "user", "content": "Rate it"}], max_tokens=256, n=1, temperature=0.1)
            said = [one["message"]["content"] for one in drafts["choices"] + rating["choices"]]
            content = json.dumps({"model": asked["model"], "said": said, "written": drafts["usage"]["completion_tokens"]})
            body = json.dumps({"choices": [{"message": {"content": content}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said):
            pass

    HTTPServer(("127.0.0.1", int(flags["--port"])), Proxy).serve_forever()
"""
"""A proxy that asks as optillm's best of n does."""


def environment(tmp_path, program):
    """An environment with this in the place of optillm."""
    file = tmp_path / "bin" / "optillm"
    file.parent.mkdir()
    file.write_text(f"#!{sys.executable}\n{textwrap.dedent(program)}")
    file.chmod(0o755)
    return tmp_path


def team():
    """Three candidates with prompts of their own, and a judge."""
    names = ("a", "b", "c")
    candidates = [ScriptedModel(name, replies=[f"by {name}"], system=f"You are {name}.", options={"temperature": 0.5}) for name in names]
    judge = ScriptedModel("judge", replies=["7"])
    ensemble = Ensemble(name="test", candidates=tuple(model.member for model in candidates), judge=judge.member)
    return Team.of("scripted", ensemble, {model.name: model for model in (*candidates, judge)}), candidates, judge


async def test_its_drafts_are_the_candidates_and_its_ratings_the_judges(tmp_path):
    """Several answers at once with the product's prompts, options and limit; what it asks the judge is asked as it is."""
    asked, candidates, judge = team()
    events = []
    async with optillm(environment(tmp_path, PROXY), asked, 40) as running:
        said = await running.ask("bon", Question(text="why is the sky blue"), 40, events.append)

    assert said == '{"model": "bon-scale-model", "said": ["by a", "by b", "by c", "7"], "written": 6}'
    for number, model in enumerate(candidates):
        assert model.asked == [asked.messages(model.member, Question(text="why is the sky blue"))]
        assert model.options == [{"temperature": 0.5, "num_predict": 40, "seed": 1 + number}]
    assert [message["content"] for message in judge.asked[0]] == ["", "User: why is the sky blue", "Rate it"]
    assert judge.options == [{"temperature": 0.1, "num_predict": 256}]
    assert [event.answer.text for event in events if isinstance(event, Answered)] == ["by a", "by b", "by c"]


async def test_one_that_does_not_start_is_told_with_its_last_words(tmp_path):
    """A requirement of its own that is missing, say."""
    with pytest.raises(EngineError, match="optillm does not start: ModuleNotFoundError: no torch"):
        async with optillm(environment(tmp_path, "raise ModuleNotFoundError('no torch')"), team()[0], 40):
            pass


def test_where_it_is_not_installed_one_line_says_so(tmp_path, monkeypatch, capsys):
    """And how to have it; the other ways are measured all the same."""
    monkeypatch.setattr(latency, "ready_file", lambda *_: None)  # it ends before anything is loaded
    assert latency.main(["--optillm", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().out == f"{lacking(tmp_path / 'nowhere')}\n"
    assert "bon and moa are left out" in str(lacking(tmp_path / "nowhere"))
