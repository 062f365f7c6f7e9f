"""The routes file: defaults, unknown names, and files that are turned away."""

from pathlib import Path

import pytest

from agents.errors import ConfigurationError, UnknownPart
from agents.routes import Routes


def routes(tmp_path: Path, text: str) -> Routes:
    path = tmp_path / "routes.yaml"
    path.write_text(text)
    return Routes.load(path)


def test_the_file_that_is_shipped_serves_with_the_providers_that_are_always_there() -> None:
    found = Routes.load(Path(__file__).parents[2] / "routes.yaml")
    found.check_providers({"openai", "extractive"})
    assert found.resolve(None)[0] == "default"
    assert found.version.startswith("routes@")


def test_targets_keep_their_order(tmp_path: Path) -> None:
    found = routes(tmp_path, "default: {targets: [{provider: a, model: m}, {provider: b}]}")
    name, route = found.resolve("default")
    assert [(name, t.provider, t.model) for t in route.targets] == [
        ("default", "a", "m"),
        ("default", "b", None),
    ]


def test_an_unknown_route_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownPart) as caught:
        routes(tmp_path, "default: {targets: [{provider: a}]}").resolve("fast")
    assert (caught.value.kind, caught.value.known) == ("route", ["default"])


def test_another_order_is_another_version(tmp_path: Path) -> None:
    one = routes(tmp_path, "default: {targets: [{provider: a}, {provider: b}]}").version
    two = routes(tmp_path, "default: {targets: [{provider: b}, {provider: a}]}").version
    assert one != two


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fast: {targets: [{provider: a}]}", "no route 'default'"),
        ("default: {targets: []}", "$.default.targets"),
        ("default: {targets: [{provider: a}], attempts: 0, timeout_s: -1}", "$.default.timeout_s"),
        ("default: {targets: [{provider: a}], attempts: 0, timeout_s: -1}", "$.default.attempts"),
        ("default: {targets: [{model: a}]}", "$.default.targets[0].provider"),
        ("- a", "$"),
    ],
)
def test_mistakes_are_told_with_their_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        routes(tmp_path, text)
    assert told in str(caught.value)


def test_a_provider_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = routes(tmp_path, "default: {targets: [{provider: a}, {provider: b}]}")
    with pytest.raises(ConfigurationError, match=r"targets\[1\].provider: 'b' is not a provider") as caught:
        found.check_providers({"a"})
    assert "'a' is not" not in str(caught.value)
