"""The configuration: callctl.toml and the environment become checked records.

The way through the rooms:

- `settings`: the records, and the range of each value.
- `places`: on which line of the text each key stands, so that an error can point at it.
- `convert`: plain values become records; a wrong one becomes a `ConfigError` that names its key and line.
- `load`: where the file is looked for, what the environment changes, and the checks across sections.
- `damaged`: what a file still says that cannot be used.
- `reload`: whether a file that is read again can be meant. `defined`: what only the file can change.
- `show`: what is in force, as TOML, each value with where it came from.
- `template`: the commented callctl.toml for a beginning.
- `paths`: where callctl's own files lie, beside the database.

Words: a *key path* leads to a value, `("queue", "caller", "ring-timeout")`. Its *origin* says in words
where the value came from: a line of a file, a variable of the environment, or the built-in defaults.
"""

from callctl.config.load import load_config
from callctl.config.settings import (
    Address,
    BackupSettings,
    Config,
    HttpSettings,
    LogSettings,
    ServerSettings,
    SwitchSettings,
)
from callctl.config.show import show_config
from callctl.config.template import template

__all__ = [
    "Address",
    "BackupSettings",
    "Config",
    "HttpSettings",
    "LogSettings",
    "ServerSettings",
    "SwitchSettings",
    "load_config",
    "show_config",
    "template",
]
