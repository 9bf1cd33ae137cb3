"""`hawkvision`: finds its commands through the entry-point group `hawkvision.commands`."""

from __future__ import annotations

import os
import sys

import click

import hawkvision
from hawkvision import extensions
from hawkvision.cli.plain import plain_where_needed
from hawkvision.errors import HawkVisionError
from hawkvision.serving import environment

_CHECKOUT = "Run it from a checkout, after: pip install -e '.[cpu,dev]'"
"""The cure where no extra has the module: `loadtest` is no part of the wheel."""


class _Commands(click.Group):
    """Loads a command when it is asked for, so that one broken extra does not stop the rest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(extensions.registered(extensions.COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = extensions.registered(extensions.COMMANDS).get(cmd_name)
        if entry is None:
            return None
        try:
            command: click.Command = entry.load()
        except ModuleNotFoundError as error:
            return _unavailable(cmd_name, str(error.name))
        environment.name_options(command, _prefix(cmd_name))
        return command


def _unavailable(name: str, module: str) -> click.Command:
    """Stands for a command whose module is not installed; its help says what to do."""
    what = f"`hawkvision {name}` needs the module {module}, which is not installed"
    extra = extensions.extra_with(module)
    cure = _CHECKOUT if extra is None else f"pip install 'hawkvision[{extra}]'"

    def refuse() -> None:
        raise HawkVisionError(what, hint=cure)

    return click.Command(
        name,
        callback=refuse,
        help=f"{what}. {cure}",
        short_help=f"(unavailable: {module} is not installed)",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


def _prefix(name: str) -> str:
    return f"{environment.PREFIX}_{name.replace('-', '_').upper()}"


@click.command(
    cls=_Commands,
    context_settings={"auto_envvar_prefix": "HAWKVISION", "help_option_names": ["-h", "--help"]},
)
@click.version_option(hawkvision.__version__, prog_name="hawkvision")
@click.pass_context
def cli(context: click.Context) -> None:
    """Modeless vision at the edge: an image and an accuracy target in, a label out."""
    name = context.invoked_subcommand
    group = context.command
    if name is None or not isinstance(group, click.Group):
        return
    command = group.get_command(context, name)
    if command is not None:
        others = [_prefix(other) for other in group.list_commands(context) if other != name]
        environment.check(os.environ, command, _prefix(name), others)


def main() -> None:
    """Run the command line; errors become one line, a hint and a non-zero status."""
    plain_where_needed(sys.stdout, sys.stderr)
    # Without it gRPC's handlers abort one child in ten that is forked beside its threads.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        status = cli(standalone_mode=False)  # click returns the status of `Exit`
        if isinstance(status, int) and status:
            sys.exit(status)
    except HawkVisionError as error:
        click.echo(f"error: {error}", err=True)
        if error.hint:
            click.echo(error.hint, err=True)
        sys.exit(1)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
