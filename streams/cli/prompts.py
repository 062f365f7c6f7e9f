"""`sluicegate prompts`: list, show and try prompts."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import common

if TYPE_CHECKING:
    from agents.prompts import PromptLibrary

app = typer.Typer(no_args_is_help=True, help="List, show and try prompts.")

Name = Annotated[str, typer.Argument(help="The prompt's name.")]
Version = Annotated[str, typer.Option(help="latest, vN, an alias, or the start of a hash.")]


def _library() -> "PromptLibrary":
    from agents.prompts import PromptLibrary

    return PromptLibrary.load(common.settings().prompts_dir)


@app.command("list")
def list_(json: common.JsonOption = False) -> None:
    """Show every prompt, its versions and aliases.

    Example: `sluicegate prompts list`
    """
    library = _library()
    rows = [
        {
            "prompt": prompt.label,
            "aliases": sorted(
                a for a, v in library.aliases(name).items() if prompt.label.startswith(f"{name}/{v}@")
            ),
            "description": prompt.file.description,
        }
        for name in library.names()
        for prompt in library.versions(name)
    ]
    if json:
        return common.print_json(rows)
    for row in rows:
        common.out.print(
            f"{row['prompt']:<44} {', '.join(row['aliases'])}  {row['description']}", soft_wrap=True
        )
    return None


@app.command()
def show(name: Name, version: Version = "latest") -> None:
    """Show a prompt: system text, template, variables and parameters.

    Example: `sluicegate prompts show answer-from-passages --version v1`
    """
    prompt = _library().resolve(name, version)
    typer.echo(f"{prompt.label} (system: {prompt.system_label})\n\nsystem:\n{prompt.file.system}")
    typer.echo(f"template:\n{prompt.file.template}")
    for variable, spec in prompt.file.variables.items():
        typer.echo(f"variable {variable}: {spec.description} (default: {spec.default!r})")


@app.command()
def render(
    name: Name,
    question: Annotated[str, typer.Option(help="What the user asks.")] = "What does the sample say?",
    var: Annotated[list[str] | None, typer.Option(help="A variable, KEY=VALUE; may be repeated.")] = None,
    version: Version = "latest",
) -> None:
    """Render a prompt with a sample passage, as a model would be sent it.

    Example: `sluicegate prompts render answer-from-passages --question "Is water wet?" --var style=formal`
    """
    from schemas.common import Passage
    from streams.cli.send import make

    request = make(question, "sample", 1, "default", f"{name}:{version}", var, None, None, "low", "sample")
    prompt = _library().resolve(name, version)
    prompt.check_variables(request.prompt.variables if request.prompt else {})
    text = "This is a sample passage."
    passage = Passage(id="sample", text=text, source="sample.md", start=0, end=len(text))
    for message in prompt.render(request, [passage]):
        common.out.print(f"[bold]{message.role}[/]")
        typer.echo(message.text())
