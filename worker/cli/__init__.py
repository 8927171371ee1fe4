"""The command line: commands, their words and their exit codes.

`main` starts a command and is the one place that turns an error into text and an exit
code.  `catalogue` lists the commands; their modules are imported when a command is called
and not before, so that ``--help`` and completion stay quick.
"""
