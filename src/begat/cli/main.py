"""`begat VERB ...`: exit code 0 on success, 2 with one line for a person's mistake, 130 after Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.exceptions import TyperException

from begat import __version__
from begat.cli import compare, data, fit, impute, info, learning_curve, predict, sample, score
from begat.errors import BegatError, MissingDependency, visible

USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip
for _name, _about, _verb in (
    ("compare", "Models of a table or of pictures: which to trust, and how far.", compare.compare),
    ("fit", "Learn a table or pictures; the model is one file.", fit.fit),
    ("sample", "Draw new rows or pictures, conditioned on evidence.", sample.sample),
    ("score", "Log-likelihood of rows or pictures, the oddest of them.", score.score),
    ("predict", "Predict the target of rows or pictures.", predict.predict),
    ("impute", "Fill what is missing.", impute.impute),
    ("info", "What columns or pictures are, or what a model file holds.", info.info),
    ("data", "Data with a name: licence, size, source.", data.data),
    ("learning-curve", "Against logistic regression, by training size.", learning_curve.learning_curve),
):
    app.command(_name, short_help=_about)(_verb)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"begat {__version__}")
        raise typer.Exit


@app.callback()
def begat(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Learn the joint distribution of your own data, and ask it anything.

    \b
    Start with:
      begat compare adult --target income --out demo
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a process that is told to end tidies up, too
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a screen that lacks a letter is no reason to fail
    code = run(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # Arrow may still be reading ahead of the row that was refused, and a thread of its that asks for the interpreter
    # while that is taken down ends the process by a signal.
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; what is a person's mistake becomes one line on standard error."""
    if "stdout" in _opened():
        return _refuse("standard output is closed; open it, or send it to a file or to /dev/null")
    if any(a == "" or re.fullmatch(r"--[\w-]+=", a) for a in arguments):
        return _refuse("an argument is empty; give a name or a path (is a variable of the shell not set?)", arguments)
    try:
        os.getcwd()
    except OSError:  # where torch would end the process
        return _refuse("the current folder does not exist any more; change to one that does")
    command = typer.main.get_command(app)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _noting()
            code = command.main(list(arguments), prog_name="begat", standalone_mode=False)
            sys.stdout.flush()
    except TyperException as error:
        return _refuse(error.format_message() or str(error), hint=arguments)
    except (BegatError, MissingDependency) as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("begat: interrupted; what was finished before is kept", file=sys.stderr)
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # the reader of a pipe left, as `head` does; typer makes it an exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        return _refuse(f"{error.filename or 'the output'}: {error.strerror or error}")
    except MemoryError:
        return _refuse("not enough memory for this; ask for fewer rows at a time")
    return code if isinstance(code, int) else 0


def _opened() -> list[str]:
    """Give standard streams that are closed the null device, so that no file gets their number; which they were."""
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:  # in this order, for the system gives the lowest free number
        setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    return closed


def _refuse(message: str, hint: Sequence[str] = ()) -> int:
    line = visible(" ".join(message.split()))
    verb = next((a for a in hint if not a.startswith("-")), "")
    known = {command.name for command in app.registered_commands}
    help_line = f" (see begat {verb + ' ' if verb in known else ''}--help)" if hint else ""
    with suppress(OSError):  # where not even this can be written, the exit code says it
        print(f"begat: {line}{help_line}", file=sys.stderr)
    return USAGE


def _noting() -> Callable[..., None]:
    """What shows a warning as one line, once, without the place in the source that a person did not write."""
    said: set[str] = set()

    def note(message: Warning | str, *_: object, **__: object) -> None:
        line = visible(" ".join(str(message).split()))
        if line not in said:
            said.add(line)
            print(f"note: {line}", file=sys.stderr)

    return note


if __name__ == "__main__":
    main()
