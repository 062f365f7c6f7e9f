"""Prompts: versions and aliases, strict variables, and values that are never run as templates."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import ConfigurationError, RequestRefused, UnknownPart
from agents.prompts import PromptLibrary
from schemas.common import ImagePart, Message, Passage, TextPart
from schemas.request import GenerationRequest, PromptRef

SHIPPED = Path(__file__).parents[3] / "prompts"
PASSAGES = [
    Passage(
        id="1",
        text="The ferry leaves at 9:30.",
        source="ferry.md",
        start=0,
        end=25,
        headings=("Trips", "Times"),
    ),
    Passage(id="2", text="Tickets {{ 7 * 7 }} {% for %}", source="b.md", start=0, end=5),
]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def library(folder: Path, **files: str) -> PromptLibrary:
    named = {f"{name.replace('__', '/')}.yaml": text for name, text in files.items()}
    return PromptLibrary.load(write(folder, named), with_passages="a", without_passages="a")


def request(text: str = "When?", **parts: object) -> GenerationRequest:
    messages = parts.pop("messages", [Message(role="user", content=text)])
    return GenerationRequest(id="r1", messages=messages, **parts)


@pytest.fixture(scope="module")
def shipped() -> PromptLibrary:
    return PromptLibrary.load(SHIPPED)


def test_passages_are_numbered_with_source_and_heading(shipped: PromptLibrary) -> None:
    system, asked = shipped.resolve("answer-from-passages").render(request("When?"), PASSAGES)
    assert system.role == "system"
    assert "numbered passages" in system.text()
    assert "[1] (ferry.md: Trips > Times)\nThe ferry leaves at 9:30." in asked.text()
    assert "[2] (b.md)\n" in asked.text()
    assert asked.text().endswith("Question: When?")


def test_no_passages_is_said_to_the_model(shipped: PromptLibrary) -> None:
    assert (
        "No passages were found." in shipped.resolve("answer-from-passages").render(request(), [])[1].text()
    )


@given(st.text(max_size=30).map(lambda t: "{{ 7 * 7 }}{% raw %}" + t))
def test_text_from_outside_is_never_run_as_a_template(text: str) -> None:
    prompt = PromptLibrary.load(SHIPPED).resolve("answer-from-passages")
    given = request(text, prompt=PromptRef(name="answer-from-passages", variables={"style": "{{ 6 * 7 }}"}))
    system, asked = prompt.render(given, PASSAGES)
    assert "{{ 6 * 7 }}" in system.text()
    assert text.strip() in asked.text()
    assert "Tickets {{ 7 * 7 }} {% for %}" in asked.text()
    assert "49" not in asked.text().replace(text, "")


def test_the_conversation_stays_and_only_the_last_question_is_templated(tmp_path: Path) -> None:
    prompts = library(tmp_path, a__v1="description: d\ntemplate: 'Q: {{ question }}'\n")
    turns = [
        Message(role="user", content="one"),
        Message(role="assistant", content="two"),
        Message(role="user", content="three"),
    ]
    rendered = prompts.resolve("a").render(request(messages=turns), [])
    assert [(m.role, m.text()) for m in rendered] == [
        ("user", "one"),
        ("assistant", "two"),
        ("user", "Q: three"),
    ]


def test_a_picture_stays_beside_the_templated_question(shipped: PromptLibrary) -> None:
    picture = ImagePart(image_url={"url": "data:image/png;base64,AA=="})
    asked = shipped.resolve("chat").render(
        request(messages=[Message(role="user", content=[TextPart(text="what?"), picture])]), []
    )[-1]
    assert asked.content == [TextPart(text="what?"), picture]


def test_a_conversation_without_a_question_still_gets_the_passages(shipped: PromptLibrary) -> None:
    only_system = request(messages=[Message(role="system", content="x")])
    assert "ferry" in shipped.resolve("answer-from-passages").render(only_system, PASSAGES)[-1].text()


def test_versions_are_named_by_latest_number_alias_or_hash(tmp_path: Path) -> None:
    prompts = library(
        tmp_path,
        a__v1="description: one\n",
        a__v2="description: two\n",
        a__v10="description: ten\n",
        a__aliases="live: v2\n",
    )
    two = prompts.resolve("a", "v2")
    assert two.file.description == "two"
    assert prompts.resolve("a").number == 10
    assert prompts.resolve("a", "live") is two
    assert prompts.resolve("a", two.hash[:6]) is two
    assert [p.number for p in prompts.versions("a")] == [1, 2, 10]
    assert prompts.aliases("a") == {"live": "v2"}
    assert two.label == f"a/v2@{two.hash}"
    assert len(two.hash) == 12


@pytest.mark.parametrize(
    ("name", "version", "kind"),
    [("b", "latest", "prompt"), ("a", "v9", "prompt version"), ("a", "000000", "prompt version")],
)
def test_an_unknown_prompt_is_told_with_the_known_ones(
    tmp_path: Path, name: str, version: str, kind: str
) -> None:
    prompts = library(tmp_path, a__v1="description: one\n")
    with pytest.raises(UnknownPart) as caught:
        prompts.resolve(name, version)
    assert caught.value.kind == kind
    assert caught.value.known


def test_versions_with_one_system_prompt_share_its_label(tmp_path: Path) -> None:
    prompts = library(tmp_path, a__v1="description: d\nsystem: s\n", a__v2="description: e\nsystem: s\n")
    one, two = prompts.versions("a")
    assert one.system_label == two.system_label
    assert one.label != two.label


@pytest.mark.parametrize(
    ("variables", "field"),
    [({}, "$.prompt.variables.who"), ({"who": "x", "what": "y"}, "$.prompt.variables.what")],
)
def test_variables_must_be_those_declared(tmp_path: Path, variables: dict, field: str) -> None:
    prompts = library(
        tmp_path,
        a__v1="description: d\nsystem: Hi {{ who }} {{ mood }}\n"
        "variables: {who: {}, mood: {default: glad}}\n",
    )
    with pytest.raises(RequestRefused) as caught:
        prompts.resolve("a").render(request(prompt=PromptRef(name="a", variables=variables)), [])
    assert (caught.value.problem.code, caught.value.problem.field) == ("prompt_variables", field)
    rendered = prompts.resolve("a").render(request(prompt=PromptRef(name="a", variables={"who": "Ann"})), [])
    assert rendered[0].text() == "Hi Ann glad"


def test_a_template_that_fails_on_a_value_refuses_the_request(tmp_path: Path) -> None:
    prompts = library(
        tmp_path, a__v1="description: d\nsystem: '{{ 1 // (n | int) }}'\nvariables: {n: {default: '0'}}\n"
    )
    with pytest.raises(RequestRefused):
        prompts.resolve("a").render(request(), [])


def test_templates_cannot_reach_out_of_their_sandbox(tmp_path: Path) -> None:
    prompts = library(tmp_path, a__v1='description: d\ntemplate: "{{ question.__class__.__mro__ }}"\n')
    with pytest.raises(RequestRefused):
        prompts.resolve("a").render(request(), [])


def test_the_default_follows_the_passages(shipped: PromptLibrary) -> None:
    assert shipped.default(has_passages=True).name == "answer-from-passages"
    assert shipped.default(has_passages=False).name == "chat"


def test_every_mistake_in_every_file_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        library(
            tmp_path,
            a__v1="description: d\nsystem: '{{ who }}'\n",
            a__v2="description: d\ntemplate: '{% if %}'\n",
            a__v3="template: x\nparameters: {temperature: 9}\n",
            a__v4="description: d\nvariables: {idle: {}, question: {}}\n",
            a__draft="description: d\n",
            a__aliases="live: v9\nlatest: v1\n",
            b__v1="description: [\n",
        )
    told = str(caught.value)
    for expected in (
        "a/v1.yaml: $.system: uses 'who'",
        "a/v2.yaml: $.template: is no template",
        "a/v3.yaml: $.description: Field required",
        "a/v3.yaml: $.parameters.temperature",
        "a/v4.yaml: $.variables.idle: is declared and used nowhere",
        "a/v4.yaml: $.variables.question: is given",
        "a/draft.yaml: $: is no version",
        "a/aliases.yaml: $.live: there is no v9",
        "a/aliases.yaml: $.latest",
        "b/v1.yaml: $:",
    ):
        assert expected in told


def test_a_library_without_its_default_prompts_is_turned_away(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no prompt 'chat'"):
        PromptLibrary.load(write(tmp_path, {"answer-from-passages/v1.yaml": "description: d\n"}))
