"""What a local Ollama has is offered as an ensemble when it lacks the models of ours."""

from __future__ import annotations

from gork.engines.ollama.offer import installed, offer


def row(tag, size, family, **more):
    """A model as /api/tags lists it."""
    return {"name": tag, "model": tag, "size": size, "details": {"family": family, "families": [family]}, **more}


THERE = {
    "models": [
        row("nomic-embed-text:latest", 270_000_000, "nomic-bert"),
        row("vision-only:1b", 900_000_000, "clip"),
        row("huge:70b", 40_000_000_000, "llama"),
        row("mistral:7b", 4_400_000_000, "llama"),
        row("qwen3:4b", 2_600_000_000, "qwen3"),
        row("qwen3:0.6b", 520_000_000, "qwen3"),
        row("gemma3:1b", 815_000_000, "gemma3"),
        row("deepseek:671b-cloud", 400, "deepseek"),
        row("no-text:1b", 700_000_000, "x", capabilities=["embedding"]),
        "nonsense",
    ]
}


def test_only_models_that_write_text_and_fit_the_memory_are_offered():
    """One of each family first, the largest first; no embeddings, nothing remote, nothing larger than what is free."""
    found = offer(installed(THERE), 16_000_000_000)
    assert found is not None

    assert [model.tag for model in found.candidates] == ["mistral:7b", "qwen3:4b", "gemma3:1b"]
    assert found.flags == "--models mistral:7b,qwen3:4b,gemma3:1b --judge mistral:7b --promptimizer gemma3:1b"
    assert "mistral:7b (4.4 GB), qwen3:4b (2.6 GB), gemma3:1b (0.8 GB) answer" in found.about
    assert "of the 16.0 GB that are free" in found.about


def test_a_fourth_family_judges():
    """It has no kin among the candidates to favour."""
    found = offer(installed({"models": [*THERE["models"], row("phi:1b", 700_000_000, "phi")]}), 16_000_000_000)
    assert found is not None

    assert (found.judge.tag, found.judge not in found.candidates) == ("phi:1b", True)


def test_less_memory_makes_a_smaller_ensemble_and_none_makes_no_offer():
    """What is offered fits together."""
    found = offer(installed(THERE), 3_000_000_000)
    assert found is not None

    assert [model.tag for model in found.candidates] == ["gemma3:1b", "qwen3:0.6b"]
    assert offer(installed(THERE), 500_000_000) is None
    assert offer(installed({"models": []}), None) is None
