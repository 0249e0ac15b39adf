"""Tiny cross-encoders: the numbers mean nothing, but the whole path is real."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from retrieval.errors import EmbedderUnavailableError
from retrieval.sentence_transformer import find_model

# Tokens that they read, three special ones included.
WINDOW = 64


def find_embedder() -> Path:
    """Return the folder of the default embedder; skips where it is not installed."""
    try:
        return find_model("sentence-transformers/all-MiniLM-L6-v2")
    except EmbedderUnavailableError:
        pytest.skip("needs the extra `minilm`")


def save_cross_encoder(folder: Path, num_labels: int = 1) -> Path:
    """Save a BERT with random weights that judges pairs, with the tokenizer of MiniLM."""
    tokenizer = AutoTokenizer.from_pretrained(find_embedder(), model_max_length=WINDOW)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,  # of 32 dimensions, which vLLM's attention on the CPU supports
        max_position_embeddings=WINDOW,
        initializer_range=0.2,
    )
    config.num_labels = num_labels
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
