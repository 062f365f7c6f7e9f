"""Toxicity by the Jigsaw network through ONNX Runtime: some thousand texts a second on one thread."""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from agents.errors import ConfigurationError
from agents.model_files import read_manifest
from agents.ports import ScoreInput
from schemas.score import Score

BATCH = 64
"""Windows in one run: enough for full speed, little enough that a long text costs no memory."""


WINDOW = 20
STRIDE = 10
"""Known words read at once, and from one window to the next.

The network could read 100, but loses one bad sentence among harmless ones. One toxic tweet put into each of 300
factual texts of 236 words, at a threshold of 0.5: windows of 100 find 37 %, of 50 73 %, of 20 95 %; false alarms
are 0, 0 and 1 of 300. Tweets, which fit into one window, are told apart as well as before.
"""


class Vocabulary(msgspec.Struct, frozen=True):
    """The file beside the model; `words[i]` has the number i + 1, characters in `filters` are spaces."""

    length: int
    labels: list[str]
    filters: str
    words: list[str]


class OnnxToxicity:
    """Scores with a folder from `ModelFiles.toxicity()`.

    `labels` holds the six probabilities of the Jigsaw labels, `value` the largest of them: one bad trait is
    enough. A text of more than 20 known words is read in windows that overlap by half, and each label counts
    where it is highest: nothing is cut, and one bad sentence is not outweighed by good ones. Known limits:
    English only, identity words raise the score ("gay" in a harmless sentence), threats without rude words
    pass.
    """

    name = "toxicity"
    languages = frozenset({"en"})

    def __init__(self, folder: Path) -> None:
        """Read the model; some 0.1 s.

        Raises:
            ConfigurationError: the folder holds no such model.
        """
        self._version = read_manifest(folder).version
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            vocabulary = msgspec.json.decode((folder / "vocabulary.json").read_bytes(), type=Vocabulary)
            self._session = onnxruntime.InferenceSession(
                folder / "model.onnx", options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises bare classes of its own
            raise ConfigurationError(f"the model in {folder} cannot be read: {error}") from error
        self._labels = vocabulary.labels
        self._length = vocabulary.length
        self._numbers = {word: number for number, word in enumerate(vocabulary.words, start=1)}
        self._spaces = str.maketrans(dict.fromkeys(vocabulary.filters, " "))

    @property
    def version(self) -> str:
        """`jigsaw-bilstm@hash` over the model's files."""
        return self._version

    def score(self, batch: Sequence[ScoreInput]) -> list[Score]:
        """One score an input, in order, of `text` alone; passages and question are not judged."""
        windows, owners = [], []
        for owner, item in enumerate(batch):
            for window in self._windows(self._words(item.text)):
                windows.append(window)
                owners.append(owner)
        if not windows:
            return []
        highest = np.zeros((len(batch), len(self._labels)), dtype=np.float32)
        np.maximum.at(highest, owners, self._probabilities(windows))
        return [self._result(row) for row in highest]

    def _words(self, text: str) -> list[int]:
        """The numbers of the known words; unknown words are left out, as in training."""
        words = _plain(text).lower().translate(self._spaces).split()
        return [self._numbers[word] for word in words if word in self._numbers]

    def _windows(self, words: list[int]) -> Iterator[NDArray[np.int64]]:
        """At least one window, with zeros in front, which is how the network was trained on short texts."""
        last = max(0, len(words) - WINDOW)
        for start in [*range(0, last, STRIDE), last]:
            part = words[start : start + WINDOW]
            window = np.zeros(self._length, dtype=np.int64)
            window[self._length - len(part) :] = part
            yield window

    def _probabilities(self, windows: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        runs = [
            self._session.run(None, {"words": np.stack(windows[start : start + BATCH])})[0]
            for start in range(0, len(windows), BATCH)
        ]
        return np.concatenate(runs)

    def _result(self, row: NDArray[np.float32]) -> Score:
        labels = {label: round(float(value), 6) for label, value in zip(self._labels, row, strict=True)}
        return Score(
            name=self.name, version=self._version, status="ok", value=max(labels.values()), labels=labels
        )


def _plain(text: str) -> str:
    """Undo what hides words from a word list: full-width letters, invisible characters, curly quotes.

    The spelling a reader sees is the one that is scored. Plain text is not changed.
    """
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKC", text).replace("’", "'").replace("‘", "'")
    return "".join(char for char in folded if unicodedata.category(char) != "Cf")
