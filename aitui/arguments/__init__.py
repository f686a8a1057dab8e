"""The command line: what it may say, and what was said. No screen, no network, no event loop."""

from aitui.arguments.given import COMMANDS, Arguments, Command
from aitui.arguments.parser import parse

__all__ = ["COMMANDS", "Arguments", "Command", "parse"]
