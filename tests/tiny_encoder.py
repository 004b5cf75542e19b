"""A transformer of a few thousand weights in a folder: nothing is downloaded, and it runs in a moment."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WORDS = [f"w{i:02}" for i in range(40)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
TAGS = ["gold", "iron"]


def needs_torch() -> None:
    """Skip where the packages are missing."""
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: fine-tuning needs the extra text")


def write_encoder(folder: Path, kind: str = "bert", layers: int = 4, seed: int = 0) -> str:
    """Write a network with random weights and a tokenizer of `WORDS`; the folder's path."""
    needs_torch()
    import torch
    import transformers

    names = {
        "bert": "Bert",
        "distilbert": "DistilBert",
        "mpnet": "MPNet",
        "modernbert": "ModernBert",
        "t5": "T5",
    }
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 80, "pad_token_id": 0}
    if kind == "distilbert":
        sizes = {"dim": 16, "n_layers": layers, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 80}
    if kind == "t5":
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": layers, "num_heads": 2}
    if kind == "modernbert":
        sizes |= {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    config = getattr(transformers, f"{names[kind]}Config")(vocab_size=len(SPECIAL) + len(WORDS), **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModel.from_config(config)
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return str(folder)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", words["[CLS]"]), ("[SEP]", words["[SEP]"])]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special)


def texts_and_tags(num_rows: int, seed: int = 0) -> tuple[list[str], Any]:
    """Texts of 3 to 40 words; a tag applies where more than a third of them are of its half of the words."""
    random = np.random.default_rng(seed)
    texts, tags = [], np.zeros((num_rows, len(TAGS)), dtype=bool)
    for row in range(num_rows):
        lean = random.random() < 0.5
        own = WORDS[:10] if lean else WORDS[10:20]
        count = int(random.integers(3, 40))
        words = [str(random.choice(own if random.random() < 0.6 else WORDS[20:])) for _ in range(count)]
        texts.append(" ".join(words))
        tags[row] = [lean, random.random() < (0.8 if "w20" in words else 0.2)]
    return texts, tags
