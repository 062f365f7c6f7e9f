"""The reference of all settings, and `.env.example`, made from the settings themselves."""

from typing import Any

from pydantic.fields import FieldInfo

from streams.settings import Settings

_INTRO = """\
# Configuration

Every setting is a variable, or a key of a TOML file (`sluicegate.toml` here, or the file that
`SLUICEGATE_CONFIG` names). Variables win over the file. Mistakes are told all at once, and a `SLUICEGATE_`
variable that is no setting is a mistake too. This page is made from `streams/settings.py`.

| variable | default | meaning |
|---|---|---|
"""

_PROVIDERS = """
## Providers and routes

A provider is a model behind an API; a route (in `routes.yaml`) lists the providers and models that serve it, in
order. `openai`, configured by `OPENAI_API_KEY` and `OPENAI_BASE_URL`, and `extractive`, which quotes passages and
needs no model, are always there. More, in the TOML file:

```toml
[providers.local]
kind = "openai"                        # any OpenAI-compatible endpoint
base_url = "http://127.0.0.1:8000/v1"
api_key = "none"
model = "qwen2.5-7b-instruct"
media_types = ["image_url"]            # content parts it takes besides text
```

or in the environment, as JSON: `SLUICEGATE_PROVIDERS='{"local": {"kind": "openai", ...}}'`. Published prices count
only for providers that bear the vendor's name; a server of your own is priced in the file `SLUICEGATE_PRICES` names
(`examples/local/prices.yaml`), and is unpriced otherwise.
"""


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) else f"SLUICEGATE_{name.upper()}"


def shown(default: Any) -> str:
    """A default as it is written in the environment."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return "[" + ", ".join(f'"{item}"' for item in default) + "]"
    return str(default)


def markdown() -> str:
    """`docs/configuration.md`."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = shown(field.get_default(call_default_factory=True))
        rows.append(
            f"| `{variable(name, field)}` | {f'`{default}`' if default else 'none'} | {field.description} |\n"
        )
    return _INTRO + "".join(rows) + _PROVIDERS


def env_example() -> str:
    """`.env.example`: every variable with its default, commented out."""
    lines = ["# Every setting with its default; take away the # to change one. See docs/configuration.md."]
    for name, field in Settings.model_fields.items():
        default = shown(field.get_default(call_default_factory=True))
        lines += ["", f"# {field.description}", f"# {variable(name, field)}={default}"]
    return "\n".join(lines) + "\n"
