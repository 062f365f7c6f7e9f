"""Versioned prompt files."""

from agents.prompts.library import PromptLibrary
from agents.prompts.prompt import Prompt

__all__ = ["Prompt", "PromptLibrary"]
