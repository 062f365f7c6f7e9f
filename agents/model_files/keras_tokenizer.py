"""Reading a pickled Keras tokenizer without Keras, and without running what a pickle may carry."""

import pickle
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from pathlib import Path


class _Tokenizer:
    """Stands in for the Keras class: it only holds the attributes that were pickled."""


_ALLOWED: dict[tuple[str, str], type] = {
    ("keras.src.legacy.preprocessing.text", "Tokenizer"): _Tokenizer,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("builtins", "int"): int,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> type:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"the pickle asks for {module_name}.{global_name}, which no tokenizer needs"
            ) from None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How a text becomes numbers: `filters` are characters read as spaces, `words[i]` has number i + 1."""

    words: list[str]
    filters: str


def read_vocabulary(path: Path) -> Vocabulary:
    """The words that the network knows.

    Raises:
        pickle.UnpicklingError: the file is no pickle, or names anything but a tokenizer's own parts.
        ValueError: a tokenizer with settings other than those that `OnnxToxicity` repeats.
    """
    with path.open("rb") as file:
        state = vars(_Unpickler(file).load())
    settings = {key: state.get(key) for key in ("lower", "split", "char_level", "oov_token")}
    if settings != {"lower": True, "split": " ", "char_level": False, "oov_token": None}:
        raise ValueError(f"a tokenizer with other settings than expected: {settings}")
    ranked = sorted(state["word_index"].items(), key=lambda pair: pair[1])[: state["num_words"] - 1]
    if [number for _, number in ranked] != list(range(1, len(ranked) + 1)):
        raise ValueError("the tokenizer's words are not numbered 1, 2, 3, ...")
    return Vocabulary([word for word, _ in ranked], state["filters"])
