"""The pickle is read for its words, and can do nothing else."""

import os
import pickle
import sys
import types

import pytest

from agents.errors import ConfigurationError
from agents.model_files import ModelFiles
from agents.model_files.keras_tokenizer import read_vocabulary
from agents.model_files.store import package_folder

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


class Command:
    """Unpickled by a careless reader, it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def pickled(tmp_path, monkeypatch):
    """Writes a pickle of a tokenizer with some settings, under the name that Keras gives the class."""

    def write(**settings):
        name = "keras.src.legacy.preprocessing.text"
        tokenizer = type("Tokenizer", (), {"__module__": name})
        module = types.ModuleType(name)
        module.Tokenizer = tokenizer
        with monkeypatch.context() as patch:
            parts = name.split(".")
            for end in range(1, len(parts)):
                patch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(parts[end - 1]))
            patch.setitem(sys.modules, name, module)
            item = tokenizer()
            vars(item).update(
                {
                    "lower": True,
                    "split": " ",
                    "char_level": False,
                    "oov_token": None,
                    "filters": FILTERS,
                    "num_words": 3,
                    "word_index": {"b": 2, "a": 1, "c": 3},
                }
                | settings
            )
            path = tmp_path / "tokenizer.pickle"
            path.write_bytes(pickle.dumps(item))
        return path

    return write


def test_it_keeps_the_words_that_the_network_knows_in_their_order(pickled):
    assert read_vocabulary(pickled()).words == ["a", "b"]


def test_the_package_has_the_words_it_should():
    vocabulary = read_vocabulary(package_folder("toxic_classifier") / "model" / "tokenizer.pickle")
    assert len(vocabulary.words) == 19_999
    assert vocabulary.words[0] == "the"
    assert vocabulary.filters == FILTERS


def test_a_pickle_that_carries_a_command_is_refused_and_does_not_run_it(tmp_path, pickled):
    path = pickled(analyzer=Command(f"touch {tmp_path / 'ran'}"))
    with pytest.raises(pickle.UnpicklingError, match="system"):
        read_vocabulary(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "settings",
    [{"lower": False}, {"char_level": True}, {"oov_token": "?"}, {"split": "_"}, {"word_index": {"a": 2}}],
)
def test_a_tokenizer_that_works_otherwise_is_refused(pickled, settings):
    with pytest.raises(ValueError, match="tokenizer"):
        read_vocabulary(pickled(**settings))


def test_through_the_store_it_is_an_error_for_the_operator(tmp_path, pickled):
    path = pickled(analyzer=Command("true"))
    (tmp_path / "model").mkdir()
    path.rename(tmp_path / "model" / "tokenizer.pickle")
    (tmp_path / "model" / "model.weights.h5").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="toxic-comment-classifier"):
        ModelFiles(tmp_path / "models", find_package=lambda _module: tmp_path).toxicity()
