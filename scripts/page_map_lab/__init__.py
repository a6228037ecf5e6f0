"""The package behind `scripts/lab`: one module a verb, plus the few things the verbs share.

A verb is a module with `add_arguments(parser)` and `run(namespace) -> int` (an exit code of `cli_errors.ExitCode`).
`main` adds --json, --dry-run and --quiet to every verb and turns every exception into one line on stderr.
"""
