"""What `--help` looks like: one entry a flag, with its type, and its default where that says something."""

import argparse


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Argparse's own would list each flag three times (usage, both spellings) and run the examples together."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        name = next((option for option in action.option_strings if option.startswith("--")), "")
        if action.nargs == 0 or isinstance(action.const, bool):  # a switch
            return name
        more = " ..." if action.nargs == "+" else ""
        return f"{name} {getattr(action.type, '__name__', 'str').upper()}{more}"

    def _get_help_string(self, action: argparse.Action) -> str:
        said = action.help or ""
        if action.default in (None, False, "", argparse.SUPPRESS):
            return said
        default = " ".join(action.default) if isinstance(action.default, list) else action.default
        return f"{said} [{default}]"
