"""Tiny GGUF files of real architectures, written in a fraction of a second: random weights, a small working vocabulary, a chat template.

Their text is noise, but everything around it is real: tokenizer, template, slots, caches, probabilities. What a test needs to know
about the text it can settle: `bias` moves a token's log-probability (end tokens are banned unless it says otherwise, so that a stream goes
on until it is stopped), `cycle` makes a model that says the same bytes over and over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

WIDTH, HEADS, KV_HEADS, HEAD, INNER = 64, 4, 2, 16, 128
TRAINED_CONTEXT = 65536
_CONSTANT = 8.0
"""Every embedding's first number: what the final norm leaves of it carries the biases."""
_BANNED = -60.0

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_QWEN3 = _CHATML[: -len("{% endif %}")] + (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
_LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_GRANITE = (
    "{% for m in messages %}<|start_of_role|>{{ m['role'] }}<|end_of_role|>{{ m['content'] }}<|end_of_text|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}{% set rest = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}{% for m in rest %}<start_of_turn>"
    "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ first if loop.first else '' }}{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@dataclass(frozen=True)
class _Shape:
    """What tells one architecture's file from another's."""

    pre: str | None
    """The pre-tokenizer; None for a SentencePiece vocabulary."""
    template: str
    control: tuple[str, ...]
    """The first one begins a text (if `bos`), the second ends it."""
    bos: bool = False
    head_norms: bool = False
    biases: bool = False
    post_norms: bool = False


_SHAPES = {
    "granite": _Shape("refact", _GRANITE, ("<|unused|>", "<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>")),
    "qwen3": _Shape("qwen2", _QWEN3, ("<|endoftext|>", "<|im_end|>", "<|im_start|>"), head_norms=True),
    "qwen2": _Shape("qwen2", _CHATML, ("<|endoftext|>", "<|im_end|>", "<|im_start|>"), biases=True),
    "llama": _Shape("llama-bpe", _LLAMA3, ("<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"), bos=True),
    "gemma3": _Shape(None, _GEMMA, ("<bos>", "<end_of_turn>", "<start_of_turn>", "<unk>"), bos=True, head_norms=True, post_norms=True),
}
ARCHITECTURES = tuple(_SHAPES)
_WORDS = [
    "A",
    "B",
    "C",
    "D",
    "Answer",
    "Yes",
    "No",
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "is",
    "it",
    "user",
    "assistant",
    "model",
    "system",
    "cat",
    "sky",
    "rain",
    "tree",
    "word",
    "number",
]


def write_tiny(
    path: Path,
    arch: str,
    *,
    layers: int = 2,
    seed: int = 0,
    bias: Mapping[str, float] | None = None,
    cycle: Sequence[bytes] = (),
) -> Path:
    """Write a loadable model of `arch` and return its path.

    `bias` adds to the logits of tokens by their text ("A", " A", "<|im_end|>"); `cycle` are distinct single bytes that it repeats for ever.
    """
    shape, random = _SHAPES[arch], np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, arch)
    _write_hyperparameters(writer, arch, layers)
    texts = _write_tokenizer(writer, shape)
    weights = _weights(shape, layers, len(texts), random)
    weights["output.weight"][:, 0] += _biases(texts, bias or {}) / _constant_after_norm(weights["token_embd.weight"])
    if cycle:
        _repeat(weights, [texts.index(byte) for byte in cycle])
    for name, tensor in weights.items():
        writer.add_tensor(name, np.ascontiguousarray(tensor, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_hyperparameters(writer: gguf.GGUFWriter, arch: str, layers: int) -> None:
    writer.add_block_count(layers)
    writer.add_context_length(TRAINED_CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    if arch == "gemma3":
        writer.add_sliding_window(512)
    if arch == "granite":
        writer.add_logit_scale(1.0)
        writer.add_embedding_scale(1.0)
        writer.add_residual_scale(1.0)
        writer.add_attention_scale(HEAD**-0.5)


def _write_tokenizer(writer: gguf.GGUFWriter, shape: _Shape) -> list[bytes]:
    """Write the vocabulary and return each token's bytes (of a control token: its name's)."""
    control = [*shape.control, *(() if shape.head_norms is False or shape.pre is None else ("<think>", "</think>"))]
    kinds = [gguf.TokenType.CONTROL] * len(shape.control) + [gguf.TokenType.USER_DEFINED] * (len(control) - len(shape.control))
    if shape.pre is None:
        tokens, texts, more = _sentence_pieces()
        scores = [0.0] * len(control) + [0.0] * 256 + [-float(i) for i in range(len(tokens) - 256)]
        writer.add_tokenizer_model("llama")
        writer.add_token_scores(scores)
        writer.add_add_space_prefix(False)
        writer.add_unk_token_id(control.index("<unk>"))
    else:
        tokens, texts, merges = _byte_pairs()
        more = [gguf.TokenType.NORMAL] * len(tokens)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(shape.pre)
        writer.add_token_merges(merges)
    writer.add_token_list([*control, *tokens])
    writer.add_token_types([*kinds, *more])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(shape.bos)
    writer.add_chat_template(shape.template)
    return [*(name.encode() for name in control), *texts]


def _byte_pairs() -> tuple[list[str], list[bytes], list[str]]:
    """A GPT-2 style vocabulary: the 256 bytes under their printable names, and the words with what their merges pass through."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    names = {byte: chr(byte) for byte in printable}
    names |= {byte: chr(256 + n) for n, byte in enumerate(b for b in range(256) if b not in names)}
    tokens, texts, merges = [names[byte] for byte in range(256)], [bytes([byte]) for byte in range(256)], []
    for word in [w for plain in _WORDS for w in (plain, " " + plain)]:
        for end in range(2, len(word) + 1):
            left, right = ("".join(names[b] for b in part.encode()) for part in (word[: end - 1], word[end - 1 : end]))
            if left + right not in tokens:
                tokens.append(left + right)
                texts.append(word[:end].encode())
                merges.append(f"{left} {right}")
    return tokens, texts, merges


def _sentence_pieces() -> tuple[list[str], list[bytes], list[gguf.TokenType]]:
    """A SentencePiece style vocabulary: the 256 bytes, printable characters, and the words with what their merges pass through."""
    tokens, texts = [f"<0x{byte:02X}>" for byte in range(256)], [bytes([byte]) for byte in range(256)]
    for word in [*(chr(c) for c in range(0x21, 0x7F)), " ", *(w for plain in _WORDS for w in (plain, " " + plain))]:
        for end in range(1, len(word) + 1):
            piece = word[:end].replace(" ", "▁")
            if piece not in tokens:
                tokens.append(piece)
                texts.append(word[:end].encode())
    return tokens, texts, [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * (len(tokens) - 256)


def _weights(shape: _Shape, layers: int, vocabulary: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    def noise(rows: int, columns: int, scale: float) -> np.ndarray:
        return random.normal(0.0, scale, (rows, columns))

    embeddings = noise(vocabulary, WIDTH, 1.0)
    embeddings[:, 0] = _CONSTANT
    output = noise(vocabulary, WIDTH, 0.35)
    output[:, 0] = 0.0
    weights = {"token_embd.weight": embeddings, "output_norm.weight": np.ones(WIDTH), "output.weight": output}
    for n in range(layers):
        block = {
            "attn_norm": np.ones(WIDTH),
            "attn_q": noise(HEADS * HEAD, WIDTH, 0.2),
            "attn_k": noise(KV_HEADS * HEAD, WIDTH, 0.2),
            "attn_v": noise(KV_HEADS * HEAD, WIDTH, 0.2),
            "attn_output": noise(WIDTH, HEADS * HEAD, 0.03),
            "ffn_norm": np.ones(WIDTH),
            "ffn_gate": noise(INNER, WIDTH, 0.2),
            "ffn_up": noise(INNER, WIDTH, 0.2),
            "ffn_down": noise(WIDTH, INNER, 0.03),
        }
        block["attn_output"][0] = block["ffn_down"][0] = 0.0  # the constant stays what it is
        if shape.head_norms:
            block |= {"attn_q_norm": np.ones(HEAD), "attn_k_norm": np.ones(HEAD)}
        if shape.post_norms:
            block |= {"post_attention_norm": np.full(WIDTH, 0.3), "post_ffw_norm": np.full(WIDTH, 0.3)}
        weights |= {f"blk.{n}.{name}.weight": tensor for name, tensor in block.items()}
        if shape.biases:
            weights |= {f"blk.{n}.attn_{p}.bias": np.zeros(len(block[f"attn_{p}"])) for p in "qkv"}
    return weights


def _constant_after_norm(embeddings: np.ndarray) -> float:
    return float(np.mean(embeddings[:, 0] / np.sqrt(np.mean(embeddings**2, axis=1))))


def _biases(texts: Sequence[bytes], bias: Mapping[str, float]) -> np.ndarray:
    """End tokens, other control tokens and what is not printable are banned, so that the noise is plain text; then what is asked for."""
    printable = [all(0x20 <= byte < 0x7F for byte in text) and not (text[:1] == b"<" and len(text) > 2) for text in texts]
    biases = np.where(printable, 0.0, _BANNED)
    for text, value in bias.items():
        biases[texts.index(text.encode())] = value
    return biases


def _repeat(weights: dict[str, np.ndarray], ring: Sequence[int]) -> None:
    """Make every token of `ring` be followed by the next one, and any other token by the first."""
    embeddings, output = weights["token_embd.weight"], weights["output.weight"]
    for name, tensor in weights.items():
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            tensor[:] = 0.0
    output[:, 1:] = 0.0
    output[:, 0] = _BANNED
    output[ring[0], 0] = 4.0
    for token, follower in zip(ring, [*ring[1:], ring[0]], strict=True):
        output[follower, 0] = max(output[follower, 0], 0.0)
        output[follower, 1:] += embeddings[token, 1:]
