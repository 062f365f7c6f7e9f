"""Runs a trained encoder through ONNX Runtime: in windows of tokens, so that nothing is cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from agents.errors import ConfigurationError
from agents.model_files.manifest import digests, read_manifest
from agents.scorers.sessions import open_session

Floats = NDArray[np.float32]
BATCH_TOKENS = 4096
"""Tokens in one run on a GPU, padding included.

On a CPU each window runs alone: batches are no faster there, and the int8 model scales its activations by all
that is in the batch, so that a score would change with its neighbours.
"""


class Settings(msgspec.Struct, frozen=True):
    """The file `settings.json` beside the weights.

    `window` and `stride` count tokens; `labels` name the outputs; `slope` and `offset` calibrate each
    output's logit.
    """

    labels: list[str]
    window: int
    stride: int
    slope: list[float]
    offset: list[float]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the encoder says of one text: a probability for each label, and for stretches of characters."""

    labels: Floats
    stretches: list[tuple[int, int, float]]


@dataclass(slots=True)
class _Window:
    owner: int
    ids: list[int]
    segments: list[int]
    offsets: list[tuple[int, int]]


class TextEncoder:
    """A folder of `model.onnx`, `tokenizer.json`, `settings.json` and `manifest.json`, ready to read texts."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Check the files against the manifest and load them; some 0.1 s.

        Raises:
            ConfigurationError: a file is missing, damaged or none of this kind.
        """
        manifest = read_manifest(folder)
        try:
            whole = digests(folder, manifest.outputs) == manifest.outputs
        except OSError as error:
            raise ConfigurationError(f"the model in {folder} is incomplete: {error}") from error
        if not whole:
            raise ConfigurationError(f"the weights in {folder} are damaged: install Sluicegate again")
        self._session = open_session(folder / "model.onnx", device)
        self._together = device != "cpu"
        try:
            self.settings = msgspec.json.decode((folder / "settings.json").read_bytes(), type=Settings)
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare classes of its own
            raise ConfigurationError(f"the model in {folder} cannot be read: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._slope = np.array(self.settings.slope, dtype=np.float32)
        self._offset = np.array(self.settings.offset, dtype=np.float32)
        self.version = manifest.version

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """A reading a text, in order; of a long one each label counts in the window where it is highest."""
        encodings = self._tokenizer.encode_batch(list(texts))
        windows = [window for owner, one in enumerate(encodings) for window in self._windows(owner, one)]
        return self._join(len(texts), windows)

    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        """A reading of each first text, held against its second, in order; the second is cut where it is too long."""
        encodings = self._tokenizer.encode_batch([tuple(pair) for pair in pairs])
        windows = [_pair(owner, one, self.settings.window) for owner, one in enumerate(encodings)]
        return self._join(len(pairs), windows)

    def _windows(self, owner: int, found: Encoding) -> Iterator[_Window]:
        inner_ids, inner_offsets = found.ids[1:-1], found.offsets[1:-1]
        room = self.settings.window - 2
        last = max(0, len(inner_ids) - room)
        for start in [*range(0, last, self.settings.stride), last]:
            ids = [found.ids[0], *inner_ids[start : start + room], found.ids[-1]]
            offsets = [(0, 0), *inner_offsets[start : start + room], (0, 0)]
            yield _Window(owner, ids, [0] * len(ids), offsets)

    def _join(self, count: int, windows: Sequence[_Window]) -> list[Reading]:
        labels = np.zeros((count, len(self.settings.labels)), dtype=np.float32)
        stretches: list[dict[tuple[int, int], float]] = [{} for _ in range(count)]
        for window, (found, tokens) in zip(windows, self._run(windows), strict=True):
            labels[window.owner] = np.maximum(labels[window.owner], found)
            there = stretches[window.owner]
            for place, value in zip(window.offsets, tokens.tolist(), strict=False):
                if place[1] > place[0]:
                    there[place] = max(value, there.get(place, 0.0))
        return [
            Reading(row, [(start, end, value) for (start, end), value in sorted(there.items())])
            for row, there in zip(labels, stretches, strict=True)
        ]

    def _run(self, windows: Sequence[_Window]) -> list[tuple[Floats, Floats]]:
        results: list[tuple[Floats, Floats] | None] = [None] * len(windows)
        for places in _batches(
            [len(window.ids) for window in windows], BATCH_TOKENS if self._together else 0
        ):
            longest = max(len(windows[at].ids) for at in places)
            feed = {
                "input_ids": _padded([windows[at].ids for at in places], longest),
                "attention_mask": _padded([[1] * len(windows[at].ids) for at in places], longest),
            }
            if len(self._session.get_inputs()) == 3:
                feed["segments"] = _padded([windows[at].segments for at in places], longest)
            labels, tokens = self._session.run(["labels", "tokens"], feed)
            for at, row, each in zip(places, self._calibrated(labels), tokens, strict=True):
                results[at] = row, each
        return [one for one in results if one is not None]

    def _calibrated(self, labels: Floats) -> Floats:
        inside = np.clip(labels, 1e-6, 1 - 1e-6)
        logits = np.log(inside / (1 - inside)) * self._slope + self._offset
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)


def _pair(owner: int, found: Encoding, window: int) -> _Window:
    """Only the judged text's tokens keep their place: the others say nothing of it."""
    size = min(window, len(found.ids))
    ids, segments = found.ids[:size], found.type_ids[:size]
    offsets = [
        place if sequence == 0 else (0, 0)
        for place, sequence in zip(found.offsets[:size], found.sequence_ids[:size], strict=True)
    ]
    return _Window(owner, ids, segments, offsets)


def _batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Places in batches of like length, of at most so many tokens or one place."""
    group: list[int] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[at] > tokens:
            yield group
            group = []
        group.append(at)
    if group:
        yield group


def _padded(rows: Sequence[Sequence[int]], length: int) -> NDArray[np.int64]:
    table = np.zeros((len(rows), length), dtype=np.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table
