"""Make a tiny language model with random weights that a real vLLM can load, without any download.

Run by the Python of .venv-vllm: make_tiny_model.py FOLDER
"""

# mypy: disable-error-code="arg-type, no-untyped-call"
# (transformers' own annotations)

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

CHAT_TEMPLATE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m.role + '\\n' + (m.content or '') + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}"
)
SPECIAL_TOKENS = PADDING, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# Ordinary tokens for the tokenizer, as in Qwen3: they survive skip_special_tokens.
ADDED_TOKENS = ["<think>", "</think>"]
VOCABULARY = 2048
HIDDEN = 64
HEAD = 32  # one that vLLM's attention on the CPU supports
CONTEXT_TOKENS = 32768


def main() -> None:
    """Write model and tokenizer; the same weights each time."""
    folder = Path(sys.argv[1])
    tokenizer = train_tokenizer()
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=HIDDEN // HEAD,
        num_key_value_heads=1,
        head_dim=HEAD,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        **ends,
    )
    model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    # Marks score nothing, so that one of 2,000 other tokens is always likelier: an answer goes on
    # until it is stopped, whatever the prompt. Only a grammar lets it end by itself.
    marks = tokenizer.convert_tokens_to_ids([*SPECIAL_TOKENS, *ADDED_TOKENS])
    with torch.no_grad():
        model.get_input_embeddings().weight[marks] = 0
    model.generation_config = GenerationConfig(**ends)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-pair tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(ADDED_TOKENS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_tokens(
        [AddedToken(text, normalized=False, special=False) for text in ADDED_TOKENS]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def texts() -> Iterator[str]:
    """Yield text that is at hand everywhere: the standard library's source."""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:150]:
        text = path.read_text("utf-8", "ignore")
        for start in range(0, len(text), 2000):
            yield text[start : start + 2000]


if __name__ == "__main__":
    main()
